"""Sorting gathered outcomes into successes and failures, including children that were cancelled.
Source: article 002, section "Error Handling"
Crates: asyncio-core
Kind: correction
Corrects: `isinstance(result, Exception)` is used to tell failures from successes.
Instead: CancelledError is a BaseException, so that test files a cancelled child under successes; BaseException is the right test.
"""
import asyncio


async def dial(number):
    await asyncio.sleep(0.02)
    if number.startswith("9"):
        raise ConnectionError(f"{number} is busy")
    if number.startswith("5"):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)
    return f"{number} answered"


def split(numbers, outcomes, kind):
    good = [n for n, o in zip(numbers, outcomes) if not isinstance(o, kind)]
    bad = [n for n, o in zip(numbers, outcomes) if isinstance(o, kind)]
    return f"{len(good)} good ({', '.join(good)}), {len(bad)} bad ({', '.join(bad)})"


async def main():
    numbers = ["211", "944", "506", "377"]
    outcomes = await asyncio.gather(*(dial(n) for n in numbers), return_exceptions=True)
    for number, outcome in zip(numbers, outcomes):
        shown = type(outcome).__name__ if isinstance(outcome, BaseException) else outcome
        print(number, "->", shown)
    print("tested with Exception:", split(numbers, outcomes, Exception))
    print("tested with BaseException:", split(numbers, outcomes, BaseException))


asyncio.run(main())
