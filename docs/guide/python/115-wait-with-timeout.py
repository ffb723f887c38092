"""wait(timeout=...) raises nothing and cancels nothing; it reports what is done and what is not.
Source: article 000, section "asyncio.wait"; article 001, section "gather vs wait vs TaskGroup"; article 003, section "asyncio.wait(): Fine-Grained Control"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def courier(town, pause):
    await asyncio.sleep(pause)
    return town


async def main():
    tasks = [
        asyncio.create_task(courier("Ulm", 0.05)),
        asyncio.create_task(courier("Trier", 0.1)),
        asyncio.create_task(courier("Jena", 30)),
    ]
    done, pending = await asyncio.wait(tasks, timeout=0.6)
    print("arrived:", ", ".join(sorted(task.result() for task in done)))
    print("pending:", len(pending), "cancelled by wait:", sum(task.cancelled() for task in pending))

    for task in pending:
        task.cancel()
    print("right after cancel(), done:", sum(task.done() for task in pending))
    await asyncio.wait(pending)
    print("after waiting, cancelled:", sum(task.cancelled() for task in pending))


asyncio.run(main())
