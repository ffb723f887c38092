//! `Server` (`asyncio/base_events.py`).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_core::{
    CancelledError, EventLoop, Exception, ExceptionContext, Result, RuntimeError, Task,
    create_task, get_running_loop, sleep,
};
use socket2::Socket;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::task::AbortHandle;

use crate::base_events::Channel;
use crate::streams::{Outgoing, runtime};
#[cfg(unix)]
use crate::unix_events::{SocketFile, unix_channel};
use crate::waiters::{HasWaiters, Waiters, Woken, lock, wait_until};

/// What accepts connections, and starts a task for each (`asyncio.Server`).
///
/// A clone is the same server. It goes on when the last handle is dropped, until [`close`](Self::close)
/// or the end of its loop.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(async |_, _| Ok(()), "127.0.0.1", 0).await?;
///     assert!(server.is_serving());
///     let port = server.port();
///     server.close();
///     assert!(open_connection("127.0.0.1", port).await.is_err());
///     server.wait_closed().await
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    serve: Box<Serve>,
    place: Place,
    backlog: i32,
    most: Option<usize>,
}

/// Starts what handles a connection.
pub(crate) type Serve = dyn Fn(&Place, Channel, Attachment) + Send + Sync;

#[derive(Default)]
struct State {
    /// Not listening yet.
    bound: Vec<Bound>,
    listeners: Vec<Option<Listener>>,
    addresses: Vec<SocketAddr>,
    accepting: Vec<AbortHandle>,
    #[cfg(unix)]
    file: Option<SocketFile>,
    connections: HashMap<u64, Weak<Outgoing>>,
    last_connection: u64,
    /// Connections, those whose handshake is under way included.
    active: usize,
    closed: bool,
    forever: bool,
    waiters: Waiters,
}

/// A socket with an address.
pub(crate) enum Bound {
    Tcp(Socket),
    #[cfg(unix)]
    Unix(Socket),
}

enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// Where tasks run that a server starts.
pub(crate) enum Place {
    Loop(EventLoop),
    Runtime,
}

/// Counts a connection of a server while it lives.
pub(crate) struct Attachment {
    server: Arc<Shared>,
    key: u64,
}

/// How a server has ended; see [`Server::shutdown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that ended in time.
    pub finished: usize,
    /// Connections that were cut.
    pub aborted: usize,
}

/// How long nothing is accepted when there are no file descriptors left (`ACCEPT_RETRY_DELAY`).
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

impl Server {
    pub(crate) fn new(
        bound: Vec<Bound>,
        backlog: i32,
        most: Option<usize>,
        serve: Box<Serve>,
    ) -> Result<Self> {
        runtime()?;
        #[cfg(unix)]
        let file = bound.iter().find_map(Bound::file);
        let addresses = bound.iter().filter_map(Bound::address).collect();
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    bound,
                    addresses,
                    #[cfg(unix)]
                    file,
                    ..State::default()
                }),
                serve,
                place: Place::here(),
                backlog,
                most,
            }),
        })
    }

    /// Leaves the socket's file where it is.
    #[cfg(unix)]
    pub(crate) fn keep_file(&self) {
        if let Some(file) = lock(&self.shared.state).file.take() {
            std::mem::forget(file);
        }
    }

    pub(crate) fn listen(&self) -> Result<()> {
        let runtime = runtime()?;
        let mut state = lock(&self.shared.state);
        if state.closed {
            return Err(RuntimeError::new("the server is closed").into());
        }
        for bound in std::mem::take(&mut state.bound) {
            let listener = bound.listen(self.shared.backlog)?;
            let index = state.listeners.len();
            state.listeners.push(Some(listener));
            let accepting = runtime.spawn(accept(Arc::clone(&self.shared), index));
            state.accepting.push(accepting.abort_handle());
        }
        Ok(())
    }

    /// Begins to accept connections, if it does not yet (`Server.start_serving`).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when it is closed; [`std::io::Error`] when the socket cannot listen;
    /// [`CancelledError`] when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// It accepts then.
    pub async fn start_serving(&self) -> Result<()> {
        self.listen()?;
        // As in Python, so that connections that wait already are accepted.
        sleep(0).await
    }

    /// Whether it accepts connections (`Server.is_serving`).
    #[must_use]
    pub fn is_serving(&self) -> bool {
        let state = lock(&self.shared.state);
        !state.closed && !state.listeners.is_empty()
    }

    /// Accepts connections until the task is cancelled or the server closed
    /// (`Server.serve_forever`); closes it.
    ///
    /// # Errors
    ///
    /// [`CancelledError`], always at the end: when the task is cancelled, once all connections have
    /// ended; and when the server is closed. [`RuntimeError`] when another task calls it already, or the
    /// server is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server.
    pub async fn serve_forever(&self) -> Result<()> {
        {
            let mut state = lock(&self.shared.state);
            if state.forever {
                return Err(RuntimeError::new("serve_forever() is already being awaited").into());
            }
            if state.closed {
                return Err(RuntimeError::new("the server is closed").into());
            }
            state.forever = true;
        }
        let forever = Forever(self);
        self.listen()?;
        let closed = wait_until(&self.shared.state, |state| state.closed.then_some(()));
        let cancelled = closed.await;
        drop(forever);
        if let Err(cancelled) = cancelled {
            self.wait_closed().await?;
            return Err(cancelled.into());
        }
        Err(CancelledError::with_message("the server was closed").into())
    }

    /// Stops accepting (`Server.close`). Connections go on.
    pub fn close(&self) {
        let mut state = lock(&self.shared.state);
        if state.closed {
            return;
        }
        state.closed = true;
        let bound = std::mem::take(&mut state.bound);
        let listeners = std::mem::take(&mut state.listeners);
        let accepting = std::mem::take(&mut state.accepting);
        state.addresses.clear();
        #[cfg(unix)]
        let file = state.file.take();
        let woken = state.waiters.take();
        drop(state);
        drop((bound, listeners));
        #[cfg(unix)]
        drop(file);
        accepting.iter().for_each(AbortHandle::abort);
        woken.wake();
    }

    /// Closes all connections, each once what was written has been sent (`Server.close_clients`).
    pub fn close_clients(&self) {
        for connection in self.shared.connections() {
            crate::streams::StreamWriter::of(connection).close();
        }
    }

    /// Cuts all connections (`Server.abort_clients`).
    pub fn abort_clients(&self) {
        for connection in self.shared.connections() {
            connection.lose(None);
        }
    }

    /// Waits until the server is closed and all its connections have ended (`Server.wait_closed`, as
    /// since 3.12.1).
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn wait_closed(&self) -> Result<()> {
        wait_until(&self.shared.state, |state| {
            (state.closed && state.active == 0).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Closes the server, gives its connections so long to end, and cuts those that are left.
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_net::{open_connection, start_server};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let server = start_server(async |reader, _| {
    ///         reader.read(-1).await?; // the client never ends
    ///         Ok(())
    ///     }, "127.0.0.1", 0).await?;
    ///     let client = open_connection("127.0.0.1", server.port()).await?;
    ///     while server.connections() == 0 {
    ///         asyncio_core::sleep(0.001).await?;
    ///     }
    ///     let report = server.shutdown(Duration::from_millis(20)).await?;
    ///     assert_eq!((report.finished, report.aborted), (0, 1));
    ///     drop(client);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// The server is closed, connections that are left go on.
    ///
    /// # asyncio
    ///
    /// Python has no such method.
    pub async fn shutdown(&self, grace: Duration) -> Result<ShutdownReport> {
        use asyncio_core::FutureExt;
        let before = lock(&self.shared.state).active;
        self.close();
        let ended = tokio::time::timeout(grace, self.wait_closed());
        if let Ok(ended) = ended.cancellable().await? {
            ended?;
        }
        let aborted = lock(&self.shared.state).active;
        self.abort_clients();
        Ok(ShutdownReport {
            finished: before.saturating_sub(aborted),
            aborted,
        })
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared.state).active
    }

    /// The addresses that it accepts at, none once it is closed (`Server.sockets`).
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketAddr> {
        lock(&self.shared.state).addresses.clone()
    }

    /// The port of the first of these addresses; 0 where there is none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.sockets().first().map_or(0, SocketAddr::port)
    }

    /// The loop that its handlers run on (`Server.get_loop`); `None` on a tokio runtime.
    #[must_use]
    pub fn get_loop(&self) -> Option<EventLoop> {
        match &self.shared.place {
            Place::Loop(event_loop) => Some(event_loop.clone()),
            Place::Runtime => None,
        }
    }
}

impl Shared {
    fn connections(&self) -> Vec<Arc<Outgoing>> {
        let state = lock(&self.state);
        state
            .connections
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

/// Closes the server when `serve_forever` ends, however it does.
struct Forever<'a>(&'a Server);

impl Drop for Forever<'_> {
    fn drop(&mut self) {
        lock(&self.0.shared.state).forever = false;
        self.0.close();
    }
}

impl Attachment {
    fn new(server: &Arc<Shared>) -> Self {
        let mut state = lock(&server.state);
        state.active += 1;
        state.last_connection += 1;
        Self {
            server: Arc::clone(server),
            key: state.last_connection,
        }
    }

    /// Makes the connection known to the server, and counts it for as long as it lives.
    pub(crate) fn attach_to(self, outgoing: &Arc<Outgoing>) {
        let mut state = lock(&self.server.state);
        state.connections.insert(self.key, Arc::downgrade(outgoing));
        drop(state);
        outgoing.attach(self);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let woken = {
            let mut state = lock(&self.server.state);
            state.connections.remove(&self.key);
            state.active -= 1;
            let full = self
                .server
                .most
                .is_some_and(|most| state.active + 1 == most);
            if full || state.active == 0 {
                state.waiters.take()
            } else {
                Woken::default()
            }
        };
        woken.wake();
    }
}

impl Place {
    /// Where this is called.
    pub(crate) fn here() -> Self {
        get_running_loop().map_or(Self::Runtime, Self::Loop)
    }

    /// Starts a task there; by a task of the runtime of that place.
    pub(crate) fn create_task<F>(&self, future: F) -> Task<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        match self {
            Self::Loop(event_loop) => event_loop.create_task(future),
            Self::Runtime => create_task(future),
        }
    }

    /// Tells of an error that nobody else can be told of.
    pub(crate) fn report(&self, message: &'static str, exception: Exception) {
        match self {
            Self::Loop(event_loop) => {
                event_loop.call_exception_handler(&ExceptionContext::new(message, Some(exception)));
            }
            // Nobody awaits it, so that its exception is reported.
            Self::Runtime => drop(create_task::<(), _>(async { Err(exception) })),
        }
    }
}

impl Bound {
    fn listen(self, backlog: i32) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => {
                socket.listen(backlog)?;
                TcpListener::from_std(socket.into()).map(Listener::Tcp)
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                socket.listen(backlog)?;
                UnixListener::from_std(socket.into()).map(Listener::Unix)
            }
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok()?.as_socket(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    #[cfg(unix)]
    fn file(&self) -> Option<SocketFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => SocketFile::of(socket.local_addr().ok()?.as_pathname()?),
        }
    }
}

impl Listener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Channel>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map(|accepted| accepted.map(|(stream, peer)| Channel::tcp(stream, Some(peer)))),
            #[cfg(unix)]
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map(|accepted| accepted.map(|(stream, _)| unix_channel(stream))),
        }
    }
}

/// Accepts at one of a server's sockets until it is closed.
async fn accept(server: Arc<Shared>, index: usize) {
    loop {
        if let Some(most) = server.most {
            let room = wait_until(&server.state, |state| {
                (state.closed || state.active < most).then_some(())
            });
            if room.await.is_err() {
                return;
            }
        }
        let accepted = std::future::poll_fn(|cx| {
            let state = lock(&server.state);
            match state.listeners.get(index) {
                Some(Some(listener)) => listener.poll_accept(cx).map(Some),
                _ => Poll::Ready(None),
            }
        });
        match accepted.await {
            None => return,
            Some(Ok(channel)) => {
                let attachment = Attachment::new(&server);
                (server.serve)(&server.place, channel, attachment);
            }
            Some(Err(error)) if is_exhausted(&error) => {
                let message = "socket.accept() out of system resource";
                server.place.report(message, error.into());
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
            // The connection was gone before it was accepted.
            Some(Err(_)) => {}
        }
    }
}

/// Whether waiting may help: too many open files, no memory for sockets.
fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|number| exhausted.contains(&number))
}

impl HasWaiters for State {
    fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("sockets", &self.sockets())
            .field("serving", &self.is_serving())
            .field("connections", &self.connections())
            .finish()
    }
}
