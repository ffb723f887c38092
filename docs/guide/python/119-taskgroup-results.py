"""A TaskGroup block ends when all its tasks have ended; their results are read afterwards.
Source: article 000, section "Structured Concurrency with TaskGroup"; article 001, section "gather vs wait vs TaskGroup"; article 002, section "TaskGroup: Better Error Handling (Python 3.11+)"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def count_birds(lake, pause, number):
    await asyncio.sleep(pause)
    print(f"counted {lake}")
    return number


async def main():
    async with asyncio.TaskGroup() as group:
        cranes = group.create_task(count_birds("north lake", 0.2, 31))
        herons = group.create_task(count_birds("south lake", 0.1, 12))
        terns = group.create_task(count_birds("pond", 0.3, 54))
        print("group is open")
    print("group is closed, all done:", "yes" if cranes.done() and herons.done() and terns.done() else "no")
    print(cranes.result(), herons.result(), terns.result())


asyncio.run(main())
