"""A synchronous helper that needs a loop of its own can be run in another thread.
Source: article 003, section "❌ Pitfall 4: Calling asyncio.run() Inside Existing Event Loop"; article 003, section "11. Calling Async from Sync Code"
Crates: asyncio-core
Kind: extra
"""
import asyncio
import threading

loops = set()


async def measure(depth):
    loops.add((threading.get_ident(), id(asyncio.get_running_loop())))
    await asyncio.sleep(0.01)
    return depth * 2


def synchronous_library(depth):
    return asyncio.run(measure(depth)) + 1


async def main():
    keep = asyncio.get_running_loop()
    answer = await asyncio.to_thread(synchronous_library, 20)
    print("from the thread's own loop:", answer)
    print("in this loop:", await measure(20))
    print("two different loops:", "yes" if len(loops) == 2 and keep.is_running() else "no")


asyncio.run(main())
