"""wait(FIRST_EXCEPTION) stops at the first failure, and waits for all of them when none fails.
Source: article 003, section "asyncio.wait(): Fine-Grained Control"; article 001, section "gather vs wait vs TaskGroup"
Crates: asyncio-core
Kind: correction
Corrects: FIRST_EXCEPTION is described only as returning when the first one fails.
Instead: Without a failure it behaves like ALL_COMPLETED, and a cancelled task does not count as a failure.
"""
import asyncio


async def valve(name, pause, leaks=False):
    await asyncio.sleep(pause)
    if leaks:
        raise OSError(f"{name} leaks")
    return name


async def trial(title, specs, cancel_first=False):
    tasks = [asyncio.create_task(valve(*spec)) for spec in specs]
    if cancel_first:
        tasks[0].cancel()
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    print(f"{title}: {len(done)} done, {len(pending)} pending")
    for task in done:
        if not task.cancelled() and task.exception():
            print(" ", task.exception())
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def main():
    await trial("one leaks", [("A", 0.02), ("B", 0.2, True), ("C", 5.0)])
    await trial("none leaks", [("A", 0.02), ("B", 0.1)])
    await trial("one cancelled", [("A", 5.0), ("B", 0.1), ("C", 0.15)], cancel_first=True)


asyncio.run(main())
