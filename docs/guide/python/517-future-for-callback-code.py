"""A callback-style library is wrapped in a future, for its success, its error and its cancellation.
Source: article 004, section "4. Futures: The Bridge Between Callbacks and Async/Await"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


class Weighbridge:
    """Old style: start() reports to one of two callbacks."""

    def __init__(self, loop):
        self.loop = loop

    def start(self, lorry, on_weight, on_error):
        if lorry == "tricycle":
            self.loop.call_later(0.02, on_error, LookupError(f"{lorry} is no lorry"))
        else:
            self.loop.call_later(0.02, on_weight, 1000 * len(lorry))


async def weigh(bridge, lorry):
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda f: print(f"{lorry}: future is done"))
    bridge.start(lorry, future.set_result, future.set_exception)
    return await future


async def main():
    bridge = Weighbridge(asyncio.get_running_loop())
    print(await weigh(bridge, "tanker"), "kg")
    try:
        await weigh(bridge, "tricycle")
    except LookupError as err:
        print("error:", err.args[0])
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    try:
        await future
    except asyncio.CancelledError:
        print("a cancelled future raises CancelledError")


asyncio.run(main())
