"""A loop that asyncio.run() has finished with accepts no further work.
Source: article 000, section "Debugging Async Code"; article 004, section "1. The Event Loop: Orchestrating Concurrency"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

kept = None


async def keep_loop():
    global kept
    kept = asyncio.get_running_loop()
    print("open inside:", "no" if kept.is_closed() else "yes")


async def latecomer():
    return "too late"


asyncio.run(keep_loop())
try:
    kept.call_soon(print, "never printed")
except RuntimeError as err:
    print("call_soon:", err)

late = latecomer()
try:
    kept.run_until_complete(late)
except RuntimeError as err:
    print("run_until_complete:", err)
finally:
    late.close()
