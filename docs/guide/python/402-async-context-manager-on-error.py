"""__aexit__ learns of an error or a cancellation in the block and may swallow it by returning true.
Source: article 003, section "Async Context Managers"; article 002, section "Async Context Managers"; article 004, section "10. Async Context Managers"
Crates: asyncio-core
Kind: extra
"""
import asyncio


class Vault:
    def __init__(self, forgiving):
        self.forgiving = forgiving

    async def __aenter__(self):
        return "gold"

    async def __aexit__(self, kind, error, trace):
        await asyncio.sleep(0.01)
        print("locked after", "a clean visit" if kind is None else kind.__name__)
        return self.forgiving and kind is KeyError


async def visit(forgiving, error=None):
    try:
        async with Vault(forgiving) as treasure:
            if error:
                raise error
            print("saw the", treasure)
        print("visit over")
    except KeyError as err:
        print("alarm:", err.args[0])


async def main():
    await visit(False)
    await visit(False, KeyError("wrong key"))
    await visit(True, KeyError("wrong key"))

    async def loiter():
        async with Vault(True):
            await asyncio.sleep(30)

    task = asyncio.create_task(loiter())
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    print("cancelled:", "yes" if task.cancelled() else "no")


asyncio.run(main())
