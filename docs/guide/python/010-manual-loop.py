"""The older way: make a loop, install it, run a coroutine on it, close it.
Source: article 004, section "1. The Event Loop: Orchestrating Concurrency"; article 003, section "loop.run_until_complete()"; article 001, section "Common Mistakes"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def ring_bell(times):
    for number in range(1, times + 1):
        print("ding", number)
        await asyncio.sleep(0.01)
    return times


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
try:
    rung = loop.run_until_complete(ring_bell(2))
    print("rung", rung)
    print("running after the call:", "yes" if loop.is_running() else "no")
    print("same loop again:", loop.run_until_complete(ring_bell(1)))
finally:
    loop.close()
    asyncio.set_event_loop(None)
print("closed:", "yes" if loop.is_closed() else "no")
