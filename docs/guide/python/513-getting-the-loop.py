"""get_running_loop() works in coroutines only; get_event_loop() there gives the same loop, elsewhere none.
Source: article 003, section "Getting the Current Event Loop"; article 003, section "Awaitable Objects"; article 001, section "Running Sync Code in Async Context"; article 003, section "Appendix: Quick Reference"
Crates: asyncio-core
Kind: correction
Corrects: asyncio.get_event_loop() is used as the ordinary way to the loop (000, 001, 002, 003).
Instead: Inside a coroutine it equals get_running_loop(); outside, after asyncio.run(), it raises RuntimeError.
"""
import asyncio


def plain_helper():
    return asyncio.get_running_loop()


async def main():
    running = asyncio.get_running_loop()
    print("same loop:", "yes" if asyncio.get_event_loop() is running else "no")
    print("seen from a plain function:", "same" if plain_helper() is running else "other")
    future = asyncio.get_event_loop().create_future()
    running.call_soon(future.set_result, "the loop made a future")
    print(await future)


asyncio.run(main())
for ask in (asyncio.get_running_loop, asyncio.get_event_loop):
    try:
        ask()
    except RuntimeError as err:
        print(f"{ask.__name__}: {err}")
