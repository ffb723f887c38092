"""A future made by hand is awaited here and given its result there.
Source: article 004, section "4. Futures: The Bridge Between Callbacks and Async/Await"; article 003, section "Awaitable Objects"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def oracle(answer):
    await asyncio.sleep(0.05)
    print("oracle speaks")
    answer.set_result("know thyself")


async def main():
    answer = asyncio.get_running_loop().create_future()
    speaking = asyncio.create_task(oracle(answer))
    print("answered:", "yes" if answer.done() else "no")
    print(await answer)
    print("once more:", answer.result())
    await speaking
    try:
        answer.set_result("something else")
    except asyncio.InvalidStateError:
        print("a second answer is refused: InvalidStateError")


asyncio.run(main())
