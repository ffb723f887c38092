"""A task whose last reference disappears before it is finished is reported as destroyed but pending.
Source: article 000, section "Debugging Async Code"; article 001, section "Tasks — Fire and Forget"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import gc

reports = []
cleaned = []


async def stranded(island):
    try:
        await asyncio.get_running_loop().create_future()  # nobody will ever set it
    finally:
        cleaned.append(island)


loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
task = loop.create_task(stranded("Tristan"))
loop.run_until_complete(asyncio.sleep(0))
print("reports while referenced:", len(reports))
del task
gc.collect()
print("reports after the last reference is gone:", len(reports))
print(reports[0])
print("finally block ran for:", ", ".join(cleaned))
loop.close()
