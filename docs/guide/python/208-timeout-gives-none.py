"""A helper turns a timeout into the value None, so that callers need no try.
Source: article 002, section "Timeouts"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def ask_oracle(question, pause):
    await asyncio.sleep(pause)
    return f"{question}: perhaps"


async def ask_with_patience(question, pause, patience=0.2):
    try:
        async with asyncio.timeout(patience):
            return await ask_oracle(question, pause)
    except TimeoutError:
        return None


async def main():
    for question, pause in (("rain", 0.01), ("fame", 30.0), ("gold", 0.02)):
        answer = await ask_with_patience(question, pause)
        print(question, "->", "no answer" if answer is None else answer)


asyncio.run(main())
