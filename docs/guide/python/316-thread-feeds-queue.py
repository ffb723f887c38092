"""A plain thread feeds an asyncio queue safely with run_coroutine_threadsafe() and feels its limit.
Source: article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync
Kind: extra
"""
import asyncio


def scanner(loop, inbox, pages):
    accepted = 0
    for page in pages:
        asyncio.run_coroutine_threadsafe(inbox.put(page), loop).result(timeout=10)
        accepted += 1
    asyncio.run_coroutine_threadsafe(inbox.put(None), loop).result(timeout=10)
    return accepted


async def archive(inbox):
    words = 0
    while (page := await inbox.get()) is not None:
        await asyncio.sleep(0.01)
        words += len(page.split())
    return words


async def main():
    loop = asyncio.get_running_loop()
    inbox = asyncio.Queue(maxsize=2)
    pages = ["one fine day", "the cat sat", "on a warm mat in the sun", "end"]
    accepted, words = await asyncio.gather(
        asyncio.to_thread(scanner, loop, inbox, pages),
        archive(inbox),
    )
    print("pages accepted", accepted)
    print("words archived", words)


asyncio.run(main())
