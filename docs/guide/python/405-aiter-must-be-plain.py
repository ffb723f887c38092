"""__aiter__ has to be an ordinary method; declared async it makes `async for` fail.
Source: article 001, section "Async Context Managers & Iterators"
Crates: asyncio-core
Kind: correction
Corrects: The iterator class is given an `async def __aiter__`.
Instead: `async for` then gets a coroutine instead of an iterator and raises TypeError; without async it works.
"""
import asyncio
import warnings

warnings.simplefilter("ignore", RuntimeWarning)  # the unused coroutine of the wrong class


class WrongStream:
    def __init__(self):
        self.drops = ["one", "two"]

    async def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.drops:
            raise StopAsyncIteration
        return self.drops.pop(0)


class RightStream(WrongStream):
    def __aiter__(self):
        return self


async def main():
    for kind in (WrongStream, RightStream):
        try:
            async for drop in kind():
                print(kind.__name__, "drop", drop)
        except TypeError as err:
            print(kind.__name__, "TypeError:", err)


asyncio.run(main())
