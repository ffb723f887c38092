"""A lock lets its waiters in one at a time, in the order in which they asked.
Source: article 004, section "6. Synchronization: Locks, Events, Semaphores"; article 003, section "Lock: Mutual Exclusion"
Crates: asyncio-core, asyncio-sync
Kind: extra
"""
import asyncio


async def diarist(lock, pages, day):
    async with lock:
        pages.append(day)
        await asyncio.sleep(0.02)
        print(f"{day} written")
        pages.append(day.lower())


async def main():
    lock = asyncio.Lock()
    pages = []
    days = ["Mon", "Tue", "Wed", "Thu"]
    await asyncio.gather(*(asyncio.create_task(diarist(lock, pages, day)) for day in days))
    print(" ".join(pages))


asyncio.run(main())
