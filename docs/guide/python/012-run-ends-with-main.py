"""asyncio.run() returns when main is finished and cancels whatever else still runs.
Source: article 000, section "How It Works Under the Hood"; article 001, section "Tasks — Fire and Forget"
Crates: asyncio-core
Kind: correction
Corrects: asyncio.run() is said to go on until all coroutines are done (000).
Instead: Tasks that main did not wait for are cancelled at the end of asyncio.run(), not finished.
"""
import asyncio

notes = []


async def sweep(street, pause):
    try:
        await asyncio.sleep(pause)
        notes.append(f"{street} swept")
    except asyncio.CancelledError:
        notes.append(f"{street} left half done")
        raise


async def main():
    background = [
        asyncio.create_task(sweep("Elm Row", 0.02)),
        asyncio.create_task(sweep("Oak Lane", 30.0)),
    ]
    await background[0]
    notes.append("main returns")


asyncio.run(main())
print("\n".join(notes))
