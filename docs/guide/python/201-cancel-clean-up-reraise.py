"""A cancelled task cleans up, raises CancelledError on, and its awaiter sees it.
Source: article 000, section "Task Cancellation"; article 003, section "✅ Best Practices Summary"; article 004, section "8. Timeouts and Task Cancellation"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


async def mill(turned_twice):
    turns = 0
    try:
        while True:
            await asyncio.sleep(0.03)
            turns += 1
            if turns <= 2:
                print("turn", turns)
            if turns == 2:
                turned_twice.set()
    except asyncio.CancelledError:
        print("mill: brake on, sacks closed")
        raise


async def main():
    turned_twice = asyncio.Event()
    task = asyncio.create_task(mill(turned_twice))
    await turned_twice.wait()
    print("cancel asked:", "yes" if task.cancel() else "no")
    try:
        await task
    except asyncio.CancelledError:
        print("main: mill has stopped")
    print("done", "yes" if task.done() else "no", "cancelled", "yes" if task.cancelled() else "no")
    print("cancel asked again:", "yes" if task.cancel() else "no")


asyncio.run(main())
