"""Cancelling the gather itself, unlike an error in one child, does cancel all its children.
Source: article 001, section "gather vs wait vs TaskGroup"; article 000, section "Task Cancellation"
Crates: asyncio-core
Kind: extra
"""
import asyncio

log = []


async def patrol(gate):
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        log.append(f"{gate} called off")
        raise


async def main():
    watch = asyncio.gather(patrol("north gate"), patrol("south gate"))
    await asyncio.sleep(0.02)
    print("cancel accepted:", "yes" if watch.cancel() else "no")
    try:
        await watch
    except asyncio.CancelledError:
        log.append("watch ended")
    print("\n".join(log))


asyncio.run(main())
