"""One coroutine awaits another and works on what it returned.
Source: article 004, section "2. Coroutines: The Building Blocks"; article 003, section "The await Keyword"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def weigh(parcel):
    print(f"weighing {parcel}")
    await asyncio.sleep(0.03)
    return {"parcel": parcel, "grams": 40 * len(parcel)}


async def stamp(parcel):
    slip = await weigh(parcel)
    price = 90 if slip["grams"] <= 200 else 160
    print(f"{slip['parcel']}: {slip['grams']} g, {price} cents")
    return price


async def main():
    total = await stamp("book") + await stamp("lampshade")
    print("total", total)


asyncio.run(main())
