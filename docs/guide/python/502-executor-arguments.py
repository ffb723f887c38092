"""run_in_executor() passes positional arguments only; keywords go through functools.partial or to_thread().
Source: article 003, section "Appendix: Quick Reference"; article 001, section "Running Sync Code in Async Context"
Crates: asyncio-core
Kind: extra
"""
import asyncio
import functools


def price(net, rate, *, rounding="up"):
    gross = net * (100 + rate)
    return gross // 100 + (1 if rounding == "up" and gross % 100 else 0)


async def main():
    loop = asyncio.get_running_loop()
    print("positional", await loop.run_in_executor(None, price, 333, 19))
    try:
        await loop.run_in_executor(None, price, 333, 19, rounding="down")
    except TypeError:
        print("keyword refused: TypeError")
    print("partial", await loop.run_in_executor(None, functools.partial(price, 333, 19, rounding="down")))
    print("to_thread", await asyncio.to_thread(price, 333, 19, rounding="down"))


asyncio.run(main())
