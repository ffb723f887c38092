"""Three awaits in a row cost the sum of the pauses, three gathered coroutines only the longest pause.
Source: article 000, section "How It Works Under the Hood"; article 001, section "Common Mistakes"; article 003, section "asyncio.sleep()"; article 003, section "❌ Pitfall 3: Sequential await Instead of Concurrent"; article 003, section "The Core Problem: Wasted Waiting"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

PAUSE = 0.2


async def brew(cup):
    print(f"{cup}: kettle on")
    await asyncio.sleep(PAUSE)
    print(f"{cup}: poured")
    return f"{cup} served"


def verdict(flag):
    return "yes" if flag else "no"


async def main():
    loop = asyncio.get_running_loop()

    began = loop.time()
    one_by_one = [await brew(cup) for cup in ("mint", "oolong", "sencha")]
    spent = loop.time() - began
    print(", ".join(one_by_one))
    print("one by one took at least three pauses:", verdict(spent >= 2.9 * PAUSE))

    began = loop.time()
    together = await asyncio.gather(brew("mint"), brew("oolong"), brew("sencha"))
    spent = loop.time() - began
    print(", ".join(together))
    print("together took less than two pauses:", verdict(spent < 2 * PAUSE))


asyncio.run(main())
