"""A path parameter is converted and checked; an unknown one ends in HTTPException 404.
Source: article 000, section "FastAPI Async Patterns"; article 001, section "asyncio in Production (FastAPI / LangChain)"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: fastapi, httpx
"""
import asyncio

import httpx
from fastapi import FastAPI, HTTPException

app = FastAPI()
BEACONS = {4: {"name": "Skerry", "flashes": 3}, 9: {"name": "Needle", "flashes": 1}}


@app.get("/beacons/{number}")
async def beacon(number: int):
    await asyncio.sleep(0)
    if number not in BEACONS:
        raise HTTPException(status_code=404, detail=f"no beacon {number}")
    return {"number": number, **BEACONS[number]}


async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://coast") as client:
        for path in ("/beacons/4", "/beacons/5", "/beacons/four", "/lamps/4"):
            response = await client.get(path)
            data = response.json()
            if response.status_code == 200:
                print(path, 200, data["name"], data["flashes"])
            elif isinstance(data["detail"], str):
                print(path, response.status_code, data["detail"])
            else:
                print(path, response.status_code, "about", "/".join(data["detail"][0]["loc"]))


asyncio.run(main())
