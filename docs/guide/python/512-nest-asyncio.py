"""With nest_asyncio applied, asyncio.run() also works while a loop is already running.
Source: article 003, section "❌ Pitfall 4: Calling asyncio.run() Inside Existing Event Loop"
Crates: asyncio-core, asyncio-compat
Kind: snippet
Needs: nest_asyncio
"""
import asyncio

import nest_asyncio


async def inner(level):
    await asyncio.sleep(0.01)
    if level == 0:
        return ["bottom"]
    return [f"level {level}"] + asyncio.run(inner(level - 1))


async def main():
    nest_asyncio.apply()
    print(" / ".join(asyncio.run(inner(3))))
    return "outer loop goes on"


print(asyncio.run(main()))
