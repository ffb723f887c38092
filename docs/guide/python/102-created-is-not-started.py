"""create_task() only schedules; the body begins when the creating coroutine next gives up control.
Source: article 000, section "Tasks"; article 003, section "asyncio.create_task(): True Concurrency"; article 001, section "Tasks — Fire and Forget"
Crates: asyncio-core
Kind: correction
Corrects: Tasks are said to start running at once when created (000; 001 says now).
Instead: Nothing of the task runs before main suspends; the first line of the task is printed after main's.
"""
import asyncio


async def runner(name):
    print(f"{name} leaves the blocks")


async def main():
    tasks = [asyncio.create_task(runner(name)) for name in ("Ines", "Olu")]
    print("both tasks created")
    print("finished:", sum(task.done() for task in tasks))
    await asyncio.sleep(0)
    print("after one turn of the loop, finished:", sum(task.done() for task in tasks))


asyncio.run(main())
