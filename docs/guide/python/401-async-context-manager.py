"""__aenter__ and __aexit__ may await: the resource is opened before and closed after the block.
Source: article 003, section "Async Context Managers"; article 004, section "10. Async Context Managers"; article 001, section "Async Context Managers & Iterators"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


class Greenhouse:
    def __init__(self, plant):
        self.plant = plant
        self.open = False

    async def __aenter__(self):
        await asyncio.sleep(0.02)
        self.open = True
        print("vents open")
        return self

    async def __aexit__(self, kind, error, trace):
        await asyncio.sleep(0.02)
        self.open = False
        print("vents shut")

    async def water(self):
        await asyncio.sleep(0)
        print(f"watering the {self.plant}")


async def main():
    async with Greenhouse("lemon tree") as house:
        await house.water()
    print("open now:", "yes" if house.open else "no")


asyncio.run(main())
