"""An event holds back every waiter until it is set, then lets all of them go, also later ones.
Source: article 003, section "Event: Signal Notification"; article 004, section "6. Synchronization: Locks, Events, Semaphores"
Crates: asyncio-core, asyncio-sync
Kind: snippet
"""
import asyncio


async def actor(curtain, name):
    print(f"{name} waits in the wings")
    await curtain.wait()
    print(f"{name} walks on")


async def stagehand(curtain):
    await asyncio.sleep(0.1)
    print("curtain up")
    curtain.set()


async def main():
    curtain = asyncio.Event()
    await asyncio.gather(actor(curtain, "Portia"), actor(curtain, "Brutus"), stagehand(curtain))
    await actor(curtain, "Casca")
    curtain.clear()
    print("curtain is up:", "yes" if curtain.is_set() else "no")


asyncio.run(main())
