//! A server that does as it is told, also what no server should do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use asyncio_core::{Exception, Result};
use asyncio_net::http::{AsyncClient, AsyncClientBuilder, HttpError, HttpErrorKind};
use asyncio_net::{Server, StreamReader, StreamWriter, TlsServer, start_server};

/// A request as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a server has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Log {
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.0.seen.lock().expect("no panic").clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.requests().pop().expect("a request")
    }

    /// Whether there were so many connections. On several threads a connection may come back a moment after the
    /// request that had it is over, so that the next one takes another: there it is not asked.
    pub(crate) fn had(&self, connections: usize) -> bool {
        asyncio_core::get_running_loop().is_err() || self.connections() == connections
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// How many requests were answered at the same time, at most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    pub(crate) fn enter(&self) {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) log: Log,
}

impl TestServer {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port())
    }
}

/// Reads a request; `None` at the end of the connection.
pub(crate) async fn read_request(reader: &StreamReader) -> Result<Option<Seen>> {
    let head = match reader.readuntil(b"\r\n\r\n").await {
        Ok(head) => head,
        Err(error) if error.is_cancelled() => return Err(error),
        Err(_) => return Ok(None),
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut seen = Seen {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        ..Seen::default()
    };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            let name = name.to_ascii_lowercase();
            seen.headers.push((name, value.trim().to_owned()));
        }
    }
    if let Some(length) = seen.header("content-length") {
        let length: isize = length.parse()?;
        let Ok(body) = reader.readexactly(length).await else {
            return Ok(None);
        };
        seen.body = body;
    } else if seen.header("transfer-encoding") == Some("chunked") {
        loop {
            let Ok(size) = reader.readuntil(b"\r\n").await else {
                return Ok(None);
            };
            let size = String::from_utf8_lossy(&size).trim().to_owned();
            let size = isize::from_str_radix(&size, 16)?;
            let Ok(piece) = reader.readexactly(size + 2).await else {
                return Ok(None);
            };
            if size == 0 {
                break;
            }
            let piece = &piece[..piece.len() - 2];
            seen.body.extend_from_slice(piece);
        }
    }
    Ok(Some(seen))
}

/// A server that answers each request with what a function makes of it, as it goes over the wire.
pub(crate) async fn serve<F, Fut>(answer: F) -> Result<TestServer>
where
    F: Fn(Seen) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<u8>> + Send + 'static,
{
    serve_as(answer, None).await
}

pub(crate) async fn serve_as<F, Fut>(answer: F, tls: Option<TlsServer>) -> Result<TestServer>
where
    F: Fn(Seen) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<u8>> + Send + 'static,
{
    let log = Log::default();
    let answer = Arc::new(answer);
    let starting = {
        let log = log.clone();
        start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let (log, answer) = (log.clone(), Arc::clone(&answer));
                async move {
                    log.0.connections.fetch_add(1, Ordering::SeqCst);
                    while let Some(seen) = read_request(&reader).await? {
                        log.0.seen.lock().expect("no panic").push(seen.clone());
                        log.enter();
                        let said = answer(seen).await;
                        log.leave();
                        let close = said.is_empty() || contains(&said, b"connection: close");
                        writer.write(&said);
                        match writer.drain().await {
                            Err(error) if error.is_cancelled() => return Err(error),
                            Err(_) => return Ok(()),
                            Ok(()) if close => return Ok(()),
                            Ok(()) => {}
                        }
                    }
                    Ok(())
                }
            },
            "127.0.0.1",
            0,
        )
        .backlog(1024)
    };
    let server = match tls {
        Some(tls) => starting.ssl(tls).await?,
        None => starting.await?,
    };
    Ok(TestServer { server, log })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}

/// A response with a body.
pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", "", body)
}

pub(crate) fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut said = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    said.extend_from_slice(body);
    said
}

/// A client that no variable of the environment changes.
pub(crate) fn client() -> AsyncClientBuilder {
    AsyncClient::builder().trust_env(false)
}

/// The client's error in a result.
#[track_caller]
pub(crate) fn failed<T: std::fmt::Debug>(result: Result<T>) -> HttpErrorKind {
    let error = result.expect_err("an error was expected");
    http_error(&error).kind()
}

#[track_caller]
pub(crate) fn http_error(error: &Exception) -> &HttpError {
    HttpError::of(error).unwrap_or_else(|| panic!("{error:?}"))
}
