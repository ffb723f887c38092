"""aclosing() runs a generator's clean-up as soon as the block is left, also after a break.
Source: article 002, section "Async Generators"; article 003, section "Async Generators"; article 004, section "11. Async Iterators and Generators"
Crates: asyncio-core
Kind: extra
"""
import asyncio
from contextlib import aclosing


async def tap():
    print("tap opened")
    litre = 0
    try:
        while True:
            litre += 1
            await asyncio.sleep(0)
            yield litre
    finally:
        await asyncio.sleep(0.01)
        print("tap closed")


async def main():
    async with aclosing(tap()) as litres:
        async for litre in litres:
            print("litre", litre)
            if litre == 3:
                break
    print("bucket carried away")


asyncio.run(main())
