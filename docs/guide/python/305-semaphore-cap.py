"""However many coroutines want in, a semaphore lets only so many inside together.
Source: article 000, section "Semaphore (Rate Limiting)"; article 001, section "Semaphore — Limit Concurrency"; article 002, section "Semaphores: Limit Concurrency"; article 003, section "Semaphore: Limit Concurrent Tasks"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


class Pool:
    def __init__(self, lanes):
        self.lanes = asyncio.Semaphore(lanes)
        self.inside = 0
        self.peak = 0

    async def swim(self, swimmer):
        async with self.lanes:
            self.inside += 1
            self.peak = max(self.peak, self.inside)
            await asyncio.sleep(0.01)
            self.inside -= 1
            return swimmer * swimmer


async def main():
    pool = Pool(4)
    squares = await asyncio.gather(*(pool.swim(n) for n in range(20)))
    print("swimmers", len(squares), "sum", sum(squares))
    print("most in the water", pool.peak)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.swim(n)) for n in range(3)]
    print([task.result() for task in tasks])


asyncio.run(main())
