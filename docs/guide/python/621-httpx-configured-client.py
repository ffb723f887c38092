"""A client with time limits, connection limits and a default header asks three services in a TaskGroup.
Source: article 000, section "Async HTTP Clients"
Crates: asyncio-core, asyncio-net
Kind: snippet
Needs: httpx
"""
import asyncio
import json

import httpx


async def service(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    body = json.dumps({"path": path, "agent": headers["user-agent"], "count": len(path)}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        timeout=httpx.Timeout(20.0, connect=5.0),
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=2),
        headers={"User-Agent": "cheese-counter/3"},
        trust_env=False,
    ) as client:
        print("limits in seconds: connect", client.timeout.connect, "read", client.timeout.read)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.get(f"/{part}")) for part in ("cows", "goats", "sheep")]
        for task in tasks:
            response = task.result()
            data = response.json()
            print(response.status_code, data["path"], data["count"], data["agent"])
    print("client closed:", "yes" if client.is_closed else "no")
    server.close()
    await server.wait_closed()


asyncio.run(main())
