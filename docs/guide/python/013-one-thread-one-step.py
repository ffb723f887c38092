"""Coroutines share one thread, and code between two awaits is never interleaved with another task.
Source: article 001, section "Event Loop — What's Happening"; article 001, section "Interview Talking Points"; article 000, section "Async Is Not Parallelism"; article 003, section "Three Concurrency Models Compared"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import threading

threads = set()
inside = 0
most_inside = 0
visits = 0


async def visitor():
    global inside, most_inside, visits
    for _ in range(50):
        inside += 1
        most_inside = max(most_inside, inside)
        threads.add(threading.get_ident())
        visits += 1
        inside -= 1
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*(visitor() for _ in range(40)))
    print("visits", visits)
    print("threads used", len(threads))
    print("most visitors inside at once", most_inside)


asyncio.run(main())
