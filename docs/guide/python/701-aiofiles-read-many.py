"""Several files are read concurrently with aiofiles.
Source: article 003, section "9. Async File IO: aiofiles"
Crates: asyncio-core, asyncio-compat
Kind: snippet
Needs: aiofiles
"""
import asyncio
import pathlib
import tempfile

import aiofiles

POEMS = {"dawn.txt": "grey light\nfirst gull", "noon.txt": "no shade", "dusk.txt": "lamps\nand moths\nand dew"}


async def read_poem(path):
    async with aiofiles.open(path, "r", encoding="utf-8") as file:
        return await file.read()


async def main():
    with tempfile.TemporaryDirectory() as folder:
        for name, text in POEMS.items():
            pathlib.Path(folder, name).write_text(text, encoding="utf-8")
        texts = await asyncio.gather(*(read_poem(pathlib.Path(folder, name)) for name in POEMS))
        for name, text in zip(POEMS, texts):
            print(f"{name}: {len(text)} characters, begins with: {text.splitlines()[0]}")
        outcome = await asyncio.gather(read_poem(pathlib.Path(folder, "night.txt")), return_exceptions=True)
        print("missing file:", type(outcome[0]).__name__)


asyncio.run(main())
