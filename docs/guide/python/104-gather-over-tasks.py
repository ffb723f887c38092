"""gather() also takes tasks that are already on their way; they finish by delay, results keep the order.
Source: article 004, section "3. Tasks: Running Coroutines Concurrently"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def climber(name, pause):
    print(f"{name} sets off")
    await asyncio.sleep(pause)
    print(f"{name} is at the top")
    return f"{name}'s flag"


async def main():
    first = asyncio.create_task(climber("Wanda", 0.3))
    second = asyncio.create_task(climber("Reinhold", 0.1))
    flags = await asyncio.gather(first, second)
    print(", ".join(flags))


asyncio.run(main())
