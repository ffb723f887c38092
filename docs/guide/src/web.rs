//! The servers of the programs about HTTP: so much of HTTP/1.1 as they need, on a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_compat as asyncio;
use asyncio_compat::{Server, StreamReader, StreamWriter};
use serde_json::Value;

/// A request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The number of the connection that it came on.
    pub(crate) connection: usize,
}

/// A response, or `None` for a connection that is closed without one.
pub(crate) type Reply = Option<(u16, &'static str, Vec<u8>)>;

impl Ask {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value)
    }
}

pub(crate) fn text(body: impl Into<Vec<u8>>) -> Reply {
    Some((200, "text/plain; charset=utf-8", body.into()))
}

pub(crate) fn json(value: &Value) -> Reply {
    Some((200, "application/json", value.to_string().into_bytes()))
}

pub(crate) fn status(status: u16, body: &str) -> Reply {
    Some((status, "text/plain; charset=utf-8", body.into()))
}

/// Starts a server, and says where it is.
pub(crate) async fn serve<F, Fut>(answer: F) -> asyncio::Result<(Server, String)>
where
    F: Fn(Ask) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = asyncio::Result<Reply>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let connections = Arc::new(AtomicUsize::new(0));
    let handle = move |reader: StreamReader, writer: StreamWriter| {
        let answer = Arc::clone(&answer);
        let connection = connections.fetch_add(1, Ordering::Relaxed);
        async move {
            while let Some(ask) = read(&reader, connection).await? {
                let Some((status, content_type, body)) = answer(ask).await? else {
                    break;
                };
                let head = format!(
                    "HTTP/1.1 {status} \r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                writer.write(head.as_bytes());
                writer.write(&body);
                match writer.drain().await {
                    Err(error) if error.is_cancelled() => return Err(error),
                    Err(_) => break, // the client has gone
                    Ok(()) => {}
                }
            }
            Ok(())
        }
    };
    let server = asyncio::start_server(handle, "127.0.0.1", 0).await?;
    let base = format!("http://127.0.0.1:{}", server.port());
    Ok((server, base))
}

async fn read(reader: &StreamReader, connection: usize) -> asyncio::Result<Option<Ask>> {
    let head = match reader.readuntil(b"\r\n\r\n").await {
        Err(error) if error.is_cancelled() => return Err(error),
        Err(_) => return Ok(None),
        Ok(head) => String::from_utf8_lossy(&head).into_owned(),
    };
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut ask = Ask {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        connection,
    };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            let name = name.to_ascii_lowercase();
            ask.headers.push((name, value.trim().to_owned()));
        }
    }
    if let Ok(length) = ask.header("content-length").parse() {
        ask.body = reader.readexactly(length).await?;
    }
    Ok(Some(ask))
}
