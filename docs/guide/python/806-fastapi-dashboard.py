"""One endpoint asks three other services at the same time and puts their answers together.
Source: article 000, section "FastAPI Async Patterns"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: fastapi, httpx
Corrects: The answers' .json() is taken without looking at their status, so an upstream error page lands in the dashboard.
Instead: raise_for_status() inside the group's tasks; a failing service cancels the others and gives a 502.
"""
import asyncio
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException

services = FastAPI()
together = {"now": 0, "peak": 0}


@services.get("/{service}/{number}")
async def service(service: str, number: int):
    together["now"] += 1
    together["peak"] = max(together["peak"], together["now"])
    await asyncio.sleep(0.1)
    together["now"] -= 1
    if service == "hints" and number == 13:
        raise HTTPException(status_code=500, detail="out of hints")
    return {"service": service, "items": number % 5 + len(service)}


@asynccontextmanager
async def lifespan(app):
    transport = httpx.ASGITransport(app=services)
    async with httpx.AsyncClient(transport=transport, base_url="http://inside", timeout=30.0) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def ask(path):
    response = await app.state.client.get(path)
    response.raise_for_status()
    return response.json()


@app.get("/dashboard/{number}")
async def dashboard(number: int):
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(ask(f"/{name}/{number}")) for name in ("person", "loans", "hints")}
    except* httpx.HTTPStatusError as errors:
        raise HTTPException(status_code=502, detail=f"{len(errors.exceptions)} service failed") from None
    return {name: task.result()["items"] for name, task in tasks.items()}


async def main():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://library") as client:
            answer = (await client.get("/dashboard/7")).json()
            print(", ".join(f"{name} {items}" for name, items in answer.items()))
            print("asked at the same time:", together["peak"])
            failed = await client.get("/dashboard/13")
            print(failed.status_code, failed.json()["detail"])


asyncio.run(main())
