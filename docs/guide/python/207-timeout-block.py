"""asyncio.timeout() limits a whole block; expired() tells afterwards what happened.
Source: article 000, section "Timeout Patterns"; article 003, section "asyncio.timeout(): Timeout Control (Python 3.11+)"; article 004, section "8. Timeouts and Task Cancellation"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def cross(river, pause):
    await asyncio.sleep(pause)
    print(f"crossed the {river}")


async def main():
    async with asyncio.timeout(5) as limit:
        await cross("Spree", 0.02)
    print("expired:", "yes" if limit.expired() else "no")

    try:
        async with asyncio.timeout(0.2) as limit:
            await cross("Elbe", 0.02)
            await cross("Danube", 30)
            print("never printed")
    except TimeoutError:
        print("turned back at the Danube")
    print("expired:", "yes" if limit.expired() else "no")

    async with asyncio.timeout(None) as limit:
        await cross("Isar", 0.02)
    print("deadline set:", "no" if limit.when() is None else "yes")


asyncio.run(main())
