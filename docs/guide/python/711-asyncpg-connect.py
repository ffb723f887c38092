"""A single connection queries with parameters, inserts, and is closed.
Source: article 003, section "asyncpg (PostgreSQL)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import os

import asyncpg


async def main():
    conn = await asyncpg.connect(os.environ["PG_DSN"])
    await conn.execute("CREATE TEMP TABLE lodger (id serial PRIMARY KEY, name text, room text, active boolean)")
    for name, room, active in (("Vera", "attic", True), ("Sam", "cellar", False), ("Noor", "tower", True)):
        status = await conn.execute("INSERT INTO lodger(name, room, active) VALUES($1, $2, $3)", name, room, active)
    print(status)

    rows = await conn.fetch("SELECT id, name FROM lodger WHERE active = $1 ORDER BY id", True)
    for row in rows:
        print(row["id"], row["name"])
    print("columns:", ", ".join(rows[0].keys()), "by index:", rows[0][1])

    await conn.close()
    print("closed:", "yes" if conn.is_closed() else "no")


asyncio.run(main())
