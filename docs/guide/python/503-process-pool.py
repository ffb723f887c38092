"""Computing goes to other processes with a ProcessPoolExecutor, while the loop stays responsive.
Source: article 001, section "Running Sync Code in Async Context"; article 003, section "Running Sync Blocking Functions in Async"; article 004, section "13. Combining Asyncio with Threads/Processes"
Crates: asyncio-core
Kind: correction
Corrects: ProcessPoolExecutor is used without being imported (001, 003), and without a main guard (004).
Instead: The import and the guard are there; the guard is needed wherever workers are started by spawning or a fork server.
"""
import asyncio
import os
from concurrent.futures import ProcessPoolExecutor


def collatz_steps(start):
    steps, n = 0, start
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps, os.getpid()


async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(max_workers=2) as pool:
        jobs = [loop.run_in_executor(pool, collatz_steps, n) for n in (6, 27, 97, 871)]
        results = await asyncio.gather(*jobs)
    print("steps", [steps for steps, _ in results])
    print("computed in this process:", sum(pid == os.getpid() for _, pid in results))


if __name__ == "__main__":
    asyncio.run(main())
