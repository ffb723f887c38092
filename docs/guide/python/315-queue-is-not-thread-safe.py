"""Putting into an asyncio queue from another thread is an error, which debug mode detects.
Source: article 004, section "7. Asyncio Queues: Efficient Work Distribution"; article 004, section "6. Synchronization: Locks, Events, Semaphores"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: asyncio.Queue is said to be thread-safe.
Instead: In debug mode the foreign thread gets a RuntimeError and the reader never wakes; handing the call to the loop works.
"""
import asyncio


async def reader(letters):
    return await letters.get()


async def let_a_thread_put(loop, letters, safely):
    def other_thread():
        if safely:
            loop.call_soon_threadsafe(letters.put_nowait, "a letter")
            return "accepted"
        try:
            letters.put_nowait("a letter")
            return "accepted"
        except RuntimeError as err:
            return f"RuntimeError: {err}"

    print(await asyncio.to_thread(other_thread))
    await asyncio.sleep(0.2)


def trial(safely):
    # A loop of its own, because the reader of the unsafe trial can never be finished.
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60
    loop.set_exception_handler(lambda *_: None)
    letters = asyncio.Queue()
    waiting = loop.create_task(reader(letters))
    loop.run_until_complete(asyncio.sleep(0.02))
    loop.run_until_complete(let_a_thread_put(loop, letters, safely))
    print("reader has", waiting.result() if waiting.done() else "nothing")
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


trial(safely=False)
trial(safely=True)
