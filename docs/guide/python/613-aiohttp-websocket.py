"""aiohttp also speaks WebSocket on both ends; messages are walked through with `async for`.
Source: article 000, section "aiohttp"
Crates: asyncio-core, asyncio-net
Kind: extra
Needs: aiohttp
"""
import asyncio

import aiohttp
from aiohttp import web


async def parrot(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=1000)
        else:
            await socket.send_str(f"{message.data}, {message.data}!")
    return socket


async def start_server():
    app = web.Application()
    app.router.add_get("/parrot", parrot)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d/parrot" % runner.addresses[0][1]


async def main():
    runner, url = await start_server()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        words = iter(["cracker", "pretty bird", "bye"])
        await socket.send_str(next(words))
        async for message in socket:
            print(message.data)
            await socket.send_str(next(words))
        print("closed with", socket.close_code)
    await runner.cleanup()


asyncio.run(main())
