"""Several failures arrive in one ExceptionGroup and are sorted by kind with several except* clauses.
Source: article 000, section "TaskGroup Error Handling"
Crates: asyncio-core, asyncio-sync
Kind: extra
"""
import asyncio


async def sensor(name, gate, problem=None):
    await gate.wait()
    if problem:
        raise problem
    return name


async def main():
    gate = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sensor("roof", gate, ValueError("roof reads -400")))
            group.create_task(sensor("cellar", gate, OSError("cellar cable cut")))
            group.create_task(sensor("yard", gate, ValueError("yard reads 900")))
            group.create_task(sensor("hall", gate))
            await asyncio.sleep(0.02)
            gate.set()
    except* ValueError as wrong:
        print("bad readings:", "; ".join(str(err) for err in wrong.exceptions))
    except* OSError as broken:
        print("broken lines:", "; ".join(str(err) for err in broken.exceptions))
    print("went on")


asyncio.run(main())
