"""A generator fetches page after page and yields single entries until a page comes back empty.
Source: article 002, section "Async Generators"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

CATALOGUE = ["amber", "basalt", "chalk", "dolomite", "emerald", "flint", "gneiss"]
requests = []


async def fetch_page(number, size=3):
    requests.append(number)
    await asyncio.sleep(0.01)
    start = (number - 1) * size
    return {"page": number, "entries": CATALOGUE[start:start + size]}


async def all_entries():
    number = 1
    while (page := await fetch_page(number))["entries"]:
        for entry in page["entries"]:
            yield entry
        number += 1


async def main():
    async for entry in all_entries():
        print(entry)
    print("pages asked for:", requests)

    requests.clear()
    async for entry in all_entries():
        if entry.startswith("b"):
            print("found", entry)
            break
    print("pages asked for:", requests)


asyncio.run(main())
