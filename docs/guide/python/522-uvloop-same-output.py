"""The same program gives the same output on the standard loop and on uvloop, installed in three ways.
Source: article 003, section "uvloop: High-Performance Event Loop"; article 004, section "15. Performance Do's and Don'ts"
Crates: asyncio-core, asyncio-sync, asyncio-compat
Kind: correction
Needs: uvloop
Corrects: set_event_loop_policy(uvloop.EventLoopPolicy()) is the only way shown; loop policies are deprecated since 3.14.
Instead: A Runner with loop_factory=uvloop.new_event_loop, or uvloop.run(), needs no policy and gives the same output.
"""
import asyncio

import uvloop


async def shunt(wagon, pause, yard):
    await asyncio.sleep(pause)
    await yard.put(wagon)
    return wagon


async def program():
    yard = asyncio.Queue()
    results = await asyncio.gather(shunt(1, 0.2, yard), shunt(2, 0.05, yard), shunt(3, 0.12, yard))
    try:
        await asyncio.wait_for(asyncio.sleep(30), timeout=0.05)
    except TimeoutError:
        results.append("timeout")
    kind = type(asyncio.get_running_loop()).__module__.split(".")[0]
    return kind, results, [yard.get_nowait() for _ in range(yard.qsize())]


def with_policy():
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        return asyncio.run(program())
    finally:
        asyncio.set_event_loop_policy(before)


def with_runner():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program())


outputs = [asyncio.run(program()), with_policy(), with_runner(), uvloop.run(program())]
for kind, results, order in outputs:
    print(f"{kind}: {results} arrived {order}")
print("all alike:", "yes" if all(output[1:] == outputs[0][1:] for output in outputs) else "no")
