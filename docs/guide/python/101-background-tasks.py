"""Tasks run behind main's back; afterwards done(), result() and get_name() tell about them.
Source: article 000, section "Tasks"; article 001, section "Tasks — Fire and Forget"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def bake(loaf, pause):
    print(f"{loaf} goes in")
    await asyncio.sleep(pause)
    print(f"{loaf} comes out")
    return f"{loaf} loaf"


async def main():
    slow = asyncio.create_task(bake("rye", 0.2), name="oven-rye")
    quick = asyncio.create_task(bake("spelt", 0.1), name="oven-spelt")
    print("main sets the table")

    first = await slow
    second = await quick
    print(f"{first}, {second}")
    for task in (slow, quick):
        print(task.get_name(), "done" if task.done() else "pending", task.result())


asyncio.run(main())
