"""A bounded queue makes a fast producer wait until the slow consumer has taken something.
Source: article 001, section "asyncio.Queue — Producer/Consumer"; article 000, section "Async Queue (Producer-Consumer)"; article 003, section "7. Queue: Producer-Consumer Pattern"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio

log = []


async def well(pipe, buckets):
    for bucket in range(1, buckets + 1):
        if pipe.full():
            log.append(f"bucket {bucket} has to wait")
        await pipe.put(bucket)
        log.append(f"put {bucket}, {pipe.qsize()} in the pipe")
    await pipe.put(None)


async def garden(pipe):
    await asyncio.sleep(0.05)
    while (bucket := await pipe.get()) is not None:
        log.append(f"took {bucket}")
        await asyncio.sleep(0.02)


async def main():
    pipe = asyncio.Queue(maxsize=2)
    await asyncio.gather(well(pipe, 5), garden(pipe))
    print("\n".join(log))
    try:
        pipe.put_nowait("a")
        pipe.put_nowait("b")
        pipe.put_nowait("c")
    except asyncio.QueueFull:
        print("put_nowait on a full queue: QueueFull")


asyncio.run(main())
