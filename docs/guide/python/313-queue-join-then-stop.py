"""Fill the queue, join() until everything is processed, then stop the workers.
Source: article 002, section "Queues: Producer/Consumer"; article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: The producer puts a None of its own although the main routine later puts one for each worker.
Instead: One None too many remains in the queue; without the producer's marker the queue ends empty.
"""
import asyncio


async def worker(number, orders, served):
    while True:
        order = await orders.get()
        try:
            if order is None:
                return
            await asyncio.sleep(0.01)
            served.append(order)
        finally:
            orders.task_done()


async def shift(marker_from_producer):
    orders = asyncio.Queue(maxsize=10)
    served = []
    workers = [asyncio.create_task(worker(n, orders, served)) for n in range(4)]
    for order in range(30):
        await orders.put(order)
    if marker_from_producer:
        await orders.put(None)
    await orders.join()
    print("served when join() returns:", len(served))
    for _ in workers:
        await orders.put(None)
    await asyncio.gather(*workers)
    print("markers left over:", orders.qsize())


async def main():
    await shift(marker_from_producer=True)
    await shift(marker_from_producer=False)


asyncio.run(main())
