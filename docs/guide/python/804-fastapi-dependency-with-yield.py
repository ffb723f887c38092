"""A dependency opens something for the endpoint and closes it after the answer, also after an error.
Source: article 000, section "FastAPI Async Patterns"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: fastapi, httpx
"""
import asyncio

import httpx
from fastapi import Depends, FastAPI, HTTPException

app = FastAPI()
log = []


async def boat():
    log.append("boat untied")
    try:
        yield {"seats": 4}
    except HTTPException as err:
        log.append(f"told of {err.status_code}")
        raise
    finally:
        await asyncio.sleep(0)
        log.append("boat tied up")


async def captain(vessel=Depends(boat)):
    log.append("captain aboard")
    yield {"captain": "Signe", **vessel}
    log.append("captain ashore")


@app.get("/trip/{guests}")
async def trip(guests: int, crew=Depends(captain)):
    if guests > crew["seats"]:
        raise HTTPException(status_code=409, detail="too many guests")
    log.append("under way")
    return {"captain": crew["captain"], "free": crew["seats"] - guests}


async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://lake") as client:
        for guests in (3, 6):
            log.clear()
            response = await client.get(f"/trip/{guests}")
            data = response.json()
            print(response.status_code, data.get("detail") or f"{data['captain']}, {data['free']} free")
            print(" ", ", ".join(log))


asyncio.run(main())
