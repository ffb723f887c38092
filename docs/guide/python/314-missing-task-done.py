"""join() waits for one task_done() per item, the end marker included.
Source: article 001, section "asyncio.Queue — Producer/Consumer"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: The consumer leaves its loop on the marker without task_done().
Instead: The item counter then never reaches zero and join() never returns; one more task_done() than items is an error.
"""
import asyncio


async def sorter(chute, mark_sentinel):
    while True:
        coin = await chute.get()
        if coin is None:
            if mark_sentinel:
                chute.task_done()
            return
        chute.task_done()


async def trial(mark_sentinel):
    chute = asyncio.Queue()
    for coin in (5, 10, 5, None):
        chute.put_nowait(coin)
    await sorter(chute, mark_sentinel)
    try:
        await asyncio.wait_for(chute.join(), timeout=0.2)
        print("join() returned")
    except TimeoutError:
        print("join() hangs")
    return chute


async def main():
    await trial(mark_sentinel=False)
    chute = await trial(mark_sentinel=True)
    try:
        chute.task_done()
    except ValueError as err:
        print("ValueError:", err)


asyncio.run(main())
