"""await hands control to the loop only if the awaited thing really has to wait.
Source: article 000, section "How It Works Under the Hood"; article 002, section "The Basics"; article 003, section "The await Keyword"
Crates: asyncio-core
Kind: correction
Corrects: An await is said to suspend the coroutine and give control to the loop every time (000; 002 and 003 alike).
Instead: Awaiting a coroutine that never waits runs straight through; the other task gets its turn only at sleep(0).
"""
import asyncio

trace = []


async def add(a, b):
    return a + b


async def rival():
    trace.append("rival runs")


async def main():
    other = asyncio.create_task(rival())
    for n in (1, 2, 3):
        trace.append(f"sum {await add(n, n)}")
    trace.append("giving up control")
    await asyncio.sleep(0)
    trace.append("back in main")
    await other
    print("\n".join(trace))


asyncio.run(main())
