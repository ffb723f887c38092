"""A session fetches a JSON document from a server with one GET.
Source: article 002, section "The Basics"; article 003, section "Basic GET Request"; article 000, section "aiohttp"; article 001, section "Common Mistakes"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: aiohttp
"""
import asyncio

import aiohttp
from aiohttp import web


async def keeper(request):
    name = request.match_info["name"]
    return web.json_response({"name": name.title(), "animals": len(name), "open": True})


async def start_server():
    app = web.Application()
    app.router.add_get("/keepers/{name}", keeper)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def load(session, url):
    async with session.get(url) as reply:
        print("status", reply.status, reply.content_type)
        return await reply.json()


async def main():
    runner, base = await start_server()
    async with aiohttp.ClientSession() as session:
        data = await load(session, f"{base}/keepers/odile")
        print(data["name"], data["animals"], "open" if data["open"] else "closed")
    print("session closed:", "yes" if session.closed else "no")
    await runner.cleanup()


asyncio.run(main())
