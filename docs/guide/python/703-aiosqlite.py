"""A SQLite table is created, filled, committed and read row by row.
Source: article 003, section "aiosqlite (SQLite)"
Crates: asyncio-core, asyncio-db
Kind: snippet
Needs: aiosqlite
"""
import asyncio
import pathlib
import tempfile

import aiosqlite


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "bees.db")
        async with aiosqlite.connect(path) as db:
            await db.execute("CREATE TABLE IF NOT EXISTS hive (id INTEGER PRIMARY KEY, place TEXT, kilos INTEGER)")
            await db.execute("INSERT INTO hive(place, kilos) VALUES(?, ?)", ("orchard", 21))
            await db.executemany("INSERT INTO hive(place, kilos) VALUES(?, ?)", [("heath", 14), ("roof", 9)])
            await db.commit()
            await db.execute("INSERT INTO hive(place, kilos) VALUES('never kept', 0)")
            await db.rollback()

        async with aiosqlite.connect(path) as db:
            async with db.execute("SELECT id, place, kilos FROM hive ORDER BY id") as cursor:
                async for number, place, kilos in cursor:
                    print(number, place, kilos)
            async with db.execute("SELECT count(*), sum(kilos) FROM hive WHERE kilos > ?", (10,)) as cursor:
                print("above ten:", *(await cursor.fetchone()))
            try:
                await db.execute("SELECT wax FROM hive")
            except aiosqlite.OperationalError as err:
                print("error:", err)


asyncio.run(main())
