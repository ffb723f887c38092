"""An object with an async invoke method is called once, and for many inputs through gather().
Source: article 001, section "asyncio in Production (FastAPI / LangChain)"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


class Chain:
    """Runs a question through its steps, each of which may wait."""

    def __init__(self, *steps):
        self.steps = steps

    async def ainvoke(self, inputs):
        value = inputs["question"]
        for step in self.steps:
            value = await step(value)
        return {"question": inputs["question"], "answer": value}


async def shorten(text):
    await asyncio.sleep(0.02)
    return " ".join(text.split()[:3])


async def shout(text):
    await asyncio.sleep(0.01)
    return text.upper() + "!"


async def main():
    chain = Chain(shorten, shout)
    print((await chain.ainvoke({"question": "where do the swallows go in winter"}))["answer"])

    questions = ["why is moss so green here", "who rang", "when does the last ferry leave"]
    for result in await asyncio.gather(*(chain.ainvoke({"question": q}) for q in questions)):
        print(result["question"], "->", result["answer"])


asyncio.run(main())
