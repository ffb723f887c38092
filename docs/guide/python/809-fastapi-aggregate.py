"""An endpoint gathers two sources and answers with both.
Source: article 002, section "FastAPI Integration"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: fastapi, httpx
"""
import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
order = []


async def load(source, pause, count):
    await asyncio.sleep(pause)
    order.append(source)
    return [f"{source}-{n}" for n in range(1, count + 1)]


@app.get("/overview")
async def overview():
    mills, bridges = await asyncio.gather(load("mill", 0.2, 2), load("bridge", 0.05, 3))
    return {"mills": mills, "bridges": bridges}


async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://valley") as client:
        response = await client.get("/overview")
        for key, names in response.json().items():
            print(f"{key}: {', '.join(names)}")
    print("loaded in the order", ", ".join(order))


asyncio.run(main())
