"""Without the flag the first error is raised at once, while the sibling coroutines keep running.
Source: article 001, section "gather vs wait vs TaskGroup"; article 003, section "asyncio.gather(): Bulk Concurrency"; article 000, section "Prefer TaskGroup Over gather"
Crates: asyncio-core
Kind: correction
Corrects: The first exception in gather() is said to cancel all the others (001).
Instead: gather() cancels nobody: both siblings complete after the error has already been caught.
"""
import asyncio

loaded = []
cancelled = []


async def load_crate(fruit, pause, rotten=False):
    try:
        await asyncio.sleep(pause)
    except asyncio.CancelledError:
        cancelled.append(fruit)
        raise
    if rotten:
        raise ValueError(f"{fruit} are rotten")
    loaded.append(fruit)


async def main():
    try:
        await asyncio.gather(
            load_crate("pears", 0.05, rotten=True),
            load_crate("plums", 0.25),
            load_crate("figs", 0.4),
        )
    except ValueError as err:
        print("caught:", err)
    print("loaded at that moment:", len(loaded))
    await asyncio.sleep(0.8)
    print("loaded later:", ", ".join(loaded))
    print("cancelled:", len(cancelled))


asyncio.run(main())
