"""cancel() only asks; the task ends later, after a clean-up that may itself await.
Source: article 000, section "Task Cancellation"; article 003, section "asyncio.wait(): Fine-Grained Control"; article 000, section "asyncio.wait"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

log = []


async def drawbridge():
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        log.append("bell rings")
        await asyncio.sleep(0.05)
        log.append("bridge is down")
        raise


async def main():
    task = asyncio.create_task(drawbridge())
    await asyncio.sleep(0.02)
    task.cancel("storm")
    log.append(f"asked, done: {'yes' if task.done() else 'no'}")
    await asyncio.sleep(0)
    log.append(f"one turn later, done: {'yes' if task.done() else 'no'}")
    try:
        await task
    except asyncio.CancelledError as reason:
        log.append(f"over: {reason}")
    print("\n".join(log))


asyncio.run(main())
