"""Since 3.13 `async for` over as_completed() gives back the very tasks that were passed in.
Source: article 000, section "asyncio.as_completed"; article 002, section "as_completed: Process Results as They Arrive"
Crates: asyncio-core
Kind: extra
"""
import asyncio


async def probe(depth, pause):
    await asyncio.sleep(pause)
    if depth > 300:
        raise RuntimeError("cable too short")
    return depth / 10


async def main():
    labels = {
        asyncio.create_task(probe(depth, pause)): f"probe at {depth} m"
        for depth, pause in ((120, 0.3), (340, 0.1), (60, 0.2))
    }
    async for task in asyncio.as_completed(labels):
        try:
            print(labels[task], "->", await task, "degrees")
        except RuntimeError as err:
            print(labels[task], "-> failed,", err)


asyncio.run(main())
