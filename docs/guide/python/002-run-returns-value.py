"""The value a coroutine returns comes back through await, and main's value through asyncio.run().
Source: article 001, section "Core Concepts"; article 003, section "The await Keyword"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def read_gauge(river):
    await asyncio.sleep(0.02)
    return f"{river} stands at 142 cm"


async def main():
    reading = await read_gauge("Havel")
    print(reading)
    return len(reading)


length = asyncio.run(main())
print("main returned", length)
