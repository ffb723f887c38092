"""A large body is written to a file chunk by chunk, without ever being whole in memory.
Source: article 000, section "Async HTTP Clients"
Crates: asyncio-core, asyncio-net
Kind: correction
Needs: httpx
Corrects: The chunks are written with blocking f.write() calls on the loop's own thread.
Instead: The same download, each chunk written in a thread by to_thread().
"""
import asyncio
import pathlib
import tempfile
import zlib

import httpx

SIZE = 50_000
BODY = bytes(n * n % 251 for n in range(SIZE))


async def service(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % SIZE)
    for start in range(0, SIZE, 7_000):
        writer.write(BODY[start:start + 7_000])
        await writer.drain()
    writer.close()


async def download(url, path):
    sizes = []
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as response:
        response.raise_for_status()
        with open(path, "wb") as file:
            async for chunk in response.aiter_bytes(chunk_size=8192):
                sizes.append(len(chunk))
                await asyncio.to_thread(file.write, chunk)
    return sizes


async def main():
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "map.bin")
        sizes = await download(f"http://127.0.0.1:{port}/map", path)
        print("chunks", len(sizes), "largest", max(sizes), "last", sizes[-1])
        data = path.read_bytes()
        print("bytes", len(data), "crc32 equal:", "yes" if zlib.crc32(data) == zlib.crc32(BODY) else "no")
    server.close()
    await server.wait_closed()


asyncio.run(main())
