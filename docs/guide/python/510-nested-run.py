"""asyncio.run() inside a running loop is refused; inside one awaits.
Source: article 003, section "❌ Pitfall 4: Calling asyncio.run() Inside Existing Event Loop"; article 003, section "asyncio.run() (Simplest)"; article 001, section "Common Mistakes"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def forecast():
    await asyncio.sleep(0.01)
    return "showers"


def helper_for_scripts():
    coro = forecast()
    try:
        return asyncio.run(coro)
    finally:
        coro.close()


async def main():
    try:
        print(helper_for_scripts())
    except RuntimeError as err:
        print("RuntimeError:", err)
    print("awaited instead:", await forecast())


asyncio.run(main())
print("outside a loop:", helper_for_scripts())
