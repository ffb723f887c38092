"""The same on SQLite: commit by begin(), roll-back on an error, scalars() and session.get().
Source: article 000, section "SQLAlchemy Async"; article 001, section "asyncio in Production (FastAPI / LangChain)"
Crates: asyncio-core, asyncio-db
Kind: extra
Needs: sqlalchemy[asyncio], aiosqlite
"""
import asyncio

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Cheese(Base):
    __tablename__ = "cheese"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    weeks: Mapped[int]


async def main():
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    new_session = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
        print("plain SQL:", (await conn.execute(text("SELECT 6 * 7"))).scalar_one())

    async with new_session() as session:
        async with session.begin():
            session.add_all([Cheese(name="comté", weeks=60), Cheese(name="brie", weeks=5), Cheese(name="edam", weeks=9)])
    try:
        async with new_session() as session, session.begin():
            session.add(Cheese(name="quark", weeks=0))
            await session.flush()
            raise RuntimeError("mice")
    except RuntimeError as err:
        print("rolled back:", err)

    async with new_session() as session:
        young = await session.scalars(select(Cheese).where(Cheese.weeks < 20).order_by(Cheese.name))
        print("young:", ", ".join(cheese.name for cheese in young))
        print("count", await session.scalar(select(func.count()).select_from(Cheese)))
        print("by key:", (await session.get(Cheese, 1)).name, "/", "found" if await session.get(Cheese, 99) else "nothing")
    await engine.dispose()


asyncio.run(main())
