"""A call without await creates an object that is thrown away unrun, and CPython warns about it.
Source: article 002, section "Forgetting to await"; article 003, section "❌ Pitfall 2: Forgetting await"; article 000, section "Debugging Async Code"
Crates: asyncio-core
Kind: correction
Corrects: A call whose await is missing is said to do nothing at all (002).
Instead: It does two things: a coroutine object is made, and a RuntimeWarning tells that it was never awaited.
"""
import asyncio
import gc
import inspect
import warnings

posted = []


async def post_letter(name):
    posted.append(name)
    return f"sent to {name}"


async def main():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        slip = post_letter("Ada")
        print("got a result:", "no" if inspect.iscoroutine(slip) else "yes")
        del slip
        gc.collect()
    print("letters posted:", len(posted))
    for item in caught:
        print(f"{item.category.__name__}: {item.message}")

    print(await post_letter("Ada"))
    print("letters posted:", len(posted))


asyncio.run(main())
