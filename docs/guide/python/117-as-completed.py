"""as_completed() gives the results in the order of arrival.
Source: article 000, section "asyncio.as_completed"; article 002, section "as_completed: Process Results as They Arrive"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

DISTANCES = {"Kiel": 0.5, "Bonn": 0.1, "Graz": 0.35, "Bern": 0.2}


async def pigeon(town, pause):
    await asyncio.sleep(pause)
    return f"letter from {town}"


async def main():
    flights = [pigeon(town, pause) for town, pause in DISTANCES.items()]
    for place, arrival in enumerate(asyncio.as_completed(flights), start=1):
        print(place, await arrival)


asyncio.run(main())
