"""Ten jobs of equal length and three permits proceed in waves of three, first come first served.
Source: article 004, section "6. Synchronization: Locks, Events, Semaphores"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio

PAUSE = 0.2


async def wash(permits, car, began, waves):
    async with permits:
        loop = asyncio.get_running_loop()
        waves.setdefault(int((loop.time() - began) / PAUSE + 0.5), []).append(car)
        await asyncio.sleep(PAUSE)
    return car


async def main():
    permits = asyncio.Semaphore(3)
    waves = {}
    began = asyncio.get_running_loop().time()
    cars = [f"car{n}" for n in range(10)]
    washed = await asyncio.gather(*(wash(permits, car, began, waves) for car in cars))
    for number, wave in enumerate(waves[key] for key in sorted(waves)):
        print(f"wave {number}: {', '.join(wave)}")
    print("washed", len(washed), "in order:", "yes" if washed == cars else "no")


asyncio.run(main())
