"""An `async def` with yield produces values lazily, awaiting between them.
Source: article 003, section "Async Generators"; article 004, section "11. Async Iterators and Generators"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def tides(first, last):
    for hour in range(first, last, 6):
        await asyncio.sleep(0.01)
        print("gauge read")
        yield hour


async def main():
    async for hour in tides(2, 20):
        print("high water at", hour)

    source = tides(0, 100)
    print("by hand", await anext(source), await anext(source))
    await source.aclose()
    print("after aclose:", await anext(source, "exhausted"))


asyncio.run(main())
