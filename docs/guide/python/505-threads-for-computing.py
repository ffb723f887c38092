"""A thread pool keeps computing in this process, under one GIL; a process pool spreads it over others.
Source: article 002, section "Mixing Sync and Async"; article 003, section "Running Sync Blocking Functions in Async"; article 004, section "5. Running Blocking Code in Asyncio"; article 001, section "Interview Talking Points"
Crates: asyncio-core
Kind: correction
Corrects: CPU-bound work is sent to a thread pool (002; 003 and 004 recommend threads for it as well).
Instead: The thread jobs all ran in this very process, so CPython's GIL serialises them; only process jobs left it.
"""
import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def checksum(seed):
    value = seed
    for _ in range(20_000):
        value = (value * 1103515245 + 12345) % 2_147_483_648
    return value, os.getpid(), threading.get_native_id()


async def spread(pool, title):
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*(loop.run_in_executor(pool, checksum, seed) for seed in range(6)))
    here = sum(pid == os.getpid() for _, pid, _ in results)
    main_thread = sum(tid == threading.get_native_id() for _, _, tid in results)
    print(f"{title}: sum {sum(value for value, _, _ in results)}")
    print(f"  jobs in this process {here}, in the loop's thread {main_thread}")


async def main():
    with ProcessPoolExecutor(2) as pool:
        await spread(pool, "processes")
    with ThreadPoolExecutor(2) as pool:
        await spread(pool, "threads")


if __name__ == "__main__":
    asyncio.run(main())
