//! `start_server` and `start_unix_server` (`asyncio/streams.py`).

use std::fmt;
use std::future::{IntoFuture, ready};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::time::Duration;

use asyncio_core::{EventLoop, Result, Task, ValueError, create_local_task, get_running_loop};
use asyncio_sync::Queue;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::outgoing::connect;
use super::{DEFAULT_LIMIT, StreamReader, StreamWriter};
use crate::base_events::{Channel, getaddrinfo};
use crate::server::{Attachment, Bound, Place, Serve, Server};
#[cfg(feature = "tls")]
use crate::ssl::TlsServer;
#[cfg(feature = "tls")]
use crate::sslproto;

/// Accepts connections and calls a function for each, in a task of its own (`asyncio.start_server`).
///
/// An empty host is all addresses of this machine, and port 0 one that is free. What are keyword
/// arguments in Python are methods here, before the await.
///
/// A function that uses something from around it has a copy or clone of that for each call:
///
/// ```
/// # use asyncio_core::Result;
/// # use asyncio_net::{StartServer, StreamReader, StreamWriter, start_server};
/// # use std::sync::Arc;
/// let greeting = Arc::new(String::from("hello\n"));
/// let server = start_server(
///     move |_: StreamReader, writer: StreamWriter| {
///         let greeting = Arc::clone(&greeting);
///         async move {
///             writer.write(greeting.as_bytes());
///             writer.drain().await
///         }
///     },
///     "127.0.0.1",
///     0,
/// );
/// # let _ = server;
/// ```
///
/// When the function fails, its error goes to the loop's exception handler and the connection is closed.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(
///         async |reader, writer| {
///             while let Some(line) = reader.next_line().await? {
///                 writer.write(&line.to_ascii_uppercase());
///                 writer.drain().await?;
///             }
///             Ok(())
///         },
///         "127.0.0.1",
///         0,
///     )
///     .backlog(16)
///     .await?;
///     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
///     writer.write(b"quiet\n");
///     assert_eq!(reader.readline().await?, b"QUIET\n");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when the host has no address or it cannot be bound to; [`ValueError`] when the limit
/// or a timeout of TLS is zero; [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
///
/// # Cancel safety
///
/// No server is started.
///
/// # asyncio
///
/// The function is always a coroutine. A connection whose writer was dropped is closed.
pub fn start_server<H, F>(handler: H, host: impl Into<String>, port: u16) -> StartServer<H>
where
    H: Fn(StreamReader, StreamWriter) -> F,
    F: Future<Output = Result<()>>,
{
    StartServer::new(
        handler,
        Source::Tcp {
            hosts: vec![host.into()],
            port,
        },
    )
}

/// As [`start_server`], at the path of a Unix socket (`asyncio.start_unix_server`); a path that begins
/// with a zero byte is an abstract name.
///
/// The socket's file is removed when the server closes.
///
/// # Errors
///
/// As of [`start_server`].
#[cfg(unix)]
pub fn start_unix_server<H, F>(handler: H, path: impl AsRef<Path>) -> StartServer<H>
where
    H: Fn(StreamReader, StreamWriter) -> F,
    F: Future<Output = Result<()>>,
{
    StartServer::new(handler, Source::Unix(path.as_ref().to_owned()))
}

/// The keyword arguments of [`start_server`]; awaiting it starts the server.
#[must_use = "futures do nothing until they are awaited"]
pub struct StartServer<H> {
    handler: H,
    limit: usize,
    listen: ListenOptions,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

/// How to listen.
#[derive(Debug)]
pub(crate) struct ListenOptions {
    source: Source,
    backlog: i32,
    reuse_address: bool,
    reuse_port: bool,
    keep_alive: bool,
    most: Option<usize>,
    cleanup_socket: bool,
    start_serving: bool,
}

#[derive(Debug)]
enum Source {
    Tcp {
        hosts: Vec<String>,
        port: u16,
    },
    Socket(std::net::TcpListener),
    #[cfg(unix)]
    Unix(PathBuf),
    #[cfg(unix)]
    UnixSocket(std::os::unix::net::UnixListener),
}

impl<H> StartServer<H> {
    const fn new(handler: H, source: Source) -> Self {
        Self {
            handler,
            limit: DEFAULT_LIMIT,
            listen: ListenOptions {
                source,
                backlog: 100,
                reuse_address: cfg!(unix),
                reuse_port: false,
                keep_alive: false,
                most: None,
                cleanup_socket: true,
                start_serving: true,
            },
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    fn parts(self) -> Result<(Handling<H>, ListenOptions)> {
        if self.limit == 0 {
            return Err(ValueError::new("the limit cannot be zero").into());
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.settings().check()?;
        }
        let handling = Handling {
            handler: self.handler,
            limit: self.limit,
            #[cfg(feature = "tls")]
            tls: self.tls,
        };
        Ok((handling, self.listen))
    }

    /// The limit of the [`StreamReader`]s, 64 KiB by default.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Accepts at the addresses of this host as well (`host=[…]`). With port 0 each has a port of its own.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        if let Source::Tcp { hosts, .. } = &mut self.listen.source {
            hosts.push(host.into());
        }
        self
    }

    /// Accepts at this socket instead, which is bound already.
    pub fn sock(mut self, socket: std::net::TcpListener) -> Self {
        self.listen.source = Source::Socket(socket);
        self
    }

    /// Accepts at this Unix socket instead, which is bound already.
    #[cfg(unix)]
    pub fn unix_sock(mut self, socket: std::os::unix::net::UnixListener) -> Self {
        self.listen.source = Source::UnixSocket(socket);
        self
    }

    /// How many connections the operating system keeps before they are accepted, 100 by default.
    pub const fn backlog(mut self, backlog: i32) -> Self {
        self.listen.backlog = backlog;
        self
    }

    /// Whether a port may be bound to again at once after its last server has ended; true by default on
    /// Unix.
    pub const fn reuse_address(mut self, on: bool) -> Self {
        self.listen.reuse_address = on;
        self
    }

    /// Whether other servers may bind to the same port, to share its connections; false by default.
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.listen.reuse_port = on;
        self
    }

    /// Whether idle connections are probed; false by default.
    pub const fn keep_alive(mut self, on: bool) -> Self {
        self.listen.keep_alive = on;
        self
    }

    /// So many connections at the most; others wait until one has ended. No limit by default.
    pub fn max_connections(mut self, most: impl Into<Option<usize>>) -> Self {
        self.listen.most = most.into();
        self
    }

    /// Whether the file of a Unix socket is removed when the server closes; true by default.
    pub const fn cleanup_socket(mut self, on: bool) -> Self {
        self.listen.cleanup_socket = on;
        self
    }

    /// Whether to accept at once; true by default. Else
    /// [`start_serving`](Server::start_serving) or [`serve_forever`](Server::serve_forever) begins.
    pub const fn start_serving(mut self, on: bool) -> Self {
        self.listen.start_serving = on;
        self
    }

    /// Has the function called on this loop and nowhere else, so that what it uses need not be `Send`.
    /// Without this it has to be, for a server may run on the threads of a tokio runtime.
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let count = Rc::new(Cell::new(0));
    ///     let counted = Rc::clone(&count);
    ///     let handler = move |_: StreamReader, writer: StreamWriter| {
    ///         let count = Rc::clone(&counted);
    ///         async move {
    ///             count.set(count.get() + 1);
    ///             writer.write(format!("{}", count.get()).as_bytes());
    ///             writer.drain().await
    ///         }
    ///     };
    ///     let server = start_server(handler, "127.0.0.1", 0).local().await?;
    ///     let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
    ///     assert_eq!(reader.read(-1).await?, b"1");
    ///     assert_eq!(count.get(), 1);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`](asyncio_core::RuntimeError) on a tokio runtime.
    ///
    /// # asyncio
    ///
    /// A task of the loop, which `all_tasks` shows, starts those of the connections.
    pub const fn local(self) -> StartLocalServer<H> {
        StartLocalServer(self)
    }

    /// Speaks TLS.
    ///
    /// See [`TlsServer`] for an example.
    #[cfg(feature = "tls")]
    pub fn ssl(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long the handshake of TLS may take, 60 seconds by default.
    #[cfg(feature = "tls")]
    pub fn ssl_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.tls = self.tls.map(|tls| tls.handshake_timeout(timeout));
        self
    }
}

impl<H, F> IntoFuture for StartServer<H>
where
    H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Server>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handling, listen) = self.parts()?;
            let handling = Arc::new(handling);
            listen
                .serve(Box::new(move |place, channel, attachment| {
                    let handling = Arc::clone(&handling);
                    #[cfg(feature = "tls")]
                    if let Some(tls) = handling.tls.clone() {
                        return start(place, handle_tls(handling, tls, channel, attachment));
                    }
                    match Handled::new(handling, channel, attachment) {
                        Ok(handled) => start(place, handled.run()),
                        Err(error) => start(place, ready(Err(error))),
                    }
                }))
                .await
        })
    }
}

/// What [`StartServer::local`] returns; awaiting it starts the server.
#[derive(Debug)]
#[must_use = "futures do nothing until they are awaited"]
pub struct StartLocalServer<H>(StartServer<H>);

impl<H, F> IntoFuture for StartLocalServer<H>
where
    H: Fn(StreamReader, StreamWriter) -> F + 'static,
    F: Future<Output = Result<()>> + 'static,
{
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Server>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let event_loop = get_running_loop()?;
            let (handling, listen) = self.0.parts()?;
            let handling = Rc::new(handling);
            // What accepts may not touch the function: it is any thread's. So it passes connections on.
            let accepted = Accepted(Queue::new(0));
            let connections = accepted.0.clone();
            let server = listen.serve(Box::new(move |_, channel, attachment| {
                // It has no limit, and is shut down with this function only.
                let _ = accepted.0.put_nowait((channel, attachment));
            }));
            let server = server.await?;
            drop(create_local_task(async move {
                // Until the server is gone, or the loop ends.
                while let Ok((channel, attachment)) = connections.get().await {
                    let handling = Rc::clone(&handling);
                    let task = create_local_task(async move {
                        #[cfg(feature = "tls")]
                        if let Some(tls) = handling.tls.clone() {
                            return handle_tls(handling, tls, channel, attachment).await;
                        }
                        Handled::new(handling, channel, attachment)?.run().await
                    });
                    report(&task, event_loop.clone());
                }
                Ok(())
            }));
            Ok(server)
        })
    }
}

/// Connections that were accepted and have no task yet.
struct Accepted(Queue<(Channel, Attachment)>);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.shutdown(false);
    }
}

/// What every connection of a server shares.
struct Handling<H> {
    handler: H,
    limit: usize,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

/// A connection that was accepted: its handler, once it has the streams. Without TLS these are made at
/// once, so that its task has no room for what they are made of.
struct Handled<P> {
    handling: P,
    reader: StreamReader,
    writer: StreamWriter,
}

impl<P> Handled<P> {
    fn new<H>(handling: P, channel: Channel, attachment: Attachment) -> Result<Self>
    where
        P: Deref<Target = Handling<H>>,
    {
        let (reader, writer) = connect(
            channel.read,
            channel.write,
            channel.addresses,
            handling.limit,
        )?;
        attachment.attach_to(writer.outgoing());
        Ok(Self {
            handling,
            reader,
            writer,
        })
    }

    /// Runs the handler.
    async fn run<H, F>(self) -> Result<()>
    where
        P: Deref<Target = Handling<H>>,
        H: Fn(StreamReader, StreamWriter) -> F,
        F: Future<Output = Result<()>>,
    {
        let closing = self.writer.clone();
        let handled = (self.handling.handler)(self.reader, self.writer).await;
        if handled.is_err() {
            closing.close();
        }
        handled
    }
}

/// Begins with TLS, and then runs the handler.
#[cfg(feature = "tls")]
async fn handle_tls<P, H, F>(
    handling: P,
    tls: TlsServer,
    channel: Channel,
    attachment: Attachment,
) -> Result<()>
where
    P: Deref<Target = Handling<H>>,
    H: Fn(StreamReader, StreamWriter) -> F,
    F: Future<Output = Result<()>>,
{
    // In a box, which is gone when the handler runs.
    let begun = Box::pin(async move {
        match sslproto::accept(channel, &tls).await {
            Ok(channel) => Handled::new(handling, channel, attachment).map(Some),
            Err(error) if error.is_cancelled() => Err(error),
            // Whoever connects to a port without speaking TLS is no error of the program.
            Err(_) => Ok(None),
        }
    });
    match begun.await? {
        Some(handled) => handled.run().await,
        None => Ok(()),
    }
}

/// Starts the task of a connection, whose error is reported.
fn start(place: &Place, handled: impl Future<Output = Result<()>> + Send + 'static) {
    let task = place.create_task(handled);
    // On a tokio runtime the task reports its exception itself, for nobody asks for it.
    if let Place::Loop(event_loop) = place {
        report(&task, event_loop.clone());
    }
}

fn report(task: &Task<()>, event_loop: EventLoop) {
    task.add_done_callback(move |task| {
        if let Ok(Some(exception)) = task.exception() {
            let message = "Unhandled exception in client_connected_cb";
            Place::Loop(event_loop).report(message, exception);
        }
    });
}

impl ListenOptions {
    pub(crate) async fn serve(self, serve: Box<Serve>) -> Result<Server> {
        super::runtime()?;
        let (backlog, most, cleanup) = (self.backlog, self.most, self.cleanup_socket);
        let start = self.start_serving;
        let bound = self.bind().await?;
        let server = Server::new(bound, backlog, most, serve)?;
        #[cfg(unix)]
        if !cleanup {
            server.keep_file();
        }
        if start {
            server.start_serving().await?;
        }
        Ok(server)
    }

    async fn bind(self) -> Result<Vec<Bound>> {
        match self.source {
            Source::Tcp { ref hosts, port } => self.bind_hosts(hosts, port).await,
            Source::Socket(socket) => {
                socket.set_nonblocking(true)?;
                Ok(vec![Bound::Tcp(socket.into())])
            }
            #[cfg(unix)]
            Source::Unix(path) => {
                crate::unix_events::remove_stale(&path);
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(&path)?)?;
                socket.set_nonblocking(true)?;
                Ok(vec![Bound::Unix(socket)])
            }
            #[cfg(unix)]
            Source::UnixSocket(socket) => {
                socket.set_nonblocking(true)?;
                Ok(vec![Bound::Unix(socket.into())])
            }
        }
    }

    /// Binds to each address of these hosts once.
    async fn bind_hosts(&self, hosts: &[String], port: u16) -> Result<Vec<Bound>> {
        // With whether it stands for all addresses.
        let mut addresses: Vec<(SocketAddr, bool)> = Vec::new();
        for host in hosts {
            let found = match host.as_str() {
                "" => vec![
                    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                    SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                ],
                host => getaddrinfo(host, port).await?,
            };
            for address in found {
                if !addresses.iter().any(|(known, _)| *known == address) {
                    addresses.push((address, host.is_empty()));
                }
            }
        }
        let mut bound = Vec::new();
        for (address, all) in addresses {
            match self.bind_tcp(address) {
                Ok(socket) => bound.push(Bound::Tcp(socket)),
                // A machine without the other family.
                Err(error) if all && is_unsupported(&error) => {}
                Err(error) => return Err(attempt_to_bind(address, &error).into()),
            }
        }
        if bound.is_empty() {
            let message = "could not bind on any address";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message).into());
        }
        Ok(bound)
    }

    fn bind_tcp(&self, address: SocketAddr) -> io::Result<Socket> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if self.reuse_address {
            socket.set_reuse_address(true)?;
        }
        #[cfg(unix)]
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if self.keep_alive {
            socket.set_keepalive(true)?;
        }
        if address.is_ipv6() {
            // So that the same port can be bound to in both families.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn attempt_to_bind(address: SocketAddr, error: &io::Error) -> io::Error {
    let message = format!("error while attempting to bind on address {address}: {error}");
    io::Error::new(error.kind(), message)
}

impl<H> fmt::Debug for StartServer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartServer")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
