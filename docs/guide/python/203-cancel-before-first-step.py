"""A task cancelled before its first step never runs at all, so no clean-up inside it runs either.
Source: article 003, section "✅ Best Practices Summary"
Crates: asyncio-core
Kind: correction
Corrects: create_task() directly followed by cancel() is given as the model for cancelling (practice 5).
Instead: In that order the coroutine body never begins: neither its first line nor its finally block runs.
"""
import asyncio

trace = []


async def kiln():
    trace.append("fire lit")
    try:
        await asyncio.sleep(30)
    finally:
        trace.append("fire out")


async def stop(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        trace.append("cancelled")


async def main():
    await stop(asyncio.create_task(kiln()))
    print("at once:", ", ".join(trace))

    trace.clear()
    task = asyncio.create_task(kiln())
    await asyncio.sleep(0)
    await stop(task)
    print("after one turn:", ", ".join(trace))


asyncio.run(main())
