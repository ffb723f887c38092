"""The lifespan opens a PostgreSQL pool; the endpoints take a connection from it, one of them by a dependency.
Source: article 000, section "FastAPI Async Patterns"
Crates: asyncio-core, asyncio-net, asyncio-db
Kind: snippet
Needs: fastapi, httpx, asyncpg, PG_DSN
"""
import asyncio
import os
from contextlib import asynccontextmanager

import asyncpg
import httpx
from fastapi import Depends, FastAPI, HTTPException


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(os.environ["PG_DSN"], min_size=1, max_size=3)
    await app.state.pool.execute("DROP TABLE IF EXISTS guide_803")
    await app.state.pool.execute("CREATE TABLE guide_803 (id int, label text, year int)")
    await app.state.pool.executemany("INSERT INTO guide_803 VALUES($1, $2, $3)", [
        (1, "vase", 1740), (2, "clock", 1811), (3, "globe", 1690)])
    yield
    await app.state.pool.execute("DROP TABLE guide_803")
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


async def connection():
    async with app.state.pool.acquire() as conn:
        yield conn


@app.get("/exhibits/{number}")
async def exhibit(number: int):
    async with app.state.pool.acquire() as conn:
        row = await conn.fetchrow("SELECT * FROM guide_803 WHERE id = $1", number)
    if row is None:
        raise HTTPException(status_code=404, detail="not in the collection")
    return dict(row)


@app.get("/exhibits")
async def exhibits(conn=Depends(connection)):
    return [dict(row) for row in await conn.fetch("SELECT label, year FROM guide_803 ORDER BY year DESC LIMIT 50")]


async def main():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://museum") as client:
            found = (await client.get("/exhibits/2")).json()
            print(found["id"], found["label"], found["year"])
            missing = await client.get("/exhibits/8")
            print(missing.status_code, missing.json()["detail"])
            for item in (await client.get("/exhibits")).json():
                print(item["year"], item["label"])
        print("connections still lent:", app.state.pool.get_size() - app.state.pool.get_idle_size())


asyncio.run(main())
