"""Two phases share one deadline given in loop time; what the first uses up, the second lacks.
Source: article 000, section "Timeout Patterns"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def phase(name, pause):
    await asyncio.sleep(pause)
    print(f"{name} finished")


async def voyage(budget, outward, homeward):
    deadline = asyncio.get_running_loop().time() + budget
    try:
        async with asyncio.timeout_at(deadline) as limit:
            await phase("outward leg", outward)
            await phase("homeward leg", homeward)
        print("home in time, same deadline:", "yes" if limit.when() == deadline else "no")
    except TimeoutError:
        print("supplies ran out")


async def main():
    await voyage(5.0, 0.05, 0.05)
    await voyage(0.6, 0.3, 0.5)


asyncio.run(main())
