"""A transaction block commits on leaving and rolls everything back on an error; a nested one is a savepoint.
Source: article 000, section "asyncpg (PostgreSQL)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


async def move(conn, cents, source, target):
    async with conn.transaction():
        await conn.execute("UPDATE purse SET cents = cents + $1 WHERE owner = $2", cents, target)
        await conn.execute("UPDATE purse SET cents = cents - $1 WHERE owner = $2", cents, source)


async def show(conn, title):
    rows = await conn.fetch("SELECT owner, cents FROM purse ORDER BY owner")
    print(f"{title}:", ", ".join(f"{row['owner']} {row['cents']}" for row in rows))


async def main():
    conn = await asyncpg.connect(os.environ["PG_DSN"])
    try:
        await conn.execute("CREATE TEMP TABLE purse (owner text, cents int CHECK (cents >= 0))")
        await conn.executemany("INSERT INTO purse VALUES($1, $2)", [("Ada", 500), ("Bo", 120)])
        await move(conn, 200, "Ada", "Bo")
        await show(conn, "moved")
        try:
            await move(conn, 900, "Ada", "Bo")
        except asyncpg.CheckViolationError:
            print("refused: CheckViolationError")
        await show(conn, "rolled back")

        async with conn.transaction():
            await conn.execute("UPDATE purse SET cents = cents + 1")
            try:
                async with conn.transaction():
                    await conn.execute("DELETE FROM purse")
                    raise RuntimeError("thief caught")
            except RuntimeError as err:
                print(err)
        await show(conn, "savepoint undone, rest kept")
    finally:
        await conn.close()


asyncio.run(main())
