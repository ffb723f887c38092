"""List, set and dict comprehensions take `async for`, and may await inside.
Source: article 003, section "Async Generators"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def stations(line):
    for number in range(1, 6):
        await asyncio.sleep(0.002)
        yield line * 100 + number


async def passengers(station):
    await asyncio.sleep(0.002)
    return station % 10 * 7


async def main():
    print([s async for s in stations(2)])
    print([s async for s in stations(2) if s % 2 == 0])
    print(sorted({s % 3 async for s in stations(2)}))
    crowd = {s: await passengers(s) async for s in stations(3)}
    print(", ".join(f"{s}={n}" for s, n in crowd.items()))
    print(sum([n async for n in (await passengers(s) for s in (1, 2, 3))]))


asyncio.run(main())
