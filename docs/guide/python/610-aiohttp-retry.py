"""A request is repeated with growing pauses while the client raises errors, and given up after the last.
Source: article 002, section "Error Handling"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: Only aiohttp.ClientError is retried, and a status of 503 raises nothing by itself.
Instead: raise_for_status makes the status an error, and TimeoutError is caught as well, since it need not be a ClientError.
"""
import asyncio

import aiohttp
from aiohttp import web

calls = {"shaky": 0, "dead": 0, "sleepy": 0}


async def door(request):
    name = request.match_info["name"]
    calls[name] += 1
    if name == "dead" or (name == "shaky" and calls[name] < 3):
        raise web.HTTPServiceUnavailable()
    if name == "sleepy" and calls[name] == 1:
        await asyncio.sleep(2)
    return web.Response(text=f"{name} opened at call {calls[name]}")


async def start_server():
    app = web.Application()
    app.router.add_get("/{name}", door)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def fetch_patiently(session, url, attempts=3, unit=0.01):
    for attempt in range(attempts):
        try:
            async with session.get(url, raise_for_status=True, timeout=aiohttp.ClientTimeout(total=0.7)) as reply:
                return await reply.text()
        except (aiohttp.ClientError, TimeoutError):
            if attempt == attempts - 1:
                raise
            await asyncio.sleep(unit * 2 ** attempt)


async def main():
    runner, base = await start_server()
    async with aiohttp.ClientSession() as session:
        for name in calls:
            try:
                print(await fetch_patiently(session, f"{base}/{name}"))
            except aiohttp.ClientResponseError as err:
                print(f"{name} gave {err.status} at call {calls[name]}")
    await runner.cleanup()


asyncio.run(main())
