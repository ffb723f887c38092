"""A context manager of one's own opens a pool on entering and closes it on leaving, also after an error.
Source: article 002, section "Async Context Managers"; article 001, section "Async Context Managers & Iterators"; article 003, section "Async Context Managers"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


class Ledger:
    async def __aenter__(self):
        self.pool = await asyncpg.create_pool(os.environ["PG_DSN"], min_size=1, max_size=2)
        print("pool open")
        return self.pool

    async def __aexit__(self, kind, error, trace):
        await self.pool.close()
        print("pool closed", "" if kind is None else f"after {kind.__name__}", sep=" " if kind else "")


async def main():
    async with Ledger() as pool:
        async with pool.acquire() as conn:
            rows = await conn.fetch("SELECT n, n * n AS square FROM generate_series(2, 4) AS n")
            print(", ".join(f"{row['n']}²={row['square']}" for row in rows))
    try:
        async with Ledger() as pool:
            await pool.fetchval("SELECT 1 / 0")
    except asyncpg.DivisionByZeroError as err:
        print("error:", err)
    try:
        await pool.fetchval("SELECT 1")
    except asyncpg.InterfaceError as err:
        print("error:", err)


asyncio.run(main())
