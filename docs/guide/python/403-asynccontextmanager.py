"""A generator with one yield becomes an async context manager: set-up before, tear-down after it.
Source: article 000, section "FastAPI Async Patterns"; article 004, section "10. Async Context Managers"
Crates: asyncio-core
Kind: extra
"""
import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def campfire(wood):
    await asyncio.sleep(0.01)
    print(f"lit with {wood}")
    try:
        yield {"wood": wood, "sparks": 0}
    finally:
        await asyncio.sleep(0.01)
        print("put out")


async def main():
    async with campfire("birch") as fire:
        fire["sparks"] += 3
        print("sparks", fire["sparks"])
    try:
        async with campfire("wet pine"):
            raise RuntimeError("only smoke")
    except RuntimeError as err:
        print("failed:", err)


asyncio.run(main())
