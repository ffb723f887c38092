"""A coroutine pauses in the middle and asyncio.run() drives it to its end.
Source: article 000, section "The Event Loop"; article 001, section "Core Concepts"; article 003, section "asyncio.run(): Program Entry Point"; article 004, section "1. The Event Loop: Orchestrating Concurrency"
Crates: asyncio-core
Kind: snippet
"""
import asyncio


async def lighthouse():
    print("lamp on")
    await asyncio.sleep(0.05)
    print("lamp off")


asyncio.run(lighthouse())
