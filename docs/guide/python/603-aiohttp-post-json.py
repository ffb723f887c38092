"""A POST sends a JSON body and a header; the server's JSON answer is read back.
Source: article 000, section "aiohttp"; article 003, section "POST Request"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: aiohttp
"""
import asyncio

import aiohttp
from aiohttp import web


async def register(request):
    if request.headers.get("Authorization") != "Bearer swordfish":
        return web.json_response({"error": "who are you"}, status=401)
    boat = await request.json()
    return web.json_response({"id": 17, "received": boat, "type": request.content_type}, status=201)


async def start_server():
    app = web.Application()
    app.router.add_post("/boats", register)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, "http://127.0.0.1:%d" % runner.addresses[0][1]


async def main():
    runner, base = await start_server()
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer swordfish"}):
            boat = {"name": "Heron", "length": 9, "tags": ["sloop", "wood"]}
            async with session.post(f"{base}/boats", json=boat, headers=headers) as reply:
                answer = await reply.json()
                print(reply.status, "ok" if reply.ok else "refused")
                if reply.ok:
                    got = answer["received"]
                    print("id", answer["id"], answer["type"], got["name"], got["length"], "/".join(got["tags"]))
                else:
                    print(answer["error"])
    await runner.cleanup()


asyncio.run(main())
