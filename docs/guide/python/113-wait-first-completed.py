"""wait(FIRST_COMPLETED) hands back the first finisher; the rest is awaited by a second wait().
Source: article 000, section "asyncio.wait"; article 001, section "gather vs wait vs TaskGroup"; article 003, section "asyncio.wait(): Fine-Grained Control"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def snail(lane, pause):
    await asyncio.sleep(pause)
    return lane


async def main():
    race = {asyncio.create_task(snail(lane, pause)) for lane, pause in ((1, 0.6), (2, 0.1), (3, 0.4))}
    done, pending = await asyncio.wait(race, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    print("first:", sorted(task.result() for task in done), "still racing:", len(pending))

    done, pending = await asyncio.wait(pending)
    print("then:", sorted(task.result() for task in done), "still racing:", len(pending))

    done, pending = await asyncio.wait(race, timeout=5)
    print("asking again returns at once:", len(done), "done", len(pending), "pending")


asyncio.run(main())
