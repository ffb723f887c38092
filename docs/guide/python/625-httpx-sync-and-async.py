"""httpx has the same interface twice: a blocking Client, here used in a thread, and an AsyncClient.
Source: article 000, section "aiohttp"; article 000, section "Async HTTP Clients"
Crates: asyncio-core, asyncio-net
Kind: extra
Needs: httpx
"""
import asyncio

import httpx


async def service(reader, writer):
    method = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")[0]
    body = f"{method} seen".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(body) + (b"" if method == "HEAD" else body))
    await writer.drain()
    writer.close()


def blocking(url):
    with httpx.Client(trust_env=False) as client:
        return client.get(url).text


async def awaiting(url):
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).text


async def main():
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
    print("in a thread:", await asyncio.to_thread(blocking, url))
    print("awaited:", await awaiting(url))
    server.close()
    await server.wait_closed()


asyncio.run(main())
