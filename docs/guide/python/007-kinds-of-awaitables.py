"""A coroutine, a task, a future and any object with __await__ can all be awaited.
Source: article 003, section "Awaitable Objects"
Crates: asyncio-core
Kind: correction
Corrects: Only three kinds of objects are said to be awaitable.
Instead: A class of one's own with an __await__ method is a fourth kind, used here next to the three.
"""
import asyncio


async def dice():
    await asyncio.sleep(0)
    return 4


class Ferry:
    """Awaitable by protocol: hands over to an inner coroutine's own iterator."""

    def __init__(self, cargo):
        self.cargo = cargo

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return f"landed {self.cargo}"


async def main():
    print("coroutine gives", await dice())

    print("task gives", await asyncio.create_task(dice()))

    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 9)
    print("future gives", await future)

    print("own awaitable gives", await Ferry("timber"))


asyncio.run(main())
