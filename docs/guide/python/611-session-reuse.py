"""One session keeps its connection for the next request; a session per request opens a new one each time.
Source: article 003, section "✅ Best Practices Summary"; article 002, section "The Basics"; article 001, section "Common Mistakes"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: fetch_data() opens a new ClientSession for every single request (002), and FastAPI and scraper examples build on it.
Instead: The server counts connections: five for five sessions, one for a shared session.
"""
import asyncio

import aiohttp
from aiohttp import web

seen = set()


async def hello(request):
    seen.add(request.transport.get_extra_info("peername"))
    return web.Response(text="hello")


async def start_server():
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d/" % runner.addresses[0][1]


async def load(session, url):
    async with session.get(url) as reply:
        return await reply.text()


async def main():
    runner, url = await start_server()
    for _ in range(5):
        async with aiohttp.ClientSession() as session:
            await load(session, url)
    print("a session each:", len(seen), "connections")

    seen.clear()
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            await load(session, url)
    print("one session:", len(seen), "connection")
    await runner.cleanup()


asyncio.run(main())
