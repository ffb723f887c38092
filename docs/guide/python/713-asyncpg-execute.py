"""execute() reports what was done; now() and a JSON payload are filled in and read back.
Source: article 000, section "asyncpg (PostgreSQL)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: asyncpg, PG_DSN
"""
import asyncio
import json
import os

import asyncpg


async def main():
    conn = await asyncpg.connect(os.environ["PG_DSN"])
    try:
        print(await conn.execute("CREATE TEMP TABLE happening (kind text, payload jsonb, at timestamptz)"))
        print(await conn.execute(
            "INSERT INTO happening(kind, payload, at) VALUES($1, $2, now())",
            "gate.opened", json.dumps({"key": "brass", "turns": 2})))
        print(await conn.execute("UPDATE happening SET kind = $1 WHERE kind = $2", "gate.shut", "window.opened"))
        row = await conn.fetchrow("SELECT payload, payload->>'key' AS key, at <= now() AS past FROM happening")
        print("payload arrives as text:", "yes" if isinstance(row["payload"], str) else "no")
        print(json.loads(row["payload"])["turns"], row["key"], "in the past:", "yes" if row["past"] else "no")
        print(await conn.execute("DELETE FROM happening"))
        try:
            await conn.execute("INSERT INTO happening(payload) VALUES($1)", "{no json")
        except asyncpg.PostgresError as err:
            print(type(err).__name__, err.sqlstate)
    finally:
        await conn.close()


asyncio.run(main())
