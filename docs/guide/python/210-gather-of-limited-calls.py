"""Each gathered call has its own time limit, and a timeout becomes one of the results.
Source: article 002, section "Timeouts"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def tune(string, pause):
    await asyncio.sleep(pause)
    return f"{string} is in tune"


async def main():
    outcomes = await asyncio.gather(
        asyncio.wait_for(tune("E", 0.02), timeout=2),
        asyncio.wait_for(tune("A", 30), timeout=0.1),
        asyncio.wait_for(tune("D", 0.05), timeout=2),
        return_exceptions=True,
    )
    for outcome in outcomes:
        print("gave up" if isinstance(outcome, TimeoutError) else outcome)


asyncio.run(main())
