//! `open_connection` and `open_unix_connection` (`asyncio/streams.py`).

use std::future::IntoFuture;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{FutureExt, Result, TimeoutError};

use super::outgoing::connect;
use super::{DEFAULT_LIMIT, StreamReader, StreamWriter};
use crate::base_events::{self, Channel, ConnectOptions};
#[cfg(feature = "tls")]
use crate::ssl::TlsClient;
#[cfg(feature = "tls")]
use crate::sslproto;

/// Connects to a host (`asyncio.open_connection`).
///
/// What are keyword arguments in Python are methods here, before the await.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_connection, start_server};
/// use std::time::Duration;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(async |_, writer| {
///         writer.write(b"hello");
///         writer.drain().await
///     }, "127.0.0.1", 0).await?;
///     let (reader, _writer) = open_connection("localhost", server.port())
///         .limit(1 << 20)
///         .timeout(Duration::from_secs(5))
///         .await?;
///     assert_eq!(reader.read(-1).await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when the host has no address, or one that cannot be connected to;
/// [`ConnectError`](crate::ConnectError) when it has several, with the error of each;
/// [`TimeoutError`]; [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
///
/// # Cancel safety
///
/// The connection is given up.
///
/// # asyncio
///
/// Several addresses are tried a quarter of a second after one another (RFC 8305), which in Python has
/// to be asked for.
pub fn open_connection(host: impl Into<String>, port: u16) -> OpenConnection {
    OpenConnection::to(Target::Tcp {
        host: host.into(),
        port,
    })
}

/// Connects to a Unix socket (`asyncio.open_unix_connection`). A path that begins with a zero byte is an
/// abstract name.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_unix_connection, start_unix_server};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let path = std::env::temp_dir().join(format!("asyncio-net-doc-{}", std::process::id()));
///     let server = start_unix_server(async |reader, writer| {
///         writer.write(&reader.readline().await?);
///         writer.drain().await
///     }, &path).await?;
///     let (reader, writer) = open_unix_connection(&path).await?;
///     writer.write(b"there and back\n");
///     assert_eq!(reader.readline().await?, b"there and back\n");
///     server.close();
///     assert!(!path.exists(), "the server has removed it");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`open_connection`].
///
/// # Cancel safety
///
/// The connection is given up.
#[cfg(unix)]
pub fn open_unix_connection(path: impl AsRef<Path>) -> OpenConnection {
    OpenConnection::to(Target::Unix(path.as_ref().to_owned()))
}

/// The keyword arguments of [`open_connection`]; awaiting it connects.
#[derive(Clone, Debug)]
#[must_use = "futures do nothing until they are awaited"]
pub struct OpenConnection {
    target: Target,
    limit: usize,
    options: ConnectOptions,
    timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    #[cfg(feature = "tls")]
    server_hostname: Option<String>,
}

#[derive(Clone, Debug)]
enum Target {
    Tcp {
        host: String,
        port: u16,
    },
    /// One that is connected.
    Socket(Arc<std::net::TcpStream>),
    #[cfg(unix)]
    UnixSocket(Arc<std::os::unix::net::UnixStream>),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl OpenConnection {
    fn to(target: Target) -> Self {
        Self {
            target,
            limit: DEFAULT_LIMIT,
            options: ConnectOptions::default(),
            timeout: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            server_hostname: None,
        }
    }

    /// The limit of the [`StreamReader`], 64 KiB by default.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Takes this socket instead, which is connected already.
    pub fn sock(mut self, socket: std::net::TcpStream) -> Self {
        self.target = Target::Socket(Arc::new(socket));
        self
    }

    /// Takes this Unix socket instead, which is connected already.
    #[cfg(unix)]
    pub fn unix_sock(mut self, socket: std::os::unix::net::UnixStream) -> Self {
        self.target = Target::UnixSocket(Arc::new(socket));
        self
    }

    /// The address to connect from.
    pub const fn local_addr(mut self, address: SocketAddr) -> Self {
        self.options.local_addr = Some(address);
        self
    }

    /// How long an address has before the next one is tried beside it, 250 ms by default; `None` to try
    /// the next one only when it has failed.
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.options.happy_eyeballs_delay = delay.into();
        self
    }

    /// How many addresses of the first family are tried before those of both take turns, 1 by default; 0
    /// keeps the order of the resolver.
    pub const fn interleave(mut self, first: usize) -> Self {
        self.options.interleave = first;
        self
    }

    /// How long all of it may take together: finding the address, connecting, and TLS. As long as it
    /// takes by default.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Speaks TLS.
    ///
    /// See [`TlsClient`] for an example.
    #[cfg(feature = "tls")]
    pub fn ssl(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The name that the server's certificate has to be for; the host by default.
    #[cfg(feature = "tls")]
    pub fn server_hostname(mut self, name: impl Into<String>) -> Self {
        self.server_hostname = Some(name.into());
        self
    }

    async fn connect(self) -> Result<(StreamReader, StreamWriter)> {
        let channel = self.channel().await?;
        connect(channel.read, channel.write, channel.addresses, self.limit)
    }

    async fn channel(&self) -> Result<Channel> {
        let channel = match &self.target {
            Target::Tcp { host, port } => {
                base_events::connect_tcp(host, *port, &self.options).await?
            }
            #[cfg(unix)]
            Target::Unix(path) => crate::unix_events::connect_unix(path).await?,
            Target::Socket(socket) => {
                super::runtime()?;
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Channel::tcp(tokio::net::TcpStream::from_std(socket)?, None)
            }
            #[cfg(unix)]
            Target::UnixSocket(socket) => {
                super::runtime()?;
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                let stream = tokio::net::UnixStream::from_std(socket)?;
                crate::unix_events::unix_channel(stream)
            }
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let name = match (&self.server_hostname, &self.target) {
                (Some(name), _) => name,
                (None, Target::Tcp { host, .. }) => host,
                _ => {
                    let message = "server_hostname is needed for TLS without the name of a host";
                    return Err(asyncio_core::ValueError::new(message).into());
                }
            };
            return sslproto::connect(channel, tls, name).await;
        }
        Ok(channel)
    }
}

impl IntoFuture for OpenConnection {
    type Output = Result<(StreamReader, StreamWriter)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Some(timeout) = self.timeout else {
                return self.connect().await;
            };
            super::runtime()?;
            // tokio's clock, for the network takes its real time.
            let connecting = tokio::time::timeout(timeout, self.connect());
            connecting
                .cancellable()
                .await?
                .map_err(|_| TimeoutError::new("the connection took too long"))?
        })
    }
}
