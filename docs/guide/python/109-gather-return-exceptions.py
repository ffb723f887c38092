"""With return_exceptions=True failures stand among the results and are told apart one by one.
Source: article 000, section "asyncio.gather"; article 001, section "gather vs wait vs TaskGroup"; article 003, section "asyncio.gather(): Bulk Concurrency"; article 003, section "✅ Best Practices Summary"; article 004, section "9. Exception Handling in Asyncio"
Crates: asyncio-core
Kind: correction
Corrects: gather() with return_exceptions=True is captioned as cancelling everything on the first exception (001).
Instead: With the flag nothing is raised and nothing is cancelled: every slot holds a result or an exception.
"""
import asyncio


async def inspect_egg(number):
    await asyncio.sleep(0.02 * number)
    if number % 3 == 0:
        raise ValueError(f"egg {number} is cracked")
    return f"egg {number} is fine"


async def main():
    outcomes = await asyncio.gather(*(inspect_egg(n) for n in range(1, 7)), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            print(f"failed with {type(outcome).__name__}: {outcome}")
        else:
            print(outcome)
    print("outcomes", len(outcomes))


asyncio.run(main())
