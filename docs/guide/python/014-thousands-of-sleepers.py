"""A single thread holds ten thousand waiting coroutines at the same time.
Source: article 000, section "The Event Loop"; article 001, section "Interview Talking Points"
Crates: asyncio-core
Kind: extra
"""
import asyncio
import threading

waiting = 0
peak = 0


async def moth(number):
    global waiting, peak
    waiting += 1
    peak = max(peak, waiting)
    await asyncio.sleep(0.5)
    waiting -= 1
    return number % 7


async def main():
    before = threading.active_count()
    answers = await asyncio.gather(*(moth(n) for n in range(10_000)))
    print("waiting together", peak)
    print("sum of answers", sum(answers))
    print("extra threads", threading.active_count() - before)


asyncio.run(main())
