"""A pool lends connections; fetchrow gives one row or None, fetch a list, fetchval one value.
Source: article 000, section "asyncpg (PostgreSQL)"; article 003, section "Connection Pool (Production Required)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


async def main():
    pool = await asyncpg.create_pool(dsn=os.environ["PG_DSN"], min_size=1, max_size=3, command_timeout=30)
    async with pool.acquire() as conn:
        await conn.execute("DROP TABLE IF EXISTS guide_712")
        await conn.execute("CREATE TABLE guide_712 (id int, captain text, port text, status text)")
        await conn.executemany("INSERT INTO guide_712 VALUES($1, $2, $3, $4)", [
            (1, "Ines", "Porto", "at sea"), (2, "Ines", "Bilbao", "docked"), (3, "Olaf", "Bergen", "at sea"),
            (4, "Ines", "Cork", "at sea"),
        ])
        row = await conn.fetchrow("SELECT captain, port FROM guide_712 WHERE id = $1", 3)
        print(f"{row['captain']} of {row['port']}")
        print("no such ship:", await conn.fetchrow("SELECT * FROM guide_712 WHERE id = $1", 99))
        rows = await conn.fetch(
            "SELECT * FROM guide_712 WHERE captain = $1 AND status = $2 ORDER BY id", "Ines", "at sea")
        for row in rows:
            print(row["id"], row["port"])
        print("ships", await conn.fetchval("SELECT count(*) FROM guide_712"))
        await conn.execute("DROP TABLE guide_712")
    await pool.close()


asyncio.run(main())
