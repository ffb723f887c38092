"""A semaphore bounds how many run together, not how many start per second; a pacer does that.
Source: article 000, section "Semaphore (Rate Limiting)"; article 003, section "Appendix: Quick Reference"; article 001, section "Interview Talking Points"; article 004, section "14. Real‑World Pattern: Async Web Scraper with Rate Limiting"
Crates: asyncio-core, asyncio-sync
Kind: correction
Corrects: A semaphore is called rate limiting (000 heading and function, 003 quick reference, 004 scraper).
Instead: With two permits twelve short calls all start within half a second; the pacer keeps 0.1 s between starts.
"""
import asyncio


class Pacer:
    """Lets one caller through per interval."""

    def __init__(self, interval):
        self.interval = interval
        self.lock = asyncio.Lock()
        self.last = None

    async def __aenter__(self):
        async with self.lock:
            loop = asyncio.get_running_loop()
            while self.last is not None and (left := self.last + self.interval - loop.time()) > 0:
                await asyncio.sleep(left)
            self.last = loop.time()

    async def __aexit__(self, *exc):
        return False


async def call(guard, starts):
    async with guard:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.005)


async def starts_of(guard, calls):
    starts = []
    await asyncio.gather(*(call(guard, starts) for _ in range(calls)))
    return starts


async def main():
    starts = await starts_of(asyncio.Semaphore(2), 12)
    quick = sum(start - starts[0] < 0.5 for start in starts)
    print("semaphore of 2: calls started in the first half second:", quick)

    starts = await starts_of(Pacer(0.1), 6)
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
    print("pacer: every gap at least 0.1 s:", "yes" if min(gaps) >= 0.099 else "no")
    print("pacer: six calls took at least half a second:", "yes" if starts[-1] - starts[0] >= 0.495 else "no")


asyncio.run(main())
