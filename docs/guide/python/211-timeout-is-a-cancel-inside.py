"""Inside a timeout block the expiry is a CancelledError; TimeoutError exists only outside of it.
Source: article 000, section "Timeout Patterns"; article 003, section "asyncio.timeout(): Timeout Control (Python 3.11+)"
Crates: asyncio-core
Kind: extra
"""
import asyncio


async def dig():
    try:
        try:
            async with asyncio.timeout(0.1):
                try:
                    await asyncio.sleep(30)
                except TimeoutError:
                    print("inner handler: TimeoutError")
                except asyncio.CancelledError:
                    print("inner handler: CancelledError, spade cleaned")
                    raise
        except TimeoutError:
            print("outer handler: TimeoutError")
            raise
    finally:
        print("task still to be cancelled:", asyncio.current_task().cancelling())


async def main():
    task = asyncio.create_task(dig())
    await asyncio.wait([task])
    print("task ended with", type(task.exception()).__name__)


asyncio.run(main())
