"""Work nobody awaits: keep a reference in a set, drop it in a done callback, drain before leaving.
Source: article 001, section "Tasks — Fire and Forget"; article 000, section "Debugging Async Code"
Crates: asyncio-core
Kind: correction
Corrects: The heading promises fire and forget, yet its tasks are awaited; nothing is said about tasks that are not.
Instead: The loop holds only weak references to tasks, so the program holds strong ones and drains them at the end.
"""
import asyncio

audit = []
running = set()


async def write_audit(line):
    await asyncio.sleep(0.05)
    audit.append(line)


def launch(coro):
    task = asyncio.create_task(coro)
    running.add(task)
    task.add_done_callback(running.discard)
    return task


async def main():
    for line in ("door opened", "lamp lit", "door closed"):
        launch(write_audit(line))
    print("launched", len(running), "written", len(audit))
    while running:
        await asyncio.gather(*running)
    print("launched", len(running), "written", len(audit))
    print("; ".join(audit))


asyncio.run(main())
