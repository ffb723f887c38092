"""A scraper with a semaphore collects pages and counts honestly which of them failed.
Source: article 004, section "14. Real‑World Pattern: Async Web Scraper with Rate Limiting"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: fetch() returns "Error: ..." strings, HTTP errors pass as pages, and whatever is no Exception counts as fetched.
Instead: Counted that way all eight are pages; with raise_for_status() and the exceptions kept, five pages and three failures.
"""
import asyncio

import aiohttp
from aiohttp import web


async def article(request):
    number = int(request.match_info["number"])
    if number == 3:
        raise web.HTTPNotFound()
    if number == 6:
        request.transport.close()
    return web.Response(text="word " * number)


async def start_server():
    app = web.Application()
    app.router.add_get("/article/{number}", article)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def lenient(session, url, permits):
    async with permits:
        try:
            async with session.get(url) as reply:
                return await reply.text()
        except Exception as err:
            return f"Error: {type(err).__name__}"


async def strict(session, url, permits):
    async with permits, session.get(url) as reply:
        reply.raise_for_status()
        return await reply.text()


async def scrape(fetch, urls, most=3):
    permits = asyncio.Semaphore(most)
    async with aiohttp.ClientSession() as session:
        return await asyncio.gather(*(fetch(session, url, permits) for url in urls), return_exceptions=True)


async def main():
    runner, base = await start_server()
    urls = [f"{base}/article/{n}" for n in range(1, 8)] + ["http://127.0.0.1:1/"]
    for fetch in (lenient, strict):
        results = await scrape(fetch, urls)
        pages = [r for r in results if not isinstance(r, Exception)]
        print(f"{fetch.__name__}: {len(pages)} pages, {len(results) - len(pages)} failures, "
              f"{sum(page.count('word') for page in pages)} words")
    await runner.cleanup()


asyncio.run(main())
