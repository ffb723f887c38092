"""time.sleep() in a coroutine stops every other task; asyncio.sleep() and a thread do not.
Source: article 002, section "Blocking the event loop"; article 003, section "❌ Pitfall 1: Using Sync Blocking Calls in Coroutines"; article 001, section "Common Mistakes"; article 001, section "Event Loop — What's Happening"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import time


async def blocking_nap():
    time.sleep(0.5)


async def polite_nap():
    await asyncio.sleep(0.5)


async def threaded_nap():
    await asyncio.to_thread(time.sleep, 0.5)


async def heartbeat(beats):
    while True:
        beats.append(1)
        await asyncio.sleep(0.05)


async def main():
    for nap in (blocking_nap, polite_nap, threaded_nap):
        beats = []
        heart = asyncio.create_task(heartbeat(beats))
        await asyncio.sleep(0)
        before = len(beats)
        await nap()
        during = len(beats) - before
        heart.cancel()
        print(f"{nap.__name__}: heart went on: {'yes' if during >= 3 else 'no'}, stood still: {'yes' if during == 0 else 'no'}")


asyncio.run(main())
