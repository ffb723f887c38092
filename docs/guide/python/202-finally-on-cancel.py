"""try/finally releases a resource whether the coroutine ends, fails or is cancelled.
Source: article 004, section "8. Timeouts and Task Cancellation"; article 000, section "Task Cancellation"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def borrow(book, end):
    print(f"{book}: lent out")
    try:
        if end == "fails":
            raise ValueError("coffee on page 12")
        if end == "is cancelled":
            await asyncio.sleep(30)
        return "read"
    finally:
        print(f"{book}: back on the shelf")


async def main():
    for book, end in (("atlas", "returns"), ("novel", "fails"), ("primer", "is cancelled")):
        task = asyncio.create_task(borrow(book, end))
        await asyncio.sleep(0.02)
        task.cancel()
        try:
            print(f"{book}: {await task}")
        except ValueError as err:
            print(f"{book}: {err}")
        except asyncio.CancelledError:
            print(f"{book}: cancelled")


asyncio.run(main())
