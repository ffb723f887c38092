"""Many addresses through one shared client, a semaphore and a TaskGroup.
Source: article 000, section "Semaphore (Rate Limiting)"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: correction
Needs: httpx
Corrects: Every fetch opens an AsyncClient of its own, inside the semaphore.
Instead: One client serves all fetches, and the server still sees at most four requests at a time.
"""
import asyncio
import json

import httpx

gauge = {"inside": 0, "peak": 0}


async def service(reader, writer):
    path = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")[1]
    gauge["inside"] += 1
    gauge["peak"] = max(gauge["peak"], gauge["inside"])
    await asyncio.sleep(0.05)
    gauge["inside"] -= 1
    body = json.dumps({"square": int(path[1:]) ** 2}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def fetch_all(client, paths, most=4):
    permits = asyncio.Semaphore(most)

    async def fetch(path):
        async with permits:
            return (await client.get(path)).json()["square"]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch(path)) for path in paths]
    return [task.result() for task in tasks]


async def main():
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    base = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        print(await fetch_all(client, [f"/{n}" for n in range(12)]))
    print("most at once", gauge["peak"])
    server.close()
    await server.wait_closed()


asyncio.run(main())
