"""Ten queries share a pool of three connections; the pool never lends more than it has.
Source: article 003, section "Connection Pool (Production Required)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


async def main():
    pool = await asyncpg.create_pool(os.environ["PG_DSN"], min_size=2, max_size=3)
    await pool.execute("DROP TABLE IF EXISTS guide_716")
    await pool.execute("CREATE TABLE guide_716 AS SELECT n AS id, 'bell ' || n AS name FROM generate_series(1, 8) n")
    backends = set()
    lent = {"now": 0, "peak": 0}

    async def query(number):
        async with pool.acquire() as conn:
            lent["now"] += 1
            lent["peak"] = max(lent["peak"], lent["now"])
            backends.add(conn.get_server_pid())
            await conn.execute("SELECT pg_sleep(0.05)")
            row = await conn.fetchrow("SELECT name FROM guide_716 WHERE id = $1", number)
            lent["now"] -= 1
            return row["name"] if row else "nothing"

    print(", ".join(await asyncio.gather(*(query(n) for n in range(1, 11)))))
    print("lent at most", lent["peak"], "server processes", len(backends), "pool size", pool.get_size())
    await pool.execute("DROP TABLE guide_716")
    await pool.close()


asyncio.run(main())
