"""An async engine on PostgreSQL, a session factory, a select, and an insert in a begin() block.
Source: article 000, section "SQLAlchemy Async"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: sqlalchemy[asyncio], asyncpg, PG_DSN
"""
import asyncio
import os

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "guide_721"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    floor: Mapped[int]
    is_active: Mapped[bool] = mapped_column(default=True)


engine = create_async_engine(
    os.environ["PG_DSN"].replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=4, max_overflow=2, pool_timeout=30, echo=False,
)
new_session = async_sessionmaker(engine, expire_on_commit=False)


async def move_in(name, floor, active=True):
    async with new_session() as session:
        async with session.begin():
            tenant = Tenant(name=name, floor=floor, is_active=active)
            session.add(tenant)
        return tenant


async def active_tenants():
    async with new_session() as session:
        result = await session.execute(select(Tenant).where(Tenant.is_active).order_by(Tenant.id).limit(10))
        return result.scalars().all()


async def main():
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
        await conn.run_sync(Base.metadata.create_all)
    first = await move_in("Greta", 2)
    print("readable after commit:", first.id, first.name)
    await move_in("Hugo", 0, active=False)
    await move_in("Ilse", 3)
    for tenant in await active_tenants():
        print(tenant.id, tenant.name, "floor", tenant.floor)
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
    await engine.dispose()


asyncio.run(main())
