"""Waiting for what can never happen: a task on itself, two tasks on two locks; a timeout uncovers it.
Source: article 000, section "Debugging Async Code"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


async def wait_for_myself():
    try:
        await asyncio.current_task()
    except RuntimeError as err:
        print("RuntimeError:", "cannot await on itself" if "cannot await on itself" in str(err) else err)


async def diner(first, second, log):
    async with first:
        await asyncio.sleep(0.02)
        async with second:
            log.append("ate")


async def table(same_order):
    fork, knife = asyncio.Lock(), asyncio.Lock()
    log = []
    other = (fork, knife) if same_order else (knife, fork)
    try:
        async with asyncio.timeout(0.5):
            await asyncio.gather(diner(fork, knife, log), diner(*other, log))
    except TimeoutError:
        log.append("starved")
    print(f"{'same' if same_order else 'opposite'} order: {', '.join(log)}")


async def main():
    await asyncio.create_task(wait_for_myself())
    await table(same_order=False)
    await table(same_order=True)


asyncio.run(main())
