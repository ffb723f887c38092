"""Each fetch has its own time limit and turns its failure into a value, so that all addresses get an answer.
Source: article 003, section "Concurrent URL Fetching"; article 003, section "✅ Best Practices Summary"; article 004, section "14. Real‑World Pattern: Async Web Scraper with Rate Limiting"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: aiohttp
Corrects: A failure is kept as str(e), and printed as the answer.
Instead: str() of aiohttp's timeout is empty, so nothing would be printed; the program keeps the class name as well.
"""
import asyncio
import socket

import aiohttp
from aiohttp import web


async def quick(request):
    return web.Response(text="fresh bread")


async def slow(request):
    await asyncio.sleep(2)
    return web.Response(text="stale bread")


async def start_server():
    app = web.Application()
    app.router.add_get("/quick", quick)
    app.router.add_get("/slow", slow)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def fetch(session, label, url):
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=0.6)) as reply:
            return {"label": label, "status": reply.status, "text": await reply.text()}
    except Exception as err:
        return {"label": label, "kind": err, "told": bool(str(err))}


def shown(result):
    if "status" in result:
        return f"{result['status']} {result['text']}"
    kind = "timeout" if isinstance(result["kind"], TimeoutError) else "no connection" \
        if isinstance(result["kind"], aiohttp.ClientConnectionError) else "other"
    return f"{kind}, error text {'given' if result['told'] else 'empty'}"


async def main():
    runner, base = await start_server()
    addresses = {
        "quick": f"{base}/quick",
        "slow": f"{base}/slow",
        "missing": f"{base}/cellar",
        "nobody": f"http://127.0.0.1:{unused_port()}/",
    }
    async with aiohttp.ClientSession() as session:
        results = await asyncio.gather(*(fetch(session, label, url) for label, url in addresses.items()))
    for result in results:
        print(f"{result['label']}: {shown(result)}")
    await runner.cleanup()


asyncio.run(main())
