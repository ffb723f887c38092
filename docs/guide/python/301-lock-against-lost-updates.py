"""Reading, waiting and writing back loses updates without a lock and none with it.
Source: article 003, section "Lock: Mutual Exclusion"; article 004, section "6. Synchronization: Locks, Events, Semaphores"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


class Till:
    def __init__(self):
        self.cents = 0
        self.lock = asyncio.Lock()

    async def slow_add(self, amount):
        seen = self.cents
        await asyncio.sleep(0.01)
        self.cents = seen + amount

    async def safe_add(self, amount):
        async with self.lock:
            await self.slow_add(amount)


async def main():
    careless, careful = Till(), Till()
    await asyncio.gather(*(careless.slow_add(20) for _ in range(6)))
    await asyncio.gather(*(careful.safe_add(20) for _ in range(6)))
    print("without a lock", careless.cents)
    print("with a lock", careful.cents)
    print("lock is free:", "no" if careful.lock.locked() else "yes")


asyncio.run(main())
