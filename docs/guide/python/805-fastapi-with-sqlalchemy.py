"""An endpoint gets an AsyncSession from a dependency and loads an object by its key.
Source: article 001, section "asyncio in Production (FastAPI / LangChain)"; article 000, section "SQLAlchemy Async"
Crates: asyncio-core, asyncio-net, asyncio-db
Kind: correction
Needs: fastapi, httpx, sqlalchemy[asyncio], aiosqlite
Corrects: "return user" without a check: an unknown id answers 200 with null.
Instead: The unchecked endpoint shows that; the checked one answers 404.
"""
import asyncio

import httpx
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Rider(Base):
    __tablename__ = "rider"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


engine = create_async_engine("sqlite+aiosqlite:///:memory:")
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def session():
    async with new_session() as opened:
        yield opened


@app.get("/unchecked/{number}")
async def unchecked(number: int, db=Depends(session)):
    return await db.get(Rider, number)


@app.get("/riders/{number}")
async def rider(number: int, db=Depends(session)):
    found = await db.get(Rider, number)
    if found is None:
        raise HTTPException(status_code=404, detail="no such rider")
    return {"id": found.id, "name": found.name}


async def main():
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    async with new_session() as db, db.begin():
        db.add_all([Rider(name="Petra"), Rider(name="Cyril")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://stable") as client:
        for path in ("/riders/2", "/riders/7", "/unchecked/1", "/unchecked/7"):
            response = await client.get(path)
            data = response.json() or {}
            print(path, response.status_code, data.get("name") or data.get("detail") or "nothing")
    await engine.dispose()


asyncio.run(main())
