"""Every task sees its own copy of the context variables; to_thread() takes them along, run_in_executor() does not.
Source: article 004, section "5. Running Blocking Code in Asyncio"; article 004, section "3. Tasks: Running Coroutines Concurrently"
Crates: asyncio-core
Kind: extra
"""
import asyncio
import contextvars

guest = contextvars.ContextVar("guest", default="nobody")


def menu():
    return f"menu for {guest.get()}"


async def serve(name):
    guest.set(name)
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(menu)


async def main():
    for line in await asyncio.gather(serve("Ruth"), serve("Omar"), serve("Lin")):
        print(line)
    print("main still serves", guest.get())

    guest.set("the cook")
    print("to_thread:", await asyncio.to_thread(menu))
    loop = asyncio.get_running_loop()
    print("run_in_executor:", await loop.run_in_executor(None, menu))
    context = contextvars.copy_context()
    print("with a copied context:", await loop.run_in_executor(None, context.run, menu))


asyncio.run(main())
