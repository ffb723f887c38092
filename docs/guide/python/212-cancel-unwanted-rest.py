"""The race is decided: the losers are cancelled and awaited, so that their clean-up is over.
Source: article 003, section "asyncio.wait(): Fine-Grained Control"; article 000, section "asyncio.wait"; article 003, section "✅ Best Practices Summary"
Crates: asyncio-core
Kind: correction
Corrects: The losers are cancelled but never awaited (003, 000).
Instead: cancel() alone leaves them unfinished; gather(..., return_exceptions=True) waits until they have cleaned up.
"""
import asyncio

cleaned = []


async def mirror(name, pause):
    try:
        await asyncio.sleep(pause)
        return name
    except asyncio.CancelledError:
        await asyncio.sleep(0.02)
        cleaned.append(name)
        raise


async def main():
    tasks = [asyncio.create_task(mirror(f"mirror-{n}", p)) for n, p in ((1, 30), (2, 0.05), (3, 40))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print("winner:", *(task.result() for task in done))
    for task in pending:
        task.cancel()
    print("cleaned right after cancel():", len(cleaned))
    await asyncio.gather(*pending, return_exceptions=True)
    print("cleaned after waiting:", ", ".join(sorted(cleaned)))


asyncio.run(main())
