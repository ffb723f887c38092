//! TLS over a connection (`asyncio/sslproto.py`).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_core::{FutureExt, Result, RuntimeError, ValueError};
use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::base_events::Channel;
use crate::exceptions::{TlsError, TlsTruncated, io_exception};
use crate::ssl::{TlsClient, TlsInfo, TlsServer, TlsSettings};
use crate::streams::{Outgoing, ReadEnd, Source, StreamWriter, WriteEnd};
use crate::waiters::lock;

/// One end of a connection over TLS; both ends share it.
#[derive(Clone)]
pub(crate) struct TlsEnd {
    shared: Arc<Shared>,
}

struct Shared {
    stream: Mutex<TlsStream<Duplex>>,
    settings: TlsSettings,
}

/// Speaks TLS over a connection, as the client.
pub(crate) async fn connect(channel: Channel, tls: &TlsClient, name: &str) -> Result<Channel> {
    let duplex = Duplex::of(channel.read, channel.write);
    let end = client(duplex, tls, name).await?;
    Ok(Channel {
        read: ReadEnd::Tls(end.clone()),
        write: WriteEnd::Tls(end),
        addresses: channel.addresses,
    })
}

/// Speaks TLS over a connection, as the server.
pub(crate) async fn accept(channel: Channel, tls: &TlsServer) -> Result<Channel> {
    let duplex = Duplex::of(channel.read, channel.write);
    let end = server(duplex, tls).await?;
    Ok(Channel {
        read: ReadEnd::Tls(end.clone()),
        write: WriteEnd::Tls(end),
        addresses: channel.addresses,
    })
}

async fn client(duplex: Duplex, tls: &TlsClient, name: &str) -> Result<TlsEnd> {
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| ValueError::new(format!("{name:?} is no name of a server")))?;
    let handshake = TlsConnector::from(Arc::clone(tls.config())).connect(name, duplex);
    let stream = in_time(tls.settings().handshake_timeout, handshake).await?;
    Ok(TlsEnd::of(TlsStream::Client(stream), tls.settings()))
}

async fn server(duplex: Duplex, tls: &TlsServer) -> Result<TlsEnd> {
    tls.settings().check()?;
    let handshake = TlsAcceptor::from(Arc::clone(tls.config())).accept(duplex);
    let stream = in_time(tls.settings().handshake_timeout, handshake).await?;
    Ok(TlsEnd::of(TlsStream::Server(stream), tls.settings()))
}

async fn in_time<T>(
    timeout: Duration,
    handshake: impl Future<Output = io::Result<T>>,
) -> Result<T> {
    // tokio's clock, for the network takes its real time.
    let handshake = tokio::time::timeout(timeout, handshake);
    match handshake.cancellable().await? {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(TlsError::new(error).into()),
        Err(_) => {
            let message = format!(
                "the handshake of TLS took longer than {} seconds",
                timeout.as_secs_f64()
            );
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, message).into())
        }
    }
}

impl StreamWriter {
    /// Speaks TLS from here on, as the client (`StreamWriter.start_tls`). The reader of the stream
    /// reads it too.
    ///
    /// What was written before goes out first, unencrypted. What the reader has already is taken to be
    /// the beginning of TLS, so that nothing that came unencrypted is read as if it had not.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_net::{TlsClient, TlsServer, open_connection, start_server};
    /// # fn main() -> Result<()> {
    /// # let key = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (key.cert.pem(), key.signing_key.serialize_pem());
    /// # run(async move {
    /// let server_tls = TlsServer::from_pem(&certificate, &key)?;
    /// let server = start_server(move |reader, writer| {
    ///     let tls = server_tls.clone();
    ///     async move {
    ///         assert_eq!(reader.readline().await?, b"STARTTLS\n");
    ///         writer.write(b"go ahead\n");
    ///         writer.start_tls_server(&tls).await?;
    ///         writer.write(&reader.readline().await?);
    ///         writer.drain().await
    ///     }
    /// }, "127.0.0.1", 0).await?;
    ///
    /// let tls = TlsClient::builder().root_pem(&certificate).build()?;
    /// let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
    /// writer.write(b"STARTTLS\n");
    /// assert_eq!(reader.readline().await?, b"go ahead\n");
    /// writer.start_tls(&tls, "localhost").await?;
    /// writer.write(b"in private\n");
    /// assert_eq!(reader.readline().await?, b"in private\n");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TlsError`] when there is no agreement on TLS; [`std::io::Error`] of the kind
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) when it takes too long;
    /// [`RuntimeError`] when the stream is closed or at its end; otherwise as of
    /// [`drain`](Self::drain). The connection is lost then.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost.
    pub async fn start_tls(&self, tls: &TlsClient, server_hostname: &str) -> Result<()> {
        let (duplex, upgrade) = Upgrade::begin(self).await?;
        let end = client(duplex, tls, server_hostname).await;
        upgrade.finish(end)
    }

    /// Speaks TLS from here on, as the server; see [`start_tls`](Self::start_tls).
    ///
    /// # Errors
    ///
    /// As of [`start_tls`](Self::start_tls).
    ///
    /// # Cancel safety
    ///
    /// The connection is lost.
    ///
    /// # asyncio
    ///
    /// In Python `start_tls` knows by who made the connection that this is the server's side.
    pub async fn start_tls_server(&self, tls: &TlsServer) -> Result<()> {
        let (duplex, upgrade) = Upgrade::begin(self).await?;
        let end = server(duplex, tls).await;
        upgrade.finish(end)
    }
}

/// A connection whose ends are taken out. Dropped, it is lost.
struct Upgrade {
    outgoing: Option<Arc<Outgoing>>,
}

impl Upgrade {
    async fn begin(writer: &StreamWriter) -> Result<(Duplex, Self)> {
        writer.drain().await?;
        writer.flush().await?;
        let outgoing = writer.outgoing();
        let ends = outgoing.reader.as_ref().and_then(|reader| {
            let end = reader.take_source()?.take_end()?;
            Some((reader.take_buffered(), end))
        });
        let this = Self {
            outgoing: Some(Arc::clone(outgoing)),
        };
        let (Some((before, read)), Some(write)) = (ends, outgoing.take_end()) else {
            return Err(RuntimeError::new("the stream is closed or at its end").into());
        };
        let duplex = Duplex {
            before,
            read,
            write,
        };
        Ok((duplex, this))
    }

    fn finish(mut self, end: Result<TlsEnd>) -> Result<()> {
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                // A cancellation is the task's; the stream was given up.
                if !error.is_cancelled()
                    && let Some(outgoing) = self.outgoing.take()
                {
                    outgoing.lose(Some(error.clone()));
                }
                return Err(error);
            }
        };
        if let Some(outgoing) = self.outgoing.take() {
            outgoing.put_end(WriteEnd::Tls(end.clone()));
            if let Some(reader) = &outgoing.reader {
                let source = Source::new(ReadEnd::Tls(end), Arc::downgrade(&outgoing));
                reader.set_source(source);
            }
        }
        Ok(())
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if let Some(outgoing) = self.outgoing.take() {
            let message = "the start of TLS was given up";
            let error = io::Error::new(io::ErrorKind::ConnectionAborted, message);
            outgoing.lose(Some(io_exception(error)));
        }
    }
}

impl TlsEnd {
    fn of(stream: TlsStream<Duplex>, settings: &TlsSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                stream: Mutex::new(stream),
                settings: settings.clone(),
            }),
        }
    }

    /// How long its end may take.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.shared.settings.shutdown_timeout
    }

    pub(crate) fn info(&self) -> TlsInfo {
        let stream = lock(&self.shared.stream);
        let (_, session) = stream.get_ref();
        TlsInfo::of(session)
    }

    /// Looks at the socket below.
    pub(crate) fn with_socket<R>(
        &self,
        look: impl FnOnce(SockRef<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let stream = lock(&self.shared.stream);
        stream.get_ref().0.write.with_socket(look)
    }

    fn with<R>(&self, poll: impl FnOnce(Pin<&mut TlsStream<Duplex>>) -> R) -> R {
        poll(Pin::new(&mut *lock(&self.shared.stream)))
    }
}

impl AsyncRead for TlsEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.with(|stream| stream.poll_read(cx, buffer));
        polled.map(|read| match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if self.shared.settings.truncation_is_end {
                    return Ok(());
                }
                Err(io::Error::new(error.kind(), TlsTruncated))
            }
            other => other,
        })
    }
}

impl AsyncWrite for TlsEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

/// Both ends as one, with bytes that were read before.
struct Duplex {
    before: Vec<u8>,
    read: ReadEnd,
    write: WriteEnd,
}

impl Duplex {
    const fn of(read: ReadEnd, write: WriteEnd) -> Self {
        Self {
            before: Vec::new(),
            read,
            write,
        }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.before.is_empty() {
            let count = buffer.remaining().min(this.before.len());
            buffer.put_slice(&this.before[..count]);
            this.before.drain(..count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.read).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().write).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().write).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().write).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().write).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duplex")
    }
}
