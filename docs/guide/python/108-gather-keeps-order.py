"""gather() returns results in the order of its arguments, whoever finishes first.
Source: article 000, section "asyncio.gather"; article 001, section "Concurrent I/O with gather"; article 002, section "gather: Run Multiple Coroutines"; article 003, section "asyncio.gather(): Bulk Concurrency"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

finished = []


async def survey(field, pause):
    await asyncio.sleep(pause)
    finished.append(field)
    return f"{field}: {len(field)} hectares"


async def main():
    barley, rapeseed, hay = await asyncio.gather(
        survey("barley", 0.3),
        survey("rapeseed", 0.1),
        survey("hay", 0.2),
    )
    print("finished:", ", ".join(finished))
    print("returned:", "; ".join((barley, rapeseed, hay)))
    pauses = [0.25, 0.05, 0.15]
    print(await asyncio.gather(*(asyncio.sleep(p, result=n) for n, p in enumerate(pauses))))
    print("nothing to gather:", await asyncio.gather())


asyncio.run(main())
