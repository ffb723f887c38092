"""Resources are opened before the first request and closed after the last, in reverse order.
Source: article 000, section "FastAPI Async Patterns"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: fastapi, httpx
"""
import asyncio
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request


class Resource:
    def __init__(self, name):
        self.name = name
        self.uses = 0
        print(f"{name} opened")

    async def close(self):
        await asyncio.sleep(0)
        print(f"{self.name} closed after {self.uses} uses")


@asynccontextmanager
async def lifespan(app):
    app.state.larder = Resource("larder")
    app.state.oven = Resource("oven")
    yield
    await app.state.oven.close()
    await app.state.larder.close()


app = FastAPI(lifespan=lifespan)


@app.get("/bake/{cake}")
async def bake(cake: str, request: Request):
    request.app.state.larder.uses += 2
    request.app.state.oven.uses += 1
    return {"cake": cake, "number": request.app.state.oven.uses}


async def main():
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bakery") as client:
            for cake in ("plum", "nut"):
                data = (await client.get(f"/bake/{cake}")).json()
                print("baked", data["cake"], "number", data["number"])


asyncio.run(main())
