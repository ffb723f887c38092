"""Ten slow answers fetched one by one, all together, and at most five at a time.
Source: article 003, section "Experiment: Fetching 50 URLs"; article 002, section "Blocking the event loop"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: The experiment is announced with 50 URLs, its list has 10.
Instead: Ten URLs; the three ways differ by the number of 0.2 s waits they need: ten, one and two.
"""
import asyncio
import http.client
import threading
import time

import aiohttp
from aiohttp import web

WAIT = 0.2


async def slow(request):
    await asyncio.sleep(WAIT)
    return web.Response(text="ok")


def serve(ready):
    async def run():
        app = web.Application()
        app.router.add_get("/slow", slow)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop = asyncio.Event()
        ready.update(port=runner.addresses[0][1], stop=stop, loop=asyncio.get_running_loop())
        ready["up"].set()
        await stop.wait()
        await runner.cleanup()

    asyncio.run(run())


def blocking(port):
    statuses = []
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/slow")
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
        connection.close()
    return statuses


async def together(port, most=None):
    permits = asyncio.Semaphore(most or 10)
    async with aiohttp.ClientSession() as session:
        async def fetch():
            async with permits, session.get(f"http://127.0.0.1:{port}/slow") as reply:
                return reply.status

        return await asyncio.gather(*(fetch() for _ in range(10)))


def report(title, way, least, most):
    began = time.monotonic()
    statuses = way()
    waits = (time.monotonic() - began) / WAIT
    print(f"{title}: {statuses.count(200)} answers, at least {least} waits: {'yes' if waits > least - 0.1 else 'no'}, "
          f"fewer than {most}: {'yes' if waits < most else 'no'}")


ready = {"up": threading.Event()}
thread = threading.Thread(target=serve, args=(ready,))
thread.start()
ready["up"].wait()
report("one by one", lambda: blocking(ready["port"]), 10, 25)
report("together", lambda: asyncio.run(together(ready["port"])), 1, 6)
report("five at a time", lambda: asyncio.run(together(ready["port"], 5)), 2, 8)
ready["loop"].call_soon_threadsafe(ready["stop"].set)
thread.join()
