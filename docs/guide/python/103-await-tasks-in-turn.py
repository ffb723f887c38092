"""Tasks awaited one after the other still overlap; the whole costs as much as the longest.
Source: article 003, section "asyncio.create_task(): True Concurrency"; article 001, section "Tasks — Fire and Forget"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def paint(wall, pause):
    await asyncio.sleep(pause)
    print(f"{wall} dry")
    return wall.upper()


async def main():
    loop = asyncio.get_running_loop()
    began = loop.time()
    north = asyncio.create_task(paint("north", 0.2))
    east = asyncio.create_task(paint("east", 0.4))
    west = asyncio.create_task(paint("west", 0.3))
    print(await north, await east, await west)
    spent = loop.time() - began
    print("as long as the longest:", "yes" if 0.39 <= spent < 0.8 else "no")


asyncio.run(main())
