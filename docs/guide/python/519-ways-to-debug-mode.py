"""Debug mode is switched on by run(debug=True), by an environment variable or on the loop.
Source: article 000, section "Debugging Async Code"; article 004, section "12. Debugging and Profiling"
Crates: asyncio-core
Kind: snippet
"""
import asyncio
import os
import subprocess
import sys

SNIPPET = """
import asyncio
async def ask():
    return asyncio.get_running_loop().get_debug()
print("on" if asyncio.run(ask()) else "off")
"""


def in_new_interpreter(**extra):
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")}
    done = subprocess.run([sys.executable, "-c", SNIPPET], env=env | extra, capture_output=True, text=True, check=True)
    return done.stdout.strip()


async def ask(switch=None):
    loop = asyncio.get_running_loop()
    if switch is not None:
        loop.set_debug(switch)
    return "on" if loop.get_debug() else "off"


print("plain run:", asyncio.run(ask(), debug=False))
print("run(debug=True):", asyncio.run(ask(), debug=True))
print("set_debug(True):", asyncio.run(ask(True), debug=False))
print("new interpreter:", in_new_interpreter())
print("PYTHONASYNCIODEBUG=1:", in_new_interpreter(PYTHONASYNCIODEBUG="1"))
