"""A reply keeps its connection until its body is read, so a limited connector can starve.
Source: article 000, section "aiohttp"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: gather(*[session.get(url) ...]) first, the bodies read afterwards, over a connector with a limit.
Instead: With large bodies and fewer connections than requests that waits for ever; reading inside `async with` does not.
"""
import asyncio

import aiohttp
from aiohttp import web

PAYLOAD = b"x" * (4 * 1024 * 1024)


async def big(request):
    return web.Response(body=PAYLOAD)


async def start_server():
    app = web.Application()
    app.router.add_get("/big", big)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d/big" % runner.addresses[0][1]


async def main():
    runner, url = await start_server()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
        try:
            async with asyncio.timeout(1.5):
                await asyncio.gather(*(session.get(url) for _ in range(4)))
            print("all four responses, unread")
        except TimeoutError:
            print("unread responses hold both connections: timed out")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
        async def size():
            async with session.get(url) as reply:
                return len(await reply.read())

        print("read inside the block:", sum(await asyncio.gather(*(size() for _ in range(4)))) // len(PAYLOAD), "bodies")
    await runner.cleanup()


asyncio.run(main())
