//! Datagrams (`create_datagram_endpoint` of `asyncio/base_events.py`,
//! `_SelectorDatagramTransport` of `asyncio/selector_events.py`).

use std::collections::VecDeque;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asyncio_core::{Exception, FutureExt, Result, ValueError, create_task};
use tokio::io::ReadBuf;

use crate::addresses::{DatagramAddress, Options};
use crate::protocols::DatagramProtocol;
use crate::streams::runtime;
use crate::waiters::lock;

/// Opens a socket for datagrams over UDP, and has a protocol called with what comes
/// (`loop.create_datagram_endpoint`); over Unix sockets that is
/// [`create_unix_datagram_endpoint`](crate::create_unix_datagram_endpoint).
///
/// ```
/// use asyncio_core::{Future, Result, get_running_loop, run};
/// use asyncio_net::{DatagramProtocol, DatagramTransport, create_datagram_endpoint};
/// use std::net::SocketAddr;
///
/// struct Echo;
///
/// impl DatagramProtocol for Echo {
///     fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: SocketAddr) {
///         transport.sendto(data, Some(from));
///     }
/// }
///
/// struct Client(Future<Vec<u8>>);
///
/// impl DatagramProtocol for Client {
///     fn datagram_received(&mut self, _: &DatagramTransport, data: &[u8], _: SocketAddr) {
///         let _ = self.0.set_result(data.to_vec());
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let any = "127.0.0.1:0".parse()?;
///     let server = create_datagram_endpoint(|| Echo).local_addr(any).await?;
///     let echoed = get_running_loop()?.create_future();
///     let client = Client(echoed.clone());
///     let address = server.sockname().expect("it is bound");
///     let client = create_datagram_endpoint(|| client).remote_addr(address).await?;
///     client.sendto(b"hello", None);
///     assert_eq!(echoed.await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when the socket cannot be opened or bound; [`ValueError`] when the addresses are
/// of two families, or there is one beside a socket.
pub fn create_datagram_endpoint<F, P>(protocol_factory: F) -> CreateDatagramEndpoint<F>
where
    F: FnOnce() -> P,
    P: DatagramProtocol,
{
    CreateDatagramEndpoint::new(protocol_factory)
}

/// The keyword arguments of [`create_datagram_endpoint`]; awaiting it opens the socket.
#[must_use = "futures do nothing until they are awaited"]
pub struct CreateDatagramEndpoint<F, A: DatagramAddress = SocketAddr> {
    factory: F,
    local: Option<A>,
    remote: Option<A>,
    socket: Option<A::Given>,
    reuse_port: bool,
    allow_broadcast: bool,
}

impl<F, A: DatagramAddress> CreateDatagramEndpoint<F, A> {
    pub(crate) const fn new(factory: F) -> Self {
        Self {
            factory,
            local: None,
            remote: None,
            socket: None,
            reuse_port: false,
            allow_broadcast: false,
        }
    }

    /// The address to be sent to at.
    pub fn local_addr(mut self, address: A) -> Self {
        self.local = Some(address);
        self
    }

    /// The only address to send to and to hear from.
    pub fn remote_addr(mut self, address: A) -> Self {
        self.remote = Some(address);
        self
    }

    /// Takes this socket instead, which is bound already, and perhaps connected.
    pub fn sock(mut self, socket: A::Given) -> Self {
        self.socket = Some(socket);
        self
    }

    fn open(&mut self) -> Result<(A::Socket, Option<A>)> {
        runtime()?;
        let options = Options {
            reuse_port: self.reuse_port,
            allow_broadcast: self.allow_broadcast,
        };
        let (local, remote) = (self.local.as_ref(), self.remote.as_ref());
        match self.socket.take() {
            Some(_) if local.is_some() || remote.is_some() => {
                Err(ValueError::new("a socket is given, and an address as well").into())
            }
            Some(socket) => A::wrap(socket),
            None => Ok((A::open(local, remote, &options)?, self.remote.take())),
        }
    }
}

impl<F> CreateDatagramEndpoint<F> {
    /// Whether others may bind to the same address; false by default.
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Whether it may send to all of a network; false by default.
    pub const fn allow_broadcast(mut self, on: bool) -> Self {
        self.allow_broadcast = on;
        self
    }
}

impl<F, P, A> IntoFuture for CreateDatagramEndpoint<F, A>
where
    F: FnOnce() -> P,
    P: DatagramProtocol<A>,
    A: DatagramAddress,
{
    type Output = Result<DatagramTransport<A>>;
    type IntoFuture = std::future::Ready<Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        // Nothing of it takes a wait: addresses are given as such.
        std::future::ready(self.open().map(|(socket, remote)| {
            let mut protocol: Box<dyn DatagramProtocol<A>> = Box::new((self.factory)());
            let transport = DatagramTransport {
                shared: Arc::new(Shared {
                    socket,
                    remote,
                    state: Mutex::default(),
                }),
            };
            protocol.connection_made(&transport);
            drop(create_task(call(protocol, transport.clone())));
            transport
        }))
    }
}

/// A socket for datagrams that a [`DatagramProtocol`] is called for (`asyncio.DatagramTransport`).
///
/// A clone is the same transport. The socket lives without any, until it is closed.
pub struct DatagramTransport<A: DatagramAddress = SocketAddr> {
    shared: Arc<Shared<A>>,
}

impl<A: DatagramAddress> Clone for DatagramTransport<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

struct Shared<A: DatagramAddress> {
    socket: A::Socket,
    remote: Option<A>,
    state: Mutex<State<A>>,
}

struct State<A: DatagramAddress> {
    /// What the socket did not take.
    queue: VecDeque<(Vec<u8>, Option<A>)>,
    size: usize,
    high: usize,
    low: usize,
    /// What sends have failed with, to be told.
    errors: Vec<io::Error>,
    closing: bool,
    aborted: bool,
    /// Everything was told.
    over: bool,
    next_protocol: Option<Box<dyn DatagramProtocol<A>>>,
    caller: Option<Waker>,
}

impl<A: DatagramAddress> Default for State<A> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            size: 0,
            high: HIGH,
            low: HIGH / 4,
            errors: Vec::new(),
            closing: false,
            aborted: false,
            over: false,
            next_protocol: None,
            caller: None,
        }
    }
}

/// As in Python.
const HIGH: usize = 1 << 16;

/// What each datagram that waits costs beside its bytes, as in Python.
const HEAD: usize = 8;

impl<A: DatagramAddress> DatagramTransport<A> {
    /// Sends a datagram, without waiting, to this address, or to the one that the socket is connected
    /// to (`DatagramTransport.sendto`). What the socket does not take at once is kept. Once it is closed
    /// it is dropped.
    pub fn sendto(&self, data: &[u8], address: Option<A>) {
        let mut state = lock(&self.shared.state);
        if state.closing {
            return;
        }
        if let (Some(remote), Some(address)) = (&self.shared.remote, &address)
            && remote != address
        {
            let message = format!("the address is none, or {remote:?}");
            state.fail(io::Error::new(io::ErrorKind::InvalidInput, message));
            return;
        }
        if state.queue.is_empty() {
            match self.shared.try_send(data, address.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return state.fail(error),
                Ok(_) => return,
            }
        }
        state.size += data.len() + HEAD;
        state.queue.push_back((data.to_vec(), address));
        state.wake();
    }

    /// Closes the socket, once what is kept has been sent (`BaseTransport.close`).
    pub fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closing = true;
        state.wake();
    }

    /// Closes the socket at once (`DatagramTransport.abort`).
    pub fn abort(&self) {
        let mut state = lock(&self.shared.state);
        state.closing = true;
        state.aborted = true;
        state.queue.clear();
        state.size = 0;
        state.wake();
    }

    /// Whether it is closed or being closed (`BaseTransport.is_closing`).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        lock(&self.shared.state).closing
    }

    /// How many bytes are kept (`get_write_buffer_size`).
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        lock(&self.shared.state).size
    }

    /// This side's address, where it has one.
    #[must_use]
    pub fn sockname(&self) -> Option<A> {
        A::local(&self.shared.socket)
    }

    /// The address that the socket is connected to.
    #[must_use]
    pub fn peername(&self) -> Option<A> {
        self.shared.remote.clone()
    }

    /// Has another protocol called from now on (`BaseTransport.set_protocol`); see
    /// [`Transport::set_protocol`](crate::Transport::set_protocol).
    pub fn set_protocol(&self, protocol: impl DatagramProtocol<A>) {
        let mut protocol: Option<Box<dyn DatagramProtocol<A>>> = Some(Box::new(protocol));
        {
            let mut state = lock(&self.shared.state);
            if !state.over {
                std::mem::swap(&mut state.next_protocol, &mut protocol);
            }
        }
        drop(protocol);
    }
}

impl<A: DatagramAddress> State<A> {
    fn fail(&mut self, error: io::Error) {
        self.errors.push(error);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(caller) = self.caller.take() {
            // The task's own: it schedules, and calls nobody.
            caller.wake();
        }
    }
}

impl<A: DatagramAddress> Shared<A> {
    fn try_send(&self, data: &[u8], address: Option<&A>) -> io::Result<usize> {
        A::try_send(
            &self.socket,
            data,
            address.filter(|_| self.remote.is_none()),
        )
    }

    /// Sends what is kept; what one has failed with.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        loop {
            let mut state = lock(&self.state);
            let Some((data, address)) = state.queue.front() else {
                return Poll::Ready(None);
            };
            if A::poll_send_ready(&self.socket, cx).is_pending() {
                return Poll::Pending;
            }
            let sent = self.try_send(data, address.as_ref());
            if let Err(error) = &sent
                && error.kind() == io::ErrorKind::WouldBlock
            {
                continue;
            }
            let size = data.len() + HEAD;
            state.size -= size;
            state.queue.pop_front();
            if let Err(error) = sent {
                return Poll::Ready(Some(error));
            }
        }
    }
}

/// What happened to a socket.
enum Event<A> {
    Datagram(usize, A),
    Error(io::Error),
    Paused(bool),
    Closed,
}

/// Calls a protocol until its socket is closed.
async fn call<A: DatagramAddress>(
    mut protocol: Box<dyn DatagramProtocol<A>>,
    transport: DatagramTransport<A>,
) -> Result<()> {
    let ending = Ending(&transport);
    let shared = &transport.shared;
    let mut buffer = vec![0; 1 << 16];
    let mut paused = false;
    // The operating system tells of what a datagram has met on its way as neither readable nor writable.
    let mut broken = Box::pin(A::error(&shared.socket));
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(error) = broken.as_mut().poll(cx) {
                broken.set(A::error(&shared.socket));
                return Poll::Ready(Event::Error(error));
            }
            shared.poll_event(cx, &mut buffer, paused)
        });
        let event = event.cancellable().await;
        let next = lock(&shared.state).next_protocol.take();
        if let Some(next) = next {
            protocol = next;
        }
        match event {
            Ok(Event::Datagram(count, address)) => {
                protocol.datagram_received(&transport, &buffer[..count], address);
            }
            Ok(Event::Error(error)) => protocol.error_received(Exception::from(error)),
            Ok(Event::Paused(now)) => {
                paused = now;
                if now {
                    protocol.pause_writing();
                } else {
                    protocol.resume_writing();
                }
            }
            Ok(Event::Closed) => {
                drop(ending);
                protocol.connection_lost(None);
                return Ok(());
            }
            Err(cancelled) => {
                drop(ending);
                protocol.connection_lost(None);
                return Err(cancelled.into());
            }
        }
    }
}

/// Closes the socket when its task ends, however it does.
struct Ending<'a, A: DatagramAddress>(&'a DatagramTransport<A>);

impl<A: DatagramAddress> Drop for Ending<'_, A> {
    fn drop(&mut self) {
        self.0.abort();
        let protocol = {
            let mut state = lock(&self.0.shared.state);
            state.over = true;
            // It may hold the transport, which holds it.
            state.next_protocol.take()
        };
        drop(protocol);
    }
}

impl<A: DatagramAddress> Shared<A> {
    fn poll_event(&self, cx: &mut Context<'_>, buffer: &mut [u8], paused: bool) -> Poll<Event<A>> {
        // First, so that no wake is missed.
        let waker = cx.waker().clone();
        let former = lock(&self.state).caller.replace(waker);
        drop(former);
        if let Poll::Ready(Some(error)) = self.poll_send(cx) {
            return Poll::Ready(Event::Error(error));
        }
        {
            let mut state = lock(&self.state);
            if !state.errors.is_empty() {
                return Poll::Ready(Event::Error(state.errors.remove(0)));
            }
            if state.closing && (state.aborted || state.queue.is_empty()) {
                return Poll::Ready(Event::Closed);
            }
            if !paused && state.size > state.high || paused && state.size <= state.low {
                return Poll::Ready(Event::Paused(!paused));
            }
            if state.closing {
                return Poll::Pending;
            }
        }
        let mut read = ReadBuf::new(buffer);
        match A::poll_receive(&self.socket, cx, &mut read) {
            Poll::Ready(Ok(address)) => Poll::Ready(Event::Datagram(read.filled().len(), address)),
            Poll::Ready(Err(error)) => Poll::Ready(Event::Error(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F, A: DatagramAddress> fmt::Debug for CreateDatagramEndpoint<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateDatagramEndpoint")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

impl<A: DatagramAddress> fmt::Debug for DatagramTransport<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramTransport")
            .field("sockname", &self.sockname())
            .field("peername", &self.peername())
            .finish()
    }
}
