"""A thousand records go into a table in one COPY.
Source: article 000, section "asyncpg (PostgreSQL)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


async def main():
    conn = await asyncpg.connect(os.environ["PG_DSN"])
    try:
        await conn.execute("CREATE TEMP TABLE seedling (id serial, species text, height int NOT NULL)")
        records = [(f"species-{n % 8}", n * 3 % 50) for n in range(1000)]
        print(await conn.copy_records_to_table("seedling", records=records, columns=["species", "height"]))
        total, tallest, last = await conn.fetchrow("SELECT count(*), max(height), max(id) FROM seedling")
        print("rows", total, "tallest", tallest, "last id", last)
        for row in await conn.fetch(
                "SELECT species, sum(height) AS all_heights FROM seedling GROUP BY species ORDER BY species LIMIT 2"):
            print(row["species"], row["all_heights"])
        try:
            await conn.copy_records_to_table(
                "seedling", records=[("oak", 12), ("elm", None)], columns=["species", "height"])
        except asyncpg.NotNullViolationError:
            print("one bad record spoils the whole copy: NotNullViolationError")
        print("rows", await conn.fetchval("SELECT count(*) FROM seedling"))
    finally:
        await conn.close()


asyncio.run(main())
