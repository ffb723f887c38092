"""Calling a coroutine function only builds an object; its body runs when something drives it.
Source: article 000, section "Coroutines"; article 003, section "Coroutines"; article 004, section "2. Coroutines: The Building Blocks"
Crates: asyncio-core
Kind: correction
Corrects: `result = await coro` is written at module level, where await is a SyntaxError outside the async REPL.
Instead: The object is created unstarted, driven once by asyncio.run(), and cannot be driven a second time.
"""
import asyncio
import inspect

opened = []


async def open_gate(number):
    opened.append(number)
    await asyncio.sleep(0.01)
    return number * 10


gate = open_gate(7)
print("is a coroutine object:", "yes" if inspect.iscoroutine(gate) else "no")
print("state after the call:", inspect.getcoroutinestate(gate))
print("gates opened so far:", len(opened))

print("driven to the end:", asyncio.run(gate))
print("state afterwards:", inspect.getcoroutinestate(gate))
print("gates opened now:", len(opened))

try:
    asyncio.run(gate)
except RuntimeError as err:
    print("second drive refused:", err)
