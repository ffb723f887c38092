"""aiofiles writes and appends to a file, then yields its lines to `async for`.
Source: article 003, section "9. Async File IO: aiofiles"
Crates: asyncio-core, asyncio-compat
Kind: snippet
Needs: aiofiles
"""
import asyncio
import pathlib
import tempfile

import aiofiles


async def write(path, mode, text):
    async with aiofiles.open(path, mode, encoding="utf-8") as file:
        return await file.write(text)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "shopping.txt")
        print("written", await write(path, "w", "flour\neggs\n"))
        print("appended", await write(path, "a", "crème\n"))
        async with aiofiles.open(path, encoding="utf-8") as file:
            number = 0
            async for line in file:
                number += 1
                print(number, line.rstrip())
        print("bytes", path.stat().st_size)


asyncio.run(main())
