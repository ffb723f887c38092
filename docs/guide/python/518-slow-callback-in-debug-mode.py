"""Debug mode logs every step of the loop that takes longer than slow_callback_duration.
Source: article 004, section "12. Debugging and Profiling"; article 000, section "Debugging Async Code"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import logging
import time


class Collector(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


async def grind_coffee():
    time.sleep(0.7)


async def main():
    asyncio.get_running_loop().slow_callback_duration = 0.35
    await asyncio.create_task(grind_coffee(), name="grinder")


logger = logging.getLogger("asyncio")
logger.propagate = False
for debug in (False, True):
    collector = Collector()
    logger.addHandler(collector)
    asyncio.run(main(), debug=debug)
    logger.removeHandler(collector)
    slow = [line for line in collector.lines if "grinder" in line and " took " in line and "seconds" in line]
    print(f"debug {'on' if debug else 'off'}: slow steps reported {len(slow)}")
