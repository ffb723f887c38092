"""A StreamingResponse sends server-sent events as its async generator yields them.
Source: article 002, section "FastAPI Integration"
Crates: asyncio-core, asyncio-sync, asyncio-net
Kind: correction
Needs: fastapi, uvicorn, httpx
Corrects: StreamingResponse is used without being imported.
Instead: With the import, over a real server: the client gets the first event before the second has been made.
"""
import asyncio

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
log = []
go_on = asyncio.Event()


async def departures():
    for number, train in enumerate(("Basel 9:02", "Lyon 9:40", "Turin 10:15")):
        if number == 1:
            await go_on.wait()
        log.append(f"made {train}")
        yield train


@app.get("/departures")
async def stream():
    async def events():
        async for train in departures():
            yield f"data: {train}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def main():
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]

    async with httpx.AsyncClient(trust_env=False) as client:
        async with client.stream("GET", f"http://127.0.0.1:{port}/departures") as response:
            print(response.status_code, response.headers["content-type"])
            trains = []
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    if not trains:
                        log.append("first event received")
                        go_on.set()
                    trains.append(line.removeprefix("data: "))
    print("\n".join(log))
    print("received:", ", ".join(trains))
    server.should_exit = True
    await serving


asyncio.run(main())
