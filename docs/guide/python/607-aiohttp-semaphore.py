"""A semaphore around the requests bounds how many the server sees at a time.
Source: article 001, section "Semaphore — Limit Concurrency"; article 003, section "Semaphore: Limit Concurrent Tasks"; article 002, section "Creating too many tasks"; article 003, section "✅ Best Practices Summary"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: snippet
Needs: aiohttp
"""
import asyncio

import aiohttp
from aiohttp import web

gauge = {"inside": 0, "peak": 0}


async def page(request):
    gauge["inside"] += 1
    gauge["peak"] = max(gauge["peak"], gauge["inside"])
    await asyncio.sleep(0.05)
    gauge["inside"] -= 1
    return web.Response(text=f"page {request.match_info['number']}")


async def start_server():
    app = web.Application()
    app.router.add_get("/{number}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def main():
    runner, base = await start_server()
    permits = asyncio.Semaphore(4)
    async with aiohttp.ClientSession() as session:
        async def fetch(number):
            async with permits, session.get(f"{base}/{number}") as reply:
                return await reply.text()

        pages = await asyncio.gather(*(fetch(n) for n in range(16)))
    print("pages", len(pages), "first", pages[0], "last", pages[-1])
    print("most requests at once", gauge["peak"])
    await runner.cleanup()


asyncio.run(main())
