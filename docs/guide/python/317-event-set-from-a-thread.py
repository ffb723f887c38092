"""Setting an asyncio event from another thread does not wake the loop; call_soon_threadsafe() does.
Source: article 004, section "6. Synchronization: Locks, Events, Semaphores"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: asyncio's locks, events, semaphores and queues are said to be thread-safe.
Instead: The waiter stays asleep until something else wakes the loop a second later; via the loop it wakes at once.
"""
import asyncio
import threading
import time


async def delay_of_wake_up(ring):
    """Seconds between the ringing in another thread and the waiter's waking up."""
    loop = asyncio.get_running_loop()
    bell = asyncio.Event()
    rung_at = []

    def ringer():
        time.sleep(0.2)
        rung_at.append(time.monotonic())
        ring(loop, bell)

    async def unrelated():
        await asyncio.sleep(1.5)

    other = asyncio.create_task(unrelated())
    thread = threading.Thread(target=ringer)
    thread.start()
    await bell.wait()
    woke = time.monotonic()
    await other
    thread.join()
    return woke - rung_at[0]


async def main():
    direct = await delay_of_wake_up(lambda loop, bell: bell.set())
    print("set() from the thread wakes within 0.6 s:", "yes" if direct < 0.6 else "no")
    handed = await delay_of_wake_up(lambda loop, bell: loop.call_soon_threadsafe(bell.set))
    print("set() through the loop wakes within 0.6 s:", "yes" if handed < 0.6 else "no")


asyncio.run(main())
