"""httpx limits single operations (connect, read, pool); a limit for the whole comes from asyncio.timeout().
Source: article 000, section "Async HTTP Clients"; article 000, section "Timeout Patterns"
Crates: asyncio-core, asyncio-net
Kind: extra
Needs: httpx
"""
import asyncio

import httpx


async def service(reader, writer):
    path = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")[1]
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n")
    try:
        if path == "/stuck":
            await asyncio.sleep(2)
        for _ in range(8):
            await asyncio.sleep(0.15)
            writer.write(b".")
            await writer.drain()
    except ConnectionError:
        pass  # the client gave up
    finally:
        writer.close()


async def attempt(title, coro):
    try:
        response = await coro
        print(f"{title}: {len(response.content)} bytes")
    except httpx.TimeoutException as err:
        print(f"{title}: {type(err).__name__}")
    except TimeoutError:
        print(f"{title}: TimeoutError")


async def in_all(seconds, coro):
    async with asyncio.timeout(seconds):
        return await coro


async def main():
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    base = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    per_step = httpx.Timeout(5.0, read=0.7)
    async with httpx.AsyncClient(base_url=base, timeout=per_step, trust_env=False) as client:
        await attempt("silent server", client.get("/stuck"))
        await attempt("dripping for 1.2 s, 0.7 s per read", client.get("/drip"))
        await attempt("dripping, 0.7 s in all", in_all(0.7, client.get("/drip")))

    narrow = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=base, timeout=httpx.Timeout(5.0, pool=0.3), limits=narrow,
                                 trust_env=False) as client:
        first = asyncio.create_task(attempt("first of two", client.get("/drip")))
        await asyncio.sleep(0.05)
        await attempt("second, no free connection", client.get("/drip"))
        await first
    server.close()


asyncio.run(main())
