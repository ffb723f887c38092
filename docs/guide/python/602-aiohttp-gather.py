"""Several GETs over one session run together; the answers come in the order of the addresses.
Source: article 001, section "Concurrent I/O with gather"; article 002, section "gather: Run Multiple Coroutines"; article 003, section "❌ Pitfall 3: Sequential await Instead of Concurrent"; article 003, section "✅ Best Practices Summary"; article 000, section "aiohttp"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: aiohttp
"""
import asyncio

import aiohttp
from aiohttp import web

DELAYS = {"trout": 0.6, "perch": 0.4, "pike": 0.5}


async def catch(request):
    fish = request.match_info["fish"]
    await asyncio.sleep(DELAYS[fish])
    return web.json_response({"fish": fish, "grams": 100 * len(fish)})


async def start_server():
    app = web.Application()
    app.router.add_get("/catch/{fish}", catch)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def main():
    runner, base = await start_server()
    loop = asyncio.get_running_loop()

    async with aiohttp.ClientSession(base_url=base) as session:
        async def fetch(fish):
            async with session.get(f"/catch/{fish}") as reply:
                return await reply.json()

        began = loop.time()
        trout, perch, pike = await asyncio.gather(*(fetch(fish) for fish in DELAYS))
        spent = loop.time() - began
    for answer in (trout, perch, pike):
        print(answer["fish"], answer["grams"])
    print("clearly faster than the sum of the delays:", "yes" if spent < 1.2 else "no")
    await runner.cleanup()


asyncio.run(main())
