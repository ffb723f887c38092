"""The connector bounds how many connections to one host are open, whatever number is asked for.
Source: article 000, section "aiohttp"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: enable_cleanup_closed=True is passed; on CPython from 3.12.7 and 3.13.1 on it is ignored with a DeprecationWarning.
Instead: The connector works without it; the server itself counts that no more than three requests run together.
"""
import asyncio

import aiohttp
from aiohttp import web

gauge = {"inside": 0, "peak": 0, "clients": set()}


async def slow(request):
    gauge["clients"].add(request.transport.get_extra_info("peername"))
    gauge["inside"] += 1
    gauge["peak"] = max(gauge["peak"], gauge["inside"])
    await asyncio.sleep(0.1)
    gauge["inside"] -= 1
    return web.json_response({"item": int(request.match_info["number"])})


async def start_server():
    app = web.Application()
    app.router.add_get("/item/{number}", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def main():
    runner, base = await start_server()
    connector = aiohttp.TCPConnector(limit=100, limit_per_host=3, ttl_dns_cache=300)
    async with aiohttp.ClientSession(connector=connector) as session:
        async def fetch(number):
            async with session.get(f"{base}/item/{number}") as reply:
                return (await reply.json())["item"]

        print("items", await asyncio.gather(*(fetch(n) for n in range(12))))
    print("most requests at once", gauge["peak"])
    print("connections used", len(gauge["clients"]))
    await runner.cleanup()


asyncio.run(main())
