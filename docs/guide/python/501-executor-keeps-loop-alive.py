"""A blocking function in a thread leaves the loop free to run other tasks meanwhile.
Source: article 001, section "Running Sync Code in Async Context"; article 002, section "Mixing Sync and Async"; article 003, section "Running Sync Blocking Functions in Async"; article 004, section "13. Combining Asyncio with Threads/Processes"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor


def slow_archive(year):
    time.sleep(0.5)
    return f"records of {year}"


async def ticker(ticks):
    while True:
        ticks.append("tick")
        await asyncio.sleep(0.05)


async def main():
    loop = asyncio.get_running_loop()
    ticks = []
    clock = asyncio.create_task(ticker(ticks))

    print(await loop.run_in_executor(None, slow_archive, 1887))
    print("clock went on meanwhile:", "yes" if len(ticks) >= 3 else "no")
    clock.cancel()

    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="archive") as pool:
        jobs = [loop.run_in_executor(pool, slow_archive, year) for year in (1901, 1902)]
        print("; ".join(await asyncio.gather(*jobs)))


asyncio.run(main())
