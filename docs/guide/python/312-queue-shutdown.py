"""Since 3.13 shutdown() ends all consumers without any marker, after the queue has been emptied.
Source: article 000, section "Async Queue (Producer-Consumer)"; article 002, section "Queues: Producer/Consumer"; article 003, section "7. Queue: Producer-Consumer Pattern"
Crates: asyncio-core, asyncio-sync
Kind: extra
"""
import asyncio


async def clerk(tray, handled):
    try:
        while True:
            form = await tray.get()
            await asyncio.sleep(0.01)
            handled.append(form)
            tray.task_done()
    except asyncio.QueueShutDown:
        return "went home"


async def main():
    tray = asyncio.Queue()
    handled = []
    clerks = [asyncio.create_task(clerk(tray, handled)) for _ in range(3)]
    for form in range(8):
        await tray.put(form)
    tray.shutdown()
    print("forms handled at shutdown:", len(handled))
    print("clerks:", ", ".join(await asyncio.gather(*clerks)))
    print("forms handled:", sorted(handled))
    try:
        await tray.put(99)
    except asyncio.QueueShutDown:
        print("put after shutdown: QueueShutDown")


asyncio.run(main())
