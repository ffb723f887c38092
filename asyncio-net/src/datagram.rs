//! Datagrams (`create_datagram_endpoint` of `asyncio/base_events.py`,
//! `_SelectorDatagramTransport` of `asyncio/selector_events.py`).

use std::collections::VecDeque;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asyncio_core::{Exception, FutureExt, Result, ValueError, create_task};
use socket2::{Domain, Protocol as Kind, Socket, Type};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

use crate::protocols::DatagramProtocol;
use crate::streams::runtime;
use crate::waiters::lock;

/// Opens a socket for datagrams, and has a protocol called with what comes
/// (`loop.create_datagram_endpoint`).
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
/// of two families.
pub fn create_datagram_endpoint<F, P>(protocol_factory: F) -> CreateDatagramEndpoint<F>
where
    F: FnOnce() -> P,
    P: DatagramProtocol,
{
    CreateDatagramEndpoint {
        factory: protocol_factory,
        local: None,
        remote: None,
        reuse_port: false,
        allow_broadcast: false,
    }
}

/// The keyword arguments of [`create_datagram_endpoint`]; awaiting it opens the socket.
#[must_use = "futures do nothing until they are awaited"]
pub struct CreateDatagramEndpoint<F> {
    factory: F,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    reuse_port: bool,
    allow_broadcast: bool,
}

impl<F> CreateDatagramEndpoint<F> {
    /// The address to be sent to at.
    pub const fn local_addr(mut self, address: SocketAddr) -> Self {
        self.local = Some(address);
        self
    }

    /// The only address to send to and to hear from.
    pub const fn remote_addr(mut self, address: SocketAddr) -> Self {
        self.remote = Some(address);
        self
    }

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

    fn socket(&self) -> Result<UdpSocket> {
        runtime()?;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let family = self.local.or(self.remote).unwrap_or(any);
        if let (Some(local), Some(remote)) = (self.local, self.remote)
            && local.is_ipv4() != remote.is_ipv4()
        {
            return Err(ValueError::new("the addresses are of two families").into());
        }
        let socket = Socket::new(Domain::for_address(family), Type::DGRAM, Some(Kind::UDP))?;
        socket.set_nonblocking(true)?;
        #[cfg(unix)]
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if self.allow_broadcast {
            socket.set_broadcast(true)?;
        }
        if let Some(local) = self.local {
            socket.bind(&local.into())?;
        }
        if let Some(remote) = self.remote {
            socket.connect(&remote.into())?;
        }
        Ok(UdpSocket::from_std(socket.into())?)
    }
}

impl<F, P> IntoFuture for CreateDatagramEndpoint<F>
where
    F: FnOnce() -> P,
    P: DatagramProtocol,
{
    type Output = Result<DatagramTransport>;
    type IntoFuture = std::future::Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        // Nothing of it takes a wait: addresses are given as such.
        std::future::ready(self.socket().map(|socket| {
            let mut protocol = (self.factory)();
            let transport = DatagramTransport {
                shared: Arc::new(Shared {
                    socket,
                    remote: self.remote,
                    state: Mutex::new(State {
                        high: HIGH,
                        low: HIGH / 4,
                        ..State::default()
                    }),
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
#[derive(Clone)]
pub struct DatagramTransport {
    shared: Arc<Shared>,
}

struct Shared {
    socket: UdpSocket,
    remote: Option<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the socket did not take.
    queue: VecDeque<(Vec<u8>, Option<SocketAddr>)>,
    size: usize,
    high: usize,
    low: usize,
    /// What sends have failed with, to be told.
    errors: Vec<io::Error>,
    closing: bool,
    aborted: bool,
    caller: Option<Waker>,
}

/// As in Python.
const HIGH: usize = 1 << 16;

/// What each datagram that waits costs beside its bytes, as in Python.
const HEAD: usize = 8;

impl DatagramTransport {
    /// Sends a datagram, without waiting, to this address, or to the one that the socket is connected
    /// to (`DatagramTransport.sendto`). What the socket does not take at once is kept. Once it is closed
    /// it is dropped.
    pub fn sendto(&self, data: &[u8], address: Option<SocketAddr>) {
        let mut state = lock(&self.shared.state);
        if state.closing {
            return;
        }
        if let (Some(remote), Some(address)) = (self.shared.remote, address)
            && remote != address
        {
            let message = format!("the address is none, or {remote}");
            state.fail(io::Error::new(io::ErrorKind::InvalidInput, message));
            return;
        }
        if state.queue.is_empty() {
            match self.shared.try_send(data, address) {
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

    /// This side's address.
    #[must_use]
    pub fn sockname(&self) -> Option<SocketAddr> {
        self.shared.socket.local_addr().ok()
    }

    /// The address that the socket is connected to.
    #[must_use]
    pub fn peername(&self) -> Option<SocketAddr> {
        self.shared.remote
    }
}

impl State {
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

impl Shared {
    fn try_send(&self, data: &[u8], address: Option<SocketAddr>) -> io::Result<usize> {
        match address.filter(|_| self.remote.is_none()) {
            Some(address) => self.socket.try_send_to(data, address),
            None => self.socket.try_send(data),
        }
    }

    /// Sends what is kept; what one has failed with.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        loop {
            let mut state = lock(&self.state);
            let Some((data, address)) = state.queue.front() else {
                return Poll::Ready(None);
            };
            if self.socket.poll_send_ready(cx).is_pending() {
                return Poll::Pending;
            }
            let sent = self.try_send(data, *address);
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
enum Event {
    Datagram(usize, SocketAddr),
    Error(io::Error),
    Paused(bool),
    Closed,
}

/// Calls a protocol until its socket is closed.
async fn call<P: DatagramProtocol>(mut protocol: P, transport: DatagramTransport) -> Result<()> {
    let shared = &transport.shared;
    let mut buffer = vec![0; 1 << 16];
    let mut paused = false;
    // The operating system tells of what a datagram has met on its way as neither readable nor writable.
    let mut broken = Box::pin(shared.error());
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(error) = broken.as_mut().poll(cx) {
                broken.set(shared.error());
                return Poll::Ready(Event::Error(error));
            }
            shared.poll_event(cx, &mut buffer, paused)
        });
        match event.cancellable().await {
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
                protocol.connection_lost(None);
                return Ok(());
            }
            Err(cancelled) => {
                transport.abort();
                protocol.connection_lost(None);
                return Err(cancelled.into());
            }
        }
    }
}

impl Shared {
    /// Waits for an error of the socket.
    async fn error(&self) -> io::Error {
        loop {
            if let Err(error) = self.socket.ready(Interest::ERROR).await {
                return error;
            }
            let told = self.socket.try_io(Interest::ERROR, || {
                let error = self.socket.take_error()?;
                error.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            match told {
                Ok(error) => return error,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
        }
    }

    fn poll_event(&self, cx: &mut Context<'_>, buffer: &mut [u8], paused: bool) -> Poll<Event> {
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
        match self.socket.poll_recv_from(cx, &mut read) {
            Poll::Ready(Ok(address)) => Poll::Ready(Event::Datagram(read.filled().len(), address)),
            Poll::Ready(Err(error)) => Poll::Ready(Event::Error(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for CreateDatagramEndpoint<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateDatagramEndpoint")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DatagramTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramTransport")
            .field("sockname", &self.sockname())
            .field("peername", &self.peername())
            .finish()
    }
}
