"""to_thread() runs blocking functions in threads and awaits them, several at a time.
Source: article 004, section "5. Running Blocking Code in Asyncio"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import threading
import time


def develop(photo):
    time.sleep(0.3)
    if photo == "beach":
        raise ValueError(f"{photo} is overexposed")
    return photo, threading.get_ident()


async def main():
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcomes = await asyncio.gather(
        *(asyncio.to_thread(develop, photo) for photo in ("harbour", "beach", "market", "dunes")),
        return_exceptions=True,
    )
    spent = loop.time() - began
    threads = set()
    for outcome in outcomes:
        if isinstance(outcome, ValueError):
            print("error came through:", outcome)
        else:
            print("developed", outcome[0])
            threads.add(outcome[1])
    print("in the loop's own thread:", "yes" if threading.get_ident() in threads else "no")
    print("faster than one after the other:", "yes" if spent < 0.9 else "no")


asyncio.run(main())
