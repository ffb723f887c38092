"""A file is read by ordinary blocking code in a thread, and closed there as well.
Source: article 002, section "Mixing Sync and Async"
Crates: asyncio-core
Kind: correction
Corrects: The file is opened in a lambda, `open(path).read()`, and never closed explicitly.
Instead: The thread function closes the file itself with a with block; Path.read_text() does so too.
"""
import asyncio
import pathlib
import tempfile

handles = []


def count_lines(path):
    with open(path, encoding="utf-8") as file:
        handles.append(file)
        return sum(1 for _ in file)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "voyage.log")
        await asyncio.to_thread(log.write_text, "cast off\nfog\nland\n", encoding="utf-8")

        loop = asyncio.get_running_loop()
        print("lines", await loop.run_in_executor(None, count_lines, log))
        print("file closed:", "yes" if handles[0].closed else "no")
        text = await loop.run_in_executor(None, lambda: log.read_text(encoding="utf-8"))
        print("last line:", text.splitlines()[-1])


asyncio.run(main())
