"""wait() refuses bare coroutines and an empty set, where gather() takes both.
Source: article 001, section "gather vs wait vs TaskGroup"; article 004, section "3. Tasks: Running Coroutines Concurrently"
Crates: asyncio-core
Kind: extra
"""
import asyncio


async def pebble():
    return "pebble"


async def main():
    bare = pebble()
    try:
        await asyncio.wait([bare])
    except TypeError as err:
        print("TypeError:", err)
    finally:
        bare.close()
    try:
        await asyncio.wait([])
    except ValueError as err:
        print("ValueError:", err)

    print("gather takes it bare:", *(await asyncio.gather(pebble())))
    done, _ = await asyncio.wait([asyncio.create_task(pebble())])
    print("wait takes the task:", *(task.result() for task in done))


asyncio.run(main())
