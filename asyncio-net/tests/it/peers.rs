//! CPython's asyncio on the other side, both ways, where a CPython 3.13 is found.

use std::path::PathBuf;

use asyncio_core::{Result, create_task};
use asyncio_net::subprocess::PIPE;
use asyncio_net::{
    Process, StreamReader, StreamWriter, create_subprocess_exec, open_connection, start_server,
};
use sha2::{Digest, Sha256};

use crate::support::{Identity, everywhere, scaled};

/// So many bytes go each way, times the scale.
const BYTES: usize = 4 << 20;

/// The other side: it connects to, or serves, what its arguments say, and says what it has seen.
const PEER: &str = r#"
import asyncio, hashlib, ssl, sys

role, tls, count, port, pem = sys.argv[1], sys.argv[2] == "tls", int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]

def pattern(count):
    block = bytes(range(251)) * 261
    return (block * (count // len(block) + 1))[:count]

async def send(writer):
    data = pattern(count)
    for start in range(0, count, 100_000):
        writer.write(data[start:start + 100_000])
        await writer.drain()

async def both(reader, writer):
    seen = hashlib.sha256()
    sending = asyncio.create_task(send(writer))
    left = count
    while left:
        data = await reader.read(min(left, 1 << 16))
        if not data:
            raise EOFError
        seen.update(data)
        left -= len(data)
    await sending
    line = await reader.readline()
    writer.write(line.upper())
    await writer.drain()
    end = await reader.read()
    writer.close()
    await writer.wait_closed()
    print(seen.hexdigest(), end, flush=True)

async def main():
    if role == "client":
        context = ssl.create_default_context(cafile=pem + ".crt") if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if tls else None)
        await both(reader, writer)
    else:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem + ".crt", pem + ".key")
        done = asyncio.get_running_loop().create_future()
        async def handle(reader, writer):
            await both(reader, writer)
            done.set_result(None)
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        print(server.sockets[0].getsockname()[1], flush=True)
        await done

asyncio.run(main())
"#;

/// Where a CPython 3.13 is: what `PYTHON` says, then pyenv's, then the path.
pub(crate) async fn python() -> Result<Option<PathBuf>> {
    let mut candidates: Vec<PathBuf> = std::env::var_os("PYTHON")
        .map(Into::into)
        .into_iter()
        .collect();
    let root = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    if let Some(entries) = root.and_then(|root| root.join("versions").read_dir().ok()) {
        let all = entries.flatten().map(|entry| entry.path());
        let right = all.filter(|path| {
            let name = path.file_name().and_then(std::ffi::OsStr::to_str);
            name.is_some_and(|name| name.starts_with("3.13."))
        });
        candidates.extend(right.map(|path| path.join("bin").join("python3")));
    }
    candidates.extend([PathBuf::from("python3.13"), PathBuf::from("python3")]);
    for candidate in candidates {
        let script = "import ssl, sys; sys.exit(sys.version_info[:2] < (3, 13))";
        let Ok(process) = create_subprocess_exec(&candidate)
            .args(["-c", script])
            .await
        else {
            continue;
        };
        if process.wait().await? == 0 {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

fn pattern(count: usize) -> Vec<u8> {
    (0..=250_u8)
        .cycle()
        .take(251 * 261)
        .cycle()
        .take(count)
        .collect()
}

/// What this side does: the same as the other.
async fn both(reader: &StreamReader, writer: &StreamWriter, count: usize) -> Result<()> {
    let data = pattern(count);
    let expected = Sha256::digest(&data);
    let sender = writer.clone();
    let sending = create_task(async move {
        for piece in data.chunks(100_000) {
            sender.write(piece);
            sender.drain().await?;
        }
        Ok(())
    });
    let (mut seen, mut left) = (Sha256::new(), count);
    while left > 0 {
        let piece = reader.read(left.min(1 << 16).cast_signed()).await?;
        assert!(!piece.is_empty(), "the end with {left} bytes to come");
        seen.update(&piece);
        left -= piece.len();
    }
    sending.await?;
    assert_eq!(seen.finalize(), expected);
    writer.write(b"a line\n");
    assert_eq!(reader.readline().await?, b"A LINE\n");
    Ok(())
}

async fn start(python: &PathBuf, arguments: [&str; 5]) -> Result<Process> {
    create_subprocess_exec(python)
        .args(["-c", PEER])
        .args(arguments)
        .stdout(PIPE)
        .await
}

/// What the other side has seen is what was sent, and it saw the end as an end.
async fn is_content(process: &Process, count: usize) -> Result<()> {
    let said = process.stdout().expect("piped").read(-1).await?;
    let expected: String = Sha256::digest(pattern(count))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said.trim(), format!("{expected} b''"));
    assert_eq!(process.wait().await?, 0);
    Ok(())
}

async fn exchange(tls: bool) -> Result<()> {
    let Some(python) = python().await? else {
        skipped();
        return Ok(());
    };
    let count = scaled(BYTES);
    let identity = Identity::new();
    let name = format!("asyncio-net-peer-{}-{tls}", std::process::id());
    let pem = std::env::temp_dir().join(name);
    std::fs::write(pem.with_extension("crt"), &identity.pem)?;
    std::fs::write(pem.with_extension("key"), &identity.key)?;
    let pem_name = pem.to_str().expect("text").to_owned();
    let kind = if tls { "tls" } else { "plain" };
    let number = count.to_string();

    // Ours serves.
    let starting = start_server(
        move |reader: StreamReader, writer: StreamWriter| async move {
            both(&reader, &writer, count).await?;
            writer.close();
            writer.wait_closed().await
        },
        "127.0.0.1",
        0,
    );
    let server = if tls {
        starting.ssl(identity.server()?).await?
    } else {
        starting.await?
    };
    let port = server.port().to_string();
    let process = start(&python, ["client", kind, &number, &port, &pem_name]).await?;
    is_content(&process, count).await?;
    server.close();

    // Theirs serves.
    let process = start(&python, ["server", kind, &number, "0", &pem_name]).await?;
    let port = process.stdout().expect("piped").readline().await?;
    let port = String::from_utf8_lossy(&port).trim().parse()?;
    let mut connecting = open_connection("127.0.0.1", port);
    if tls {
        connecting = connecting
            .ssl(identity.client()?)
            .server_hostname("localhost");
    }
    let (reader, writer) = connecting.await?;
    both(&reader, &writer, count).await?;
    writer.close();
    writer.wait_closed().await?;
    is_content(&process, count).await?;
    std::fs::remove_file(pem.with_extension("crt"))?;
    std::fs::remove_file(pem.with_extension("key"))?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn skipped() {
    println!("skipped: there is no CPython 3.13 here, or not what it needs");
}

#[test]
fn cpython_is_spoken_to_over_tcp() -> Result<()> {
    everywhere(|| exchange(false))
}

#[test]
fn cpython_is_spoken_to_over_tls() -> Result<()> {
    everywhere(|| exchange(true))
}
