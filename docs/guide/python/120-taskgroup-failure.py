"""One failure cancels the siblings that still run, and surfaces as an ExceptionGroup for except*.
Source: article 000, section "TaskGroup Error Handling"; article 002, section "TaskGroup: Better Error Handling (Python 3.11+)"; article 001, section "gather vs wait vs TaskGroup"
Crates: asyncio-core
Kind: correction
Corrects: On an error all tasks of the group are said to be cancelled (002).
Instead: A task that had finished before the failure keeps its result; only unfinished ones are cancelled.
"""
import asyncio

log = []


async def drill(hole, pause, rock=False):
    try:
        await asyncio.sleep(pause)
        if rock:
            raise ValueError(f"hole {hole} hit rock")
        log.append(f"hole {hole} drilled")
        return hole
    except asyncio.CancelledError:
        log.append(f"hole {hole} abandoned")
        raise


async def main():
    tasks = {}
    try:
        async with asyncio.TaskGroup() as group:
            tasks["A"] = group.create_task(drill("A", 0.05))
            tasks["B"] = group.create_task(drill("B", 0.3, rock=True))
            tasks["C"] = group.create_task(drill("C", 30))
    except* ValueError as errors:
        for err in errors.exceptions:
            log.append(f"caught {err}")
    print("\n".join(log))
    print("A cancelled:", "yes" if tasks["A"].cancelled() else "no, result " + tasks["A"].result())
    print("C cancelled:", "yes" if tasks["C"].cancelled() else "no")


asyncio.run(main())
