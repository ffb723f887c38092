"""call_soon() keeps its order, timers go by time, and a cancelled handle does not run.
Source: article 003, section "Scheduling Callbacks"; article 003, section "Event Loop"
Crates: asyncio-core
Kind: extra
"""
import asyncio


async def main():
    loop = asyncio.get_running_loop()
    rang = []
    over = loop.create_future()

    loop.call_later(0.3, over.set_result, "all bells done")
    loop.call_later(0.2, rang.append, "vespers")
    loop.call_later(0.1, rang.append, "noon")
    silenced = loop.call_later(0.15, rang.append, "alarm")
    for bell in ("matins", "lauds", "prime"):
        loop.call_soon(rang.append, bell)
    silenced.cancel()

    print(await over)
    print(", ".join(rang))
    print("alarm cancelled:", "yes" if silenced.cancelled() else "no")


asyncio.run(main())
