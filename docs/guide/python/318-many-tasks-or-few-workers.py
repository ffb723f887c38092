"""A semaphore caps what runs, but all tasks exist at once; a few workers on an iterator keep tasks few.
Source: article 002, section "Creating too many tasks"; article 001, section "Common Mistakes"; article 002, section "Semaphores: Limit Concurrency"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: A semaphore around each of ten thousand gathered coroutines is given as the cure for too many tasks.
Instead: That still creates one task per item; five workers sharing an iterator do the same with five tasks.
"""
import asyncio


async def stamp(number, gauge):
    gauge["inside"] += 1
    gauge["peak"] = max(gauge["peak"], gauge["inside"])
    gauge["tasks"] = max(gauge["tasks"], len(asyncio.all_tasks()) - 1)
    await asyncio.sleep(0.002)
    gauge["inside"] -= 1
    return number


async def with_semaphore(count, gauge):
    permits = asyncio.Semaphore(5)

    async def limited(number):
        async with permits:
            return await stamp(number, gauge)

    return sum(await asyncio.gather(*(limited(n) for n in range(count))))


async def with_workers(count, gauge):
    numbers = iter(range(count))

    async def worker():
        return sum([await stamp(n, gauge) for n in numbers])

    return sum(await asyncio.gather(*(worker() for _ in range(5))))


async def main():
    for way in (with_semaphore, with_workers):
        gauge = {"inside": 0, "peak": 0, "tasks": 0}
        total = await way(300, gauge)
        print(f"{way.__name__}: total {total}, together {gauge['peak']}, tasks {gauge['tasks']}")


asyncio.run(main())
