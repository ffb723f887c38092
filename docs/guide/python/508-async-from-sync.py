"""Ordinary functions call coroutines with asyncio.run(), each time on a fresh loop.
Source: article 003, section "asyncio.run() (Simplest)"; article 001, section "Core Concepts"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

loops = []


async def translate(word):
    loops.append(asyncio.get_running_loop())
    await asyncio.sleep(0.01)
    return {"ship": "Schiff", "sail": "Segel"}[word]


def translate_blocking(word):
    return asyncio.run(translate(word))


def main():
    print(translate_blocking("ship"), translate_blocking("sail"))
    print("same loop:", "yes" if loops[0] is loops[1] else "no")
    try:
        translate_blocking("anchor")
    except KeyError as err:
        print("error came through:", err.args[0])
    print("all loops closed:", "yes" if all(loop.is_closed() for loop in loops) else "no")


main()
