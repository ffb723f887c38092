"""Workers take addresses from a queue, put newly found ones back, and stop when join() returns.
Source: article 004, section "14. Real‑World Pattern: Async Web Scraper with Rate Limiting"; article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: The section announces semaphores, queues and error handling, but its code has no queue.
Instead: A crawl that follows links with a queue, three workers and error handling.
"""
import asyncio

import aiohttp
from aiohttp import web

LINKS = {"home": "tea coffee", "tea": "green black home", "coffee": "beans ghost", "green": "", "black": "tea", "beans": "home"}


async def page(request):
    name = request.match_info["name"]
    if name not in LINKS:
        raise web.HTTPNotFound()
    await asyncio.sleep(0.01)
    return web.Response(text=LINKS[name])


async def start_server():
    app = web.Application()
    app.router.add_get("/{name}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def worker(session, base, todo, found, failed):
    while True:
        name = await todo.get()
        try:
            async with session.get(f"{base}/{name}", raise_for_status=True) as reply:
                for link in (await reply.text()).split():
                    if link not in found:
                        found.add(link)
                        todo.put_nowait(link)
        except aiohttp.ClientResponseError as err:
            failed.append(f"{name} {err.status}")
        finally:
            todo.task_done()


async def main():
    runner, base = await start_server()
    todo, found, failed = asyncio.Queue(), {"home"}, []
    todo.put_nowait("home")
    async with aiohttp.ClientSession() as session:
        workers = [asyncio.create_task(worker(session, base, todo, found, failed)) for _ in range(3)]
        await todo.join()
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    print("found:", ", ".join(sorted(found)))
    print("failed:", ", ".join(failed))
    await runner.cleanup()


asyncio.run(main())
