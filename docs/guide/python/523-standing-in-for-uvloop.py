"""A server and its client over uvloop behave as they do over the standard loop.
Source: article 003, section "uvloop: High-Performance Event Loop"; article 004, section "15. Performance Do's and Don'ts"
Crates: asyncio-core, asyncio-net, asyncio-compat
Kind: extra
Needs: uvloop
"""
import asyncio

import uvloop


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def program():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for word in ("anchor", "buoy"):
        writer.write(word.encode() + b"\n")
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    return answers


print("asyncio", *asyncio.run(program()))
print("uvloop", *uvloop.run(program()))
