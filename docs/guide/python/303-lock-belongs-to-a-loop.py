"""A lock made at module level works, but belongs to the first loop in which somebody had to wait for it.
Source: article 003, section "Lock: Mutual Exclusion"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: The lock is a module-level global; nothing is said about the loop it belongs to.
Instead: The first asyncio.run() with contention binds it; contention in a second run raises RuntimeError.
"""
import asyncio

shared = asyncio.Lock()


async def enter(name):
    async with shared:
        await asyncio.sleep(0.01)
        return f"{name} was in"


async def crowd():
    outcomes = await asyncio.gather(enter("first"), enter("second"), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, RuntimeError):
            told = "bound to a different event loop" in str(outcome)
            print("RuntimeError:", "bound to a different event loop" if told else "other")
        else:
            print(outcome)


print("run one")
asyncio.run(crowd())
print("run two")
asyncio.run(crowd())
