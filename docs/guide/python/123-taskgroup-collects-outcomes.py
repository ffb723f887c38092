"""A small wrapper lets a TaskGroup collect failures as values, like gather(return_exceptions=True).
Source: article 000, section "Prefer TaskGroup Over gather"
Crates: asyncio-core
Kind: correction
Corrects: return_exceptions=True is said to be the only reason left for gather().
Instead: That behaviour needs no gather: each child catches its own error and hands it back as a value.
"""
import asyncio


async def ripen(cheese, pause):
    await asyncio.sleep(pause)
    if cheese == "brie":
        raise RuntimeError("brie ran away")
    return f"{cheese} is ripe"


async def outcome(coro):
    try:
        return "good", await coro
    except Exception as err:
        return "bad", str(err)


async def main():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(ripen(c, p))) for c, p in (("gouda", 0.1), ("brie", 0.02), ("feta", 0.05))]
    for task in tasks:
        kind, text = task.result()
        print(f"{kind}: {text}")


asyncio.run(main())
