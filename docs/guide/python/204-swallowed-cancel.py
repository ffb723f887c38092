"""A coroutine that catches CancelledError and does not raise it on is not cancelled; it finishes normally.
Source: article 000, section "Task Cancellation"
Crates: asyncio-core
Kind: extra
"""
import asyncio


async def stubborn():
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("ignoring the request")
    await asyncio.sleep(0.02)
    return "finished anyway"


async def main():
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0.02)
    task.cancel("closing time")
    print("await gives:", await task)
    print("cancelled:", "yes" if task.cancelled() else "no")
    print("requests counted:", task.cancelling())


asyncio.run(main())
