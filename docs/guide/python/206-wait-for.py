"""wait_for() gives the result in time or raises TimeoutError after cancelling the inner coroutine.
Source: article 000, section "Timeout Patterns"; article 003, section "asyncio.timeout(): Timeout Control (Python 3.11+)"; article 003, section "✅ Best Practices Summary"; article 003, section "Appendix: Quick Reference"; article 004, section "8. Timeouts and Task Cancellation"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def answer_door(pause):
    try:
        await asyncio.sleep(pause)
        return "door opened"
    except asyncio.CancelledError:
        print("stopped on the stairs")
        raise


async def main():
    print(await asyncio.wait_for(answer_door(0.02), timeout=5))
    try:
        await asyncio.wait_for(answer_door(30), timeout=0.1)
    except asyncio.TimeoutError:
        print("nobody came")
    print("one and the same class:", "yes" if asyncio.TimeoutError is TimeoutError else "no")
    print("no limit:", await asyncio.wait_for(answer_door(0.02), timeout=None))


asyncio.run(main())
