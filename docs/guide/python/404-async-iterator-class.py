"""A class with __aiter__ and an awaiting __anext__ is walked through with `async for`.
Source: article 003, section "Async Iterators"; article 001, section "Async Context Managers & Iterators"; article 004, section "11. Async Iterators and Generators"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


class Countdown:
    def __init__(self, seconds):
        self.left = seconds

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.left == 0:
            raise StopAsyncIteration
        await asyncio.sleep(0.01)
        self.left -= 1
        return self.left + 1


class Chunks:
    """Hands out a text piece by piece and ends with the empty piece."""

    def __init__(self, text, size):
        self.text, self.size = text, size

    async def read_piece(self):
        await asyncio.sleep(0)
        piece, self.text = self.text[:self.size], self.text[self.size:]
        return piece

    def __aiter__(self):
        return self

    async def __anext__(self):
        piece = await self.read_piece()
        if not piece:
            raise StopAsyncIteration
        return piece


async def main():
    async for second in Countdown(3):
        print("T minus", second)
    else:
        print("lift-off")
    async for piece in Chunks("windmill", 3):
        print("piece", piece)


asyncio.run(main())
