//! Servers of others: httpbin and aiohttp's, where a CPython and PyPI are found.

use std::path::{Path, PathBuf};

use asyncio_core::{Result, create_task, run, to_thread};
use asyncio_net::http::{AsyncClient, Auth, Body, HttpErrorKind, Multipart, Timeout};
use asyncio_net::subprocess::PIPE;
use asyncio_net::{Process, create_subprocess_exec};
use serde_json::{Value, json};

use super::server::{client, failed};
use crate::support::pattern;

const HTTPBIN: &str = r#"
import sys, threading
from werkzeug.serving import make_server, WSGIRequestHandler
from httpbin import app
WSGIRequestHandler.protocol_version = "HTTP/1.1"
WSGIRequestHandler.log_request = lambda *args: None
server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"#;

const AIOHTTP: &str = r#"
import asyncio, hashlib, sys
from aiohttp import web

async def form(request):
    data = await request.post()
    return web.json_response({key: [value.filename, value.content_type, value.file.read().hex()]
                              if hasattr(value, "file") else value for key, value in data.items()})

async def digest(request):
    seen, count = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        seen.update(piece); count += len(piece)
    return web.json_response({"count": count, "sha256": seen.hexdigest(),
                              "chunked": request.headers.get("Transfer-Encoding")})

async def drip(request):
    response = web.StreamResponse()
    if "compress" in request.query:
        response.enable_compression()
    await response.prepare(request)
    for number in range(100):
        await response.write(b"line %d\n" % number)
        await asyncio.sleep(0)
    await response.write_eof()
    return response

async def broken(request):
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 10)
    request.transport.close()
    return response

async def echo(request):
    return web.Response(body=await request.read(), headers={"X-Peer": str(request.transport.get_extra_info("peername")[1])})

async def main():
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/form", form)
    app.router.add_post("/digest", digest)
    app.router.add_get("/drip", drip)
    app.router.add_get("/broken", broken)
    app.router.add_route("*", "/echo", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"#;

/// Where there is a Python with both; made once, in the folder of what is built.
async fn environment() -> Result<Option<PathBuf>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http-peers");
    let python = folder.join("bin").join("python3");
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(Some(python));
    }
    let Some(base) = crate::peers::python().await? else {
        return Ok(None);
    };
    let made = to_thread(move || {
        let quiet = |command: &mut std::process::Command| {
            let silent = std::process::Stdio::null;
            let command = command.stdout(silent()).stderr(silent()).stdin(silent());
            Ok::<_, std::io::Error>(command.status()?.success())
        };
        let _ = std::fs::remove_dir_all(&folder);
        let venv = quiet(
            std::process::Command::new(base)
                .args(["-m", "venv"])
                .arg(&folder),
        )?;
        let packages = ["httpbin", "werkzeug", "brotlicffi", "aiohttp"];
        let install = ["-m", "pip", "install", "--quiet"];
        let mut pip = std::process::Command::new(folder.join("bin").join("python3"));
        if !venv || !quiet(pip.args(install).args(packages))? {
            return Ok(false);
        }
        std::fs::write(ready, "")?;
        Ok(true)
    })
    .await?;
    Ok(made.then_some(python))
}

/// A server of Python's, which ends with its standard input, and its address.
async fn start(script: &str) -> Result<Option<(Process, String)>> {
    let Some(python) = environment().await? else {
        return Ok(None);
    };
    let process = create_subprocess_exec(python)
        .args(["-c", script])
        .stdin(PIPE)
        .stdout(PIPE)
        .await?;
    let port = process.stdout().expect("piped").readline().await?;
    let port: u16 = String::from_utf8_lossy(&port).trim().parse()?;
    Ok(Some((process, format!("http://127.0.0.1:{port}"))))
}

async fn end(process: Process) -> Result<()> {
    process.kill()?;
    process.wait().await?;
    Ok(())
}

/// Both in one test, because both need the environment, which is made once.
#[test]
fn servers_of_others_agree() -> Result<()> {
    run(async {
        let Some((process, url)) = start(HTTPBIN).await? else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there has to be a CPython 3.13 that can install httpbin and aiohttp"
            );
            crate::peers::skipped();
            return Ok(());
        };
        let client = client()
            .base_url(&url)
            .timeout(Timeout::new(60))
            .follow_redirects(true)
            .build()?;
        httpbin(&client, &url).await?;
        end(process).await?;
        let Some((process, url)) = start(AIOHTTP).await? else {
            return Ok(());
        };
        let client = super::server::client()
            .base_url(&url)
            .timeout(Timeout::new(60))
            .build()?;
        aiohttp(&client).await?;
        end(process).await
    })
}

async fn httpbin(client: &AsyncClient, url: &str) -> Result<()> {
    for method in ["get", "post", "put", "patch", "delete"] {
        let request = client.request(&method.to_uppercase(), format!("/{method}"));
        let seen: Value = request
            .params([("a", "1 ü")])
            .header("x-y", "z")
            .await?
            .json()?;
        assert_eq!(seen["args"]["a"], "1 ü");
        assert_eq!(seen["headers"]["X-Y"], "z");
    }
    let seen: Value = client
        .post("/anything")
        .data([("k", "v w")])
        .await?
        .json()?;
    assert_eq!(seen["form"]["k"], "v w");
    let seen: Value = client
        .post("/anything")
        .json(&json!({"n": [1]}))
        .await?
        .json()?;
    assert_eq!(seen["json"]["n"][0], 1);
    let form = Multipart::new()
        .text("t", "x")
        .file("f", "a.txt", "content");
    let seen: Value = client.post("/anything").files(form).await?.json()?;
    assert_eq!(
        (&seen["form"]["t"], &seen["files"]["f"]),
        (&json!("x"), &json!("content"))
    );

    for status in [200, 204, 304, 400, 404, 418, 500, 503] {
        let answer = client.get(format!("/status/{status}")).await?;
        assert_eq!(answer.status_code(), status);
        assert_eq!(answer.raise_for_status().is_ok(), status < 300);
    }
    for path in [
        "/redirect/3",
        "/relative-redirect/3",
        "/absolute-redirect/3",
    ] {
        let answer = client.get(path).await?;
        assert_eq!(
            (answer.status_code(), answer.history().len()),
            (200, 3),
            "{path}"
        );
    }
    let moved = client
        .post("/redirect-to")
        .params([("url", "/anything"), ("status_code", "307")]);
    let seen: Value = moved.content("kept").await?.json()?;
    assert_eq!(
        (&seen["method"], &seen["data"]),
        (&json!("POST"), &json!("kept"))
    );
    let many = client.get("/redirect/25").await;
    assert_eq!(failed(many), HttpErrorKind::TooManyRedirects);

    let seen: Value = client.get("/cookies/set?c=1").await?.json()?;
    assert_eq!(seen["cookies"]["c"], "1");
    let seen: Value = client.get("/cookies").cookie("d", "2").await?.json()?;
    assert_eq!(seen["cookies"], json!({"c": "1", "d": "2"}));
    client.get("/cookies/delete?c").await?;
    let seen: Value = client.get("/cookies").await?.json()?;
    assert_eq!(seen["cookies"], json!({}));

    let basic = client.get("/basic-auth/u/p%20w");
    assert_eq!(basic.auth(("u", "p w")).await?.status_code(), 200);
    assert_eq!(
        client
            .get("/basic-auth/u/p")
            .auth(("u", "no"))
            .await?
            .status_code(),
        401
    );
    assert_eq!(
        client
            .get("/bearer")
            .auth(Auth::bearer("t"))
            .await?
            .status_code(),
        200
    );
    for algorithm in ["MD5", "SHA-256"] {
        for password in ["p", "wrong"] {
            let path = format!("/digest-auth/auth/u/p/{algorithm}");
            let answer = client.get(path).auth(Auth::digest("u", password)).await?;
            assert_eq!(
                answer.is_success(),
                password == "p",
                "{algorithm} {password}"
            );
        }
    }

    for (path, key) in [("/gzip", "gzipped"), ("/deflate", "deflated")] {
        let seen: Value = client.get(path).await?.json()?;
        assert_eq!(seen[key], true);
    }
    #[cfg(feature = "brotli")]
    {
        let seen: Value = client.get("/brotli").await?.json()?;
        assert_eq!(seen["brotli"], true);
    }
    assert!(
        client
            .get("/encoding/utf8")
            .await?
            .text()
            .contains("∮ E⋅da = Q")
    );
    for path in [
        "/html",
        "/json",
        "/xml",
        "/robots.txt",
        "/image/png",
        "/uuid",
        "/ip",
        "/links/3/1",
    ] {
        let answer = client.get(path).await?.raise_for_status()?;
        assert!(!answer.content().is_empty(), "{path}");
    }
    assert_eq!(
        client.get("/bytes/5000?seed=1").await?.content().len(),
        5000
    );
    let some = client
        .get("/range/1000")
        .header("range", "bytes=10-19")
        .await?;
    assert_eq!(
        (some.status_code(), some.text().as_str()),
        (206, "klmnopqrst")
    );
    let mut lines = 0;
    let mut stream = client.get("/stream/20").stream().await?;
    let mut iterator = stream.aiter_lines();
    while let Some(line) = iterator.next().await? {
        let line: Value = serde_json::from_str(&line)?;
        assert_eq!(line["id"], lines);
        lines += 1;
    }
    assert_eq!(lines, 20);
    let chunks = client.get("/stream-bytes/10000?chunk_size=777").await?;
    assert_eq!(chunks.content().len(), 10_000);
    let dripped = client.get("/drip?duration=0.3&numbytes=5&delay=0").await?;
    assert_eq!(dripped.content(), b"*****");
    let late = client
        .get("/delay/5")
        .timeout(Timeout::new(60).read(0.2))
        .await;
    assert_eq!(failed(late), HttpErrorKind::ReadTimeout);
    let agent: Value = client
        .get("/user-agent")
        .header("user-agent", "me/1")
        .await?
        .json()?;
    assert_eq!(agent["user-agent"], "me/1");
    assert!(client.get(format!("{url}/head")).await?.is_error());
    Ok(())
}

async fn aiohttp(client: &AsyncClient) -> Result<()> {
    let form = Multipart::new()
        .text("ü", "1\r\n2")
        .file("file", "a\"b.png", vec![0, 255, 13, 10])
        .file_of_type("other", "x", "text/x-odd", "");
    let seen: Value = client.post("/form").files(form).await?.json()?;
    assert_eq!(seen["ü"], "1\r\n2");
    assert_eq!(seen["file"][1], "image/png");
    assert_eq!(seen["file"][2], "00ff0d0a");
    assert_eq!(seen["other"], json!(["x", "text/x-odd", ""]));

    let data = pattern(3 << 20);
    let sum = {
        use sha2::Digest;
        let sum = sha2::Sha256::digest(&data);
        sum.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let pieces: Vec<Result<Vec<u8>>> = data.chunks(70_001).map(|it| Ok(it.to_vec())).collect();
    let stream = Body::stream(futures::stream::iter(pieces));
    for (body, chunked) in [(Body::from(data), Value::Null), (stream, json!("chunked"))] {
        let seen: Value = client.post("/digest").content(body).await?.json()?;
        assert_eq!(seen["count"], 3 << 20);
        assert_eq!(seen["sha256"], sum.as_str());
        assert_eq!(seen["chunked"], chunked);
    }
    for path in ["/drip", "/drip?compress"] {
        let mut stream = client.get(path).stream().await?;
        let mut lines = stream.aiter_lines();
        for number in 0..100 {
            assert_eq!(lines.next().await?, Some(format!("line {number}")));
        }
        assert_eq!(lines.next().await?, None);
    }
    assert_eq!(
        failed(client.get("/broken").await),
        HttpErrorKind::RemoteProtocol
    );
    let first = client.get("/echo").await?;
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let request = client.post("/echo").content(number.to_string());
            create_task(async move { request.await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await?.text(), number.to_string());
    }
    assert!(first.headers().contains("x-peer"));
    Ok(())
}
