"""current_task() names the task that runs, all_tasks() lists every unfinished one of the loop.
Source: article 004, section "12. Debugging and Profiling"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


async def ferryman(release):
    mine = asyncio.current_task()
    print("inside", mine.get_name())
    await release.wait()


def names():
    return ", ".join(sorted(task.get_name() for task in asyncio.all_tasks()))


async def main():
    asyncio.current_task().set_name("harbour")
    release = asyncio.Event()
    crew = [asyncio.create_task(ferryman(release), name=f"ferry-{n}") for n in (1, 2)]
    await asyncio.sleep(0)
    print("unfinished:", names())
    release.set()
    await asyncio.gather(*crew)
    print("unfinished:", names())


asyncio.run(main())
