"""call_soon() runs in the next turn, call_later() after a delay, call_at() at a time of the loop's clock.
Source: article 003, section "Scheduling Callbacks"
Crates: asyncio-core
Kind: correction
Corrects: main sleeps 3 s, although a callback is due at loop.time() + 5 and shown as if it ran.
Instead: asyncio.run() ends with main, so the callback that is due later never runs.
"""
import asyncio

board = []


async def main(stay):
    board.clear()
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + 0.9, board.append, "call_at")
    loop.call_later(0.2, board.append, "call_later")
    loop.call_soon(board.append, "call_soon")
    board.append("scheduled")
    await asyncio.sleep(stay)
    board.append("main leaves")


for stay in (0.5, 1.4):
    asyncio.run(main(stay))
    print(" > ".join(board))
