"""A single end marker stops a single consumer; with three consumers two wait for ever.
Source: article 000, section "Async Queue (Producer-Consumer)"; article 003, section "7. Queue: Producer-Consumer Pattern"; article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: One None is put for several consumers and the program is shown as one that ends (000 with 5, 003 and 004 with 2 consumers).
Instead: All items are processed, one consumer ends, the others stay in get(); only a timeout ends the program.
"""
import asyncio


async def packer(conveyor, packed):
    while True:
        toy = await conveyor.get()
        if toy is None:
            conveyor.task_done()
            return
        await asyncio.sleep(0.01)
        packed.append(toy)
        conveyor.task_done()


async def main():
    conveyor = asyncio.Queue()
    packed = []
    packers = [asyncio.create_task(packer(conveyor, packed)) for _ in range(3)]
    for toy in ("bear", "train", "kite", "drum", "yo-yo"):
        await conveyor.put(toy)
    await conveyor.put(None)

    await conveyor.join()
    print("packed:", len(packed))
    ended, stuck = await asyncio.wait(packers, timeout=0.5)
    print("packers that ended:", len(ended))
    print("packers that wait for ever:", len(stuck))
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


asyncio.run(main())
