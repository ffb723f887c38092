"""Several consumers all end when each gets its own end marker, or when each passes the one marker on.
Source: article 000, section "Async Queue (Producer-Consumer)"; article 003, section "7. Queue: Producer-Consumer Pattern"; article 004, section "7. Asyncio Queues: Efficient Work Distribution"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio

END = object()


async def reader(name, shelf, read, pass_on):
    while (title := await shelf.get()) is not END:
        await asyncio.sleep(0.02)
        read.append((title, name))
    if pass_on:
        await shelf.put(END)


async def session(title, markers, pass_on):
    shelf = asyncio.Queue(maxsize=4)
    read = []
    async with asyncio.TaskGroup() as group:
        for name in ("Mia", "Jon", "Pip"):
            group.create_task(reader(name, shelf, read, pass_on))
        for number in range(9):
            await shelf.put(f"vol{number}")
        for _ in range(markers):
            await shelf.put(END)
    print(f"{title}: read {len(read)}, left on the shelf {shelf.qsize()}")
    print("  by", ", ".join(sorted({name for _, name in read})))


async def main():
    await session("one marker each", markers=3, pass_on=False)
    await session("one marker passed on", markers=1, pass_on=True)


asyncio.run(main())
