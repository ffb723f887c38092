"""One producer, one consumer, and a None that says there is no more.
Source: article 001, section "asyncio.Queue — Producer/Consumer"; article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


async def orchard(belt):
    for apple in ("red", "green", "speckled", "yellow"):
        await belt.put(apple)
        print(f"picked {apple}")
        await asyncio.sleep(0.05)
    await belt.put(None)


async def press(belt):
    litres = 0
    while (apple := await belt.get()) is not None:
        litres += len(apple)
        print(f"pressed {apple}")
        belt.task_done()
    belt.task_done()
    return litres


async def main():
    belt = asyncio.Queue(maxsize=5)
    _, litres = await asyncio.gather(orchard(belt), press(belt))
    print("litres", litres)
    await belt.join()
    print("belt is empty:", "yes" if belt.empty() else "no")


asyncio.run(main())
