"""An exception in a task nobody awaits goes to the loop's exception handler when the task is collected.
Source: article 004, section "9. Exception Handling in Asyncio"; article 003, section "✅ Best Practices Summary"
Crates: asyncio-core
Kind: correction
Corrects: The exception of a task nobody awaits is said to be possibly lost.
Instead: It is reported (by default logged) as never retrieved; a handler of one's own can collect the report.
"""
import asyncio
import gc


async def burst_pipe():
    raise ValueError("pipe burst in cellar 3")


async def main():
    reports = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))

    asyncio.create_task(burst_pipe())
    await asyncio.sleep(0.02)
    gc.collect()
    for report in reports:
        print(report["message"])
        print(f"{type(report['exception']).__name__}: {report['exception']}")

    reports.clear()
    looked_at = asyncio.create_task(burst_pipe())
    await asyncio.sleep(0.02)
    print("looked at:", looked_at.exception())
    del looked_at
    gc.collect()
    print("reports for the second task:", len(reports))


asyncio.run(main())
