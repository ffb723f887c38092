"""When all tasks wake in the same turn of the loop, a failure comes too late to cancel the others.
Source: article 000, section "TaskGroup Error Handling"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: Of three tasks with one and the same delay, the two good ones are said to be cancelled when the third fails.
Instead: Released together, A has finished before B fails and C finishes in the same turn; nobody is cancelled.
"""
import asyncio

log = []


async def candle(name, gate):
    await gate.wait()
    if name == "B":
        log.append("B goes out")
        raise ValueError("draught at B")
    log.append(f"{name} burns down")
    return name


async def main():
    gate = asyncio.Event()
    tasks = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(candle(name, gate)) for name in "ABC"]
            await asyncio.sleep(0.02)
            gate.set()
    except* ValueError as errors:
        log.append("caught " + ", ".join(str(err) for err in errors.exceptions))
    print("\n".join(log))
    print("cancelled tasks:", sum(task.cancelled() for task in tasks))


asyncio.run(main())
