//! Connections with a protocol (`create_connection`, `create_server` and their family of
//! `asyncio/base_events.py`).

use std::fmt;
use std::future::{IntoFuture, poll_fn};
#[cfg(unix)]
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;

use asyncio_core::{Exception, Result, create_task};

use crate::base_events::Channel;
use crate::protocols::Protocol;
#[cfg(feature = "tls")]
use crate::ssl::TlsServer;
#[cfg(feature = "tls")]
use crate::sslproto;
#[cfg(unix)]
use crate::streams::start_unix_server;
use crate::streams::{
    DEFAULT_LIMIT, OpenConnection, StartServer, StreamReader, StreamWriter, connect, runtime,
    start_server,
};
use crate::transports::Transport;
use crate::waiters::wait_until;

/// Connects, and has a protocol called with what happens (`loop.create_connection`,
/// `loop.create_unix_connection`).
///
/// ```
/// use asyncio_core::{Exception, Future, Result, get_running_loop, run};
/// use asyncio_net::{Protocol, Transport, create_connection, open_connection, start_server};
///
/// struct Client {
///     heard: Vec<u8>,
///     done: Future<Vec<u8>>,
/// }
///
/// impl Protocol for Client {
///     fn connection_made(&mut self, transport: &Transport) {
///         transport.write(b"hello\n");
///     }
///     fn data_received(&mut self, _transport: &Transport, data: &[u8]) {
///         self.heard.extend_from_slice(data);
///     }
///     fn connection_lost(&mut self, _exception: Option<Exception>) {
///         let _ = self.done.set_result(std::mem::take(&mut self.heard));
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(async |reader, writer| {
///         writer.write(&reader.readline().await?);
///         writer.drain().await
///     }, "127.0.0.1", 0).await?;
///     let done = get_running_loop()?.create_future();
///     let client = Client { heard: Vec::new(), done: done.clone() };
///     create_connection(|| client, open_connection("127.0.0.1", server.port())).await?;
///     assert_eq!(done.await?, b"hello\n");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`open_connection`](crate::open_connection).
///
/// # Cancel safety
///
/// The connection is given up.
///
/// # asyncio
///
/// Where to connect to is what [`open_connection`](crate::open_connection) or
/// [`open_unix_connection`](crate::open_unix_connection) takes. The protocol belongs to the connection:
/// share with it what is to be seen from outside. It is called by a task.
pub async fn create_connection<P: Protocol>(
    protocol_factory: impl FnOnce() -> P,
    to: OpenConnection,
) -> Result<Transport> {
    let (reader, writer) = to.await?;
    Ok(begin(Box::new(protocol_factory()), reader, writer))
}

/// Accepts connections, and has a protocol of its own called for each (`loop.create_server`).
///
/// The keyword arguments are those of [`start_server`].
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{Protocol, Transport, create_server, open_connection};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) {
///         transport.write(data);
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = create_server(|| Echo, "127.0.0.1", 0).await?;
///     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
///     writer.write(b"there and back\n");
///     assert_eq!(reader.readline().await?, b"there and back\n");
///     Ok(())
/// })
/// # }
/// ```
pub fn create_server<P: Protocol>(
    protocol_factory: impl Fn() -> P + Send + Sync + 'static,
    host: impl Into<String>,
    port: u16,
) -> StartServer<impl Fn(StreamReader, StreamWriter) -> Calls + Send + Sync + 'static> {
    start_server(
        move |reader, writer| calls(Box::new(protocol_factory()), reader, writer),
        host,
        port,
    )
}

/// As [`create_server`], at the path of a Unix socket (`loop.create_unix_server`).
#[cfg(unix)]
pub fn create_unix_server<P: Protocol>(
    protocol_factory: impl Fn() -> P + Send + Sync + 'static,
    path: impl AsRef<Path>,
) -> StartServer<impl Fn(StreamReader, StreamWriter) -> Calls + Send + Sync + 'static> {
    start_unix_server(
        move |reader, writer| calls(Box::new(protocol_factory()), reader, writer),
        path,
    )
}

/// Has a protocol called for a connection that was accepted elsewhere (`loop.connect_accepted_socket`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{Protocol, Transport, connect_accepted_socket, open_connection};
///
/// struct Greeter;
///
/// impl Protocol for Greeter {
///     fn connection_made(&mut self, transport: &Transport) {
///         transport.write(b"hello");
///         transport.close();
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
///     let (reader, _) = open_connection("127.0.0.1", listener.local_addr()?.port()).await?;
///     connect_accepted_socket(|| Greeter, listener.accept()?.0).await?;
///     assert_eq!(reader.read(-1).await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when the socket cannot be waited for;
/// [`RuntimeError`](asyncio_core::RuntimeError) where neither a loop nor a tokio runtime runs; with TLS
/// also as of [`StreamWriter::start_tls_server`].
///
/// # Cancel safety
///
/// The connection is given up.
pub const fn connect_accepted_socket<F, P>(
    protocol_factory: F,
    socket: std::net::TcpStream,
) -> ConnectAcceptedSocket<F>
where
    F: FnOnce() -> P,
    P: Protocol,
{
    ConnectAcceptedSocket {
        factory: protocol_factory,
        socket,
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// The keyword arguments of [`connect_accepted_socket`]; awaiting it connects.
#[must_use = "futures do nothing until they are awaited"]
pub struct ConnectAcceptedSocket<F> {
    factory: F,
    socket: std::net::TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

impl<F> ConnectAcceptedSocket<F> {
    /// Speaks TLS.
    #[cfg(feature = "tls")]
    pub fn ssl(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl<F, P> IntoFuture for ConnectAcceptedSocket<F>
where
    F: FnOnce() -> P + Send + 'static,
    P: Protocol,
{
    type Output = Result<Transport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            runtime()?;
            self.socket.set_nonblocking(true)?;
            let stream = tokio::net::TcpStream::from_std(self.socket)?;
            let channel = Channel::tcp(stream, None);
            #[cfg(feature = "tls")]
            let channel = match &self.tls {
                Some(tls) => sslproto::accept(channel, tls).await?,
                None => channel,
            };
            let (reader, writer) = connect(
                channel.read,
                channel.write,
                channel.addresses,
                DEFAULT_LIMIT,
            )?;
            Ok(begin(Box::new((self.factory)()), reader, writer))
        })
    }
}

impl<F> fmt::Debug for ConnectAcceptedSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectAcceptedSocket")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// The task of a server's connection with a protocol.
pub type Calls = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

fn begin(mut protocol: Box<dyn Protocol>, reader: StreamReader, writer: StreamWriter) -> Transport {
    let transport = Transport::of(writer);
    protocol.connection_made(&transport);
    drop(create_task(call(protocol, reader, transport.clone())));
    transport
}

fn calls(mut protocol: Box<dyn Protocol>, reader: StreamReader, writer: StreamWriter) -> Calls {
    Box::pin(async move {
        let transport = Transport::of(writer);
        protocol.connection_made(&transport);
        call(protocol, reader, transport).await
    })
}

/// So much is read at once at the most.
const PIECE: isize = 1 << 18;

/// What happened to a connection.
pub(crate) enum Event {
    Data(Vec<u8>),
    Failed(Exception),
    Paused(bool),
    Reading,
    Lost(Option<Exception>),
}

/// Calls a protocol until its connection is lost.
async fn call(
    mut protocol: Box<dyn Protocol>,
    reader: StreamReader,
    transport: Transport,
) -> Result<()> {
    // A panic of the protocol ends the connection too.
    let aborting = Aborting(&transport);
    let outgoing = transport.outgoing();
    outgoing.lock().pause_wanted = true;
    let (mut paused, mut ended) = (false, false);
    let lost = loop {
        let event = next(&transport, (!ended).then_some(&reader), paused).await?;
        if let Some(next) = outgoing.take_protocol() {
            protocol = next;
        }
        // Another thread may have closed the connection since this one looked: what comes after the
        // call of `close` is not told, as little as in Python, be it the peer's answer to the close.
        let closing = outgoing.lock().closing;
        match event {
            Event::Data(_) | Event::Failed(_) if closing => {}
            Event::Lost(exception) => break exception,
            Event::Reading => {}
            Event::Failed(error) => transport.lose(error),
            Event::Paused(now) => {
                paused = now;
                if now {
                    protocol.pause_writing();
                } else {
                    protocol.resume_writing();
                }
            }
            Event::Data(data) if data.is_empty() => {
                ended = true;
                // Over TLS one direction does not live without the other, as in Python.
                if !protocol.eof_received(&transport) || !transport.can_write_eof() {
                    transport.close();
                }
            }
            Event::Data(data) => protocol.data_received(&transport, &data),
        }
    };
    std::mem::forget(aborting);
    protocol.connection_lost(lost);
    Ok(())
}

/// The next that happens to a connection that is known to be paused or not, and is read from, if a
/// reader is given; what has changed comes before what is to be read.
pub(crate) async fn next(
    transport: &Transport,
    reader: Option<&StreamReader>,
    paused: bool,
) -> Result<Event> {
    let outgoing = transport.outgoing();
    let reads = reader.is_some() && outgoing.lock().is_reading();
    let mut change = pin!(wait_until(&outgoing.state, |state| {
        if let Some(lost) = &state.lost {
            Some(Event::Lost(lost.clone()))
        } else if state.paused != paused {
            Some(Event::Paused(state.paused))
        } else if reader.is_some() && state.is_reading() != reads {
            Some(Event::Reading)
        } else {
            None
        }
    }));
    let mut read = pin!(async move {
        match reader.filter(|_| reads) {
            Some(reader) => reader.read(PIECE).await,
            None => std::future::pending().await,
        }
    });
    poll_fn(|cx| {
        if let Poll::Ready(event) = change.as_mut().poll(cx) {
            return Poll::Ready(event.map_err(Exception::from));
        }
        read.as_mut().poll(cx).map(|read| match read {
            Ok(data) => Ok(Event::Data(data)),
            Err(error) if error.is_cancelled() => Err(error),
            Err(error) => Ok(Event::Failed(error)),
        })
    })
    .await
}

/// Ends a connection whose task ends before it.
struct Aborting<'a>(&'a Transport);

impl Drop for Aborting<'_> {
    fn drop(&mut self) {
        self.0.abort();
        // It may hold the transport, which holds it.
        drop(self.0.outgoing().take_protocol());
    }
}
