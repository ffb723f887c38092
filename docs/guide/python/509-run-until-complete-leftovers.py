"""run_until_complete() leaves other tasks and open generators behind; asyncio.Runner tidies up.
Source: article 003, section "loop.run_until_complete()"; article 004, section "1. The Event Loop: Orchestrating Concurrency"
Crates: asyncio-core
Kind: correction
Corrects: new_event_loop / run_until_complete / close is offered as an equal of asyncio.run().
Instead: It cancels no leftover task; the caller has to do so before close(), which Runner and run() do by themselves.
"""
import asyncio

log = []


async def lantern(name):
    try:
        await asyncio.sleep(30)
    finally:
        log.append(f"{name} put out")


async def evening(name):
    task = asyncio.create_task(lantern(name))
    await asyncio.sleep(0.02)
    return task


loop = asyncio.new_event_loop()
left = loop.run_until_complete(evening("porch"))
print("left pending:", "no" if left.done() else "yes", "log entries:", len(log))
left.cancel()
loop.run_until_complete(asyncio.gather(left, return_exceptions=True))
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()

with asyncio.Runner() as runner:
    left = runner.run(evening("gate"))
    print("left pending:", "no" if left.done() else "yes")
print("after the runner:", "cancelled" if left.cancelled() else "pending")
print("; ".join(log))
