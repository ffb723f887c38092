"""A failing call is repeated with pauses that double; the last failure is raised on.
Source: article 002, section "Error Handling"
Crates: asyncio-core
Kind: snippet
"""
import asyncio

UNIT = 0.01


class Radio:
    def __init__(self, failures):
        self.failures = failures
        self.calls = 0

    async def send(self, text):
        self.calls += 1
        await asyncio.sleep(0)
        if self.calls <= self.failures:
            raise ConnectionError(f"static on call {self.calls}")
        return f"{text} received on call {self.calls}"


async def send_stubbornly(radio, text, attempts=4):
    pauses = []
    for attempt in range(attempts):
        try:
            return await radio.send(text), pauses
        except ConnectionError as err:
            if attempt == attempts - 1:
                raise
            pauses.append(2 ** attempt)
            print(f"{err}, next try after {pauses[-1]} units")
            await asyncio.sleep(pauses[-1] * UNIT)


async def main():
    for failures in (0, 2, 9):
        radio = Radio(failures)
        try:
            answer, pauses = await send_stubbornly(radio, "hello")
            print(answer, "after pauses", pauses)
        except ConnectionError as err:
            print("gave up:", err)
        print("calls", radio.calls)


asyncio.run(main())
