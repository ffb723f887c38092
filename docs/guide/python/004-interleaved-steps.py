"""Two tasks take turns: each runs until it gives up control, then the other continues.
Source: article 000, section "How It Works Under the Hood"; article 001, section "Event Loop — What's Happening"; article 003, section "Event Loop"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def rower(side, strokes):
    for number in range(1, strokes + 1):
        print(f"{side} stroke {number}")
        await asyncio.sleep(0)
    print(f"{side} rests")


async def main():
    port = asyncio.create_task(rower("port", 3))
    starboard = asyncio.create_task(rower("starboard", 2))
    await port
    await starboard


asyncio.run(main())
