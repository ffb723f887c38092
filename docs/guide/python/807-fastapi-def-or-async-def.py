"""A plain def endpoint runs in a worker thread; blocking code in an async def endpoint stops the loop.
Source: article 000, section "Sync vs Async Endpoints in FastAPI"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: fastapi, httpx
"""
import asyncio
import threading
import time

import httpx
from fastapi import FastAPI

app = FastAPI()
used = {}


def blocking_query():
    time.sleep(0.8)
    return "rows"


@app.get("/plain")
def plain():
    used["plain"] = threading.get_ident()
    return blocking_query()


@app.get("/broken")
async def broken():
    used["broken"] = threading.get_ident()
    return blocking_query()


@app.get("/awaiting")
async def awaiting():
    used["awaiting"] = threading.get_ident()
    await asyncio.sleep(0.8)
    return "rows"


async def heartbeat(beats):
    while True:
        beats.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05)


async def main():
    mine = threading.get_ident()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://yard") as client:
        for name in ("plain", "broken", "awaiting"):
            beats = []
            heart = asyncio.create_task(heartbeat(beats))
            await asyncio.sleep(0.1)
            answer = (await client.get(f"/{name}")).json()
            await asyncio.sleep(0.1)
            heart.cancel()
            silence = max(later - earlier for earlier, later in zip(beats, beats[1:]))
            print(f"{name}: {answer}, thread {'of the loop' if used[name] == mine else 'of a pool'}, "
                  f"loop {'stood still' if silence > 0.75 else 'went on'}")


asyncio.run(main())
