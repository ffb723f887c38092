//! A network that fails on request.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{ClusterError, PgCluster};

/// What is read at once, so that faults take effect at the latest after so much.
const CHUNK: usize = 16 * 1024;

/// How often somebody who writes to a peer that does not read looks up.
const LOOK_UP: Duration = Duration::from_millis(20);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there are two ways, and both of them"
)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both ways.
    Both,
}

impl Direction {
    const fn ways(self) -> &'static [usize] {
        match self {
            Self::ToServer => &[TO_SERVER],
            Self::ToClient => &[TO_CLIENT],
            Self::Both => &[TO_SERVER, TO_CLIENT],
        }
    }
}

const TO_SERVER: usize = 0;
const TO_CLIENT: usize = 1;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Both sides read the end, as when the other one has closed.
    Close,
    /// Both sides get a reset (RST); over a Unix socket the same as `Close`.
    Reset,
    /// The receiver of that direction reads the end, while the other direction goes on.
    HalfClose,
    /// Nothing is heard any more in that direction, as if a cable had been pulled.
    Silence,
}

/// What has passed through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The connections that were taken, refused ones included.
    pub accepted: u64,
    /// The connections that are open.
    pub open: usize,
    /// The bytes that went on to the server.
    pub to_server: u64,
    /// The bytes that went on to clients.
    pub to_client: u64,
}

/// A proxy in front of a server that makes the faults of a network.
///
/// Each fault is set for a direction, holds for connections that are open and those to come, and stays
/// until [`heal`](Self::heal). What was swallowed in silence is kept (the systems' buffers hold it, and
/// no more than that) and goes on then, as after a cable was put back. Threads do the work, two for each
/// connection, so that it does the same under every runtime and clock.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use asyncio_db::testing::{Cut, Direction, FaultProxy};
///
/// let server = TcpListener::bind("127.0.0.1:0").unwrap();
/// let proxy = FaultProxy::to_tcp(server.local_addr().unwrap()).unwrap();
/// proxy.cut_after(Direction::ToServer, 3, Cut::Close);
///
/// let mut client = TcpStream::connect(proxy.address().unwrap()).unwrap();
/// let (mut served, _) = server.accept().unwrap();
/// client.write_all(b"hello").unwrap();
/// let mut heard = Vec::new();
/// served.read_to_end(&mut heard).unwrap();
/// assert_eq!(heard, b"hel");
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    place: Place,
}

impl FaultProxy {
    /// Listens at a port of 127.0.0.1 in front of a cluster's Unix socket.
    ///
    /// The cluster may be restarted behind it.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] when there is no port to listen at.
    pub fn to_cluster(cluster: &PgCluster) -> Result<Self, ClusterError> {
        Self::tcp(Place::Unix(cluster.socket()))
    }

    /// Listens at a port of 127.0.0.1 in front of an address.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] when there is no port to listen at.
    pub fn to_tcp(server: SocketAddr) -> Result<Self, ClusterError> {
        Self::tcp(Place::Tcp(server))
    }

    /// Listens at a Unix socket in front of another one. For PostgreSQL it is to be named
    /// `.s.PGSQL.<port>`. It is removed with the proxy.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] when the socket cannot be made.
    pub fn unix(at: &Path, server: &Path) -> Result<Self, ClusterError> {
        let what = format!("listen at {}", at.display());
        let listener = UnixListener::bind(at).map_err(ClusterError::io(what))?;
        let place = Place::Unix(at.to_owned());
        Ok(Self::serve(
            place,
            Place::Unix(server.to_owned()),
            move || Ok(listener.accept()?.0.into()),
        ))
    }

    /// Where it listens, if that is a port.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        }
    }

    /// The port at which it listens; 0 of one at a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().map_or(0, |address| address.port())
    }

    /// The address of a role and a database of PostgreSQL's behind it. Of a proxy at a Unix socket it
    /// names the socket's folder, and the port is to be added.
    #[must_use]
    pub fn dsn_of(&self, user: &str, database: &str) -> String {
        match &self.place {
            Place::Tcp(address) => format!("postgresql://{user}@{address}/{database}"),
            Place::Unix(path) => {
                let folder = path.parent().unwrap_or(path).display();
                format!("postgresql://{user}@/{database}?host={folder}")
            }
        }
    }

    /// Swallows all that goes that way. Connections are taken, and hear nothing.
    pub fn black_hole(&self, direction: Direction) {
        self.change(direction, |faults| faults.silent = true);
    }

    /// Delays what goes that way. A delay is one of each chunk, so that it limits the rate as well.
    pub fn latency(&self, direction: Direction, delay: Duration) {
        self.change(direction, |faults| faults.delay = delay);
    }

    /// Limits the rate that way, per connection. Zero is taken as one.
    pub fn bandwidth(&self, direction: Direction, bytes_per_second: u32) {
        self.change(direction, |faults| {
            faults.rate = Some(bytes_per_second.max(1))
        });
    }

    /// Writes at the most so many bytes at once that way, each in a packet of its own. Zero is taken as
    /// one.
    pub fn split(&self, direction: Direction, bytes: usize) {
        self.change(direction, |faults| faults.piece = Some(bytes.max(1)));
    }

    /// Cuts each connection once so many bytes went that way, counted from its start. A connection where
    /// more did already is cut at its next byte.
    pub fn cut_after(&self, direction: Direction, bytes: u64, cut: Cut) {
        self.change(direction, |faults| faults.cut = Some((bytes, cut)));
    }

    /// Resets, or no longer resets, connections as soon as they are made.
    pub fn refuse(&self, refuse: bool) {
        self.shared.lock().refusing = refuse;
    }

    /// Takes back all faults. What was cut stays cut.
    pub fn heal(&self) {
        {
            let mut state = self.shared.lock();
            state.faults = Default::default();
            state.refusing = false;
        }
        self.shared.changed.notify_all();
    }

    /// Cuts all connections that are open now (see [`Counts::open`]), as [`Cut::Close`] and so on say.
    ///
    /// [`Cut::HalfClose`] and [`Cut::Silence`] do it in the given direction, the others in both.
    pub fn cut(&self, direction: Direction, cut: Cut) {
        let links = self.shared.lock().links.clone();
        for link in links {
            for way in direction.ways() {
                self.shared.cut(&link, *way, cut);
            }
        }
    }

    /// What has passed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        Counts {
            accepted: state.accepted,
            open: state.links.len(),
            to_server: state.passed[TO_SERVER],
            to_client: state.passed[TO_CLIENT],
        }
    }

    fn tcp(server: Place) -> Result<Self, ClusterError> {
        let failed = |error| ClusterError::io("listen at a port")(error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let accept = move || Ok(listener.accept()?.0.into());
        Ok(Self::serve(Place::Tcp(address), server, accept))
    }

    fn serve(
        place: Place,
        server: Place,
        accept: impl Fn() -> io::Result<Stream> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            // Accepting fails for want of files, which may pass, or for good. A test is over in both cases.
            while let Ok(client) = accept() {
                if theirs.lock().over {
                    break;
                }
                theirs.take(client, &server);
            }
        });
        Self { shared, place }
    }

    fn change(&self, direction: Direction, change: impl Fn(&mut Faults)) {
        {
            let mut state = self.shared.lock();
            for way in direction.ways() {
                change(&mut state.faults[*way]);
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.cut(Direction::Both, Cut::Close);
        self.shared.changed.notify_all();
        // The thread that accepts looks up with the next connection, which is this one.
        let _ = self.place.connect();
        if let Place::Unix(path) = &self.place {
            // Whoever has removed it has done our work.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What is done to the bytes that go one way.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    silent: bool,
    delay: Duration,
    rate: Option<u32>,
    piece: Option<usize>,
    cut: Option<(u64, Cut)>,
}

/// A connection: a client, and the server for it.
#[derive(Debug)]
struct Link {
    /// By the way for which it is the receiver.
    ends: [Stream; 2],
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
struct LinkState {
    /// The ways in which nothing is heard any more.
    silent: [bool; 2],
    /// The ways that are at their end.
    ended: [bool; 2],
    closed: bool,
}

impl Link {
    /// Writes, and looks up now and then whether it is still of use.
    fn write(&self, way: usize, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.lock().closed {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match (&self.ends[way]).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when faults change, or a connection is cut.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    faults: [Faults; 2],
    refusing: bool,
    over: bool,
    links: Vec<Arc<Link>>,
    accepted: u64,
    passed: [u64; 2],
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts and settings are right at all times, whoever panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to serve a client.
    fn take(self: &Arc<Self>, client: Stream, server: &Place) {
        let refusing = {
            let mut state = self.lock();
            state.accepted += 1;
            state.refusing
        };
        let server = if refusing {
            None
        } else {
            server.connect().ok()
        };
        let Some(server) = server else {
            client.reset_on_close();
            return;
        };
        client.prepare();
        server.prepare();
        let reading = (client.try_clone(), server.try_clone());
        let link = Arc::new(Link {
            ends: [server, client],
            state: Mutex::default(),
        });
        self.lock().links.push(Arc::clone(&link));
        let (Ok(from_client), Ok(from_server)) = reading else {
            self.close(&link, Cut::Reset);
            return;
        };
        for (way, from) in [(TO_SERVER, from_client), (TO_CLIENT, from_server)] {
            let (shared, link) = (Arc::clone(self), Arc::clone(&link));
            thread::spawn(move || {
                // A reset on one side is one on the other.
                let cut = shared.carry(&link, way, from).unwrap_or(Cut::Reset);
                shared.cut(&link, way, cut);
            });
        }
    }

    /// Carries bytes one way, up to their end or to where they are cut.
    fn carry(&self, link: &Link, way: usize, mut from: Stream) -> io::Result<Cut> {
        let (mut buffer, mut carried) = (vec![0; CHUNK], 0_u64);
        loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            // Faults that were set while nothing came hold for what came then.
            let mut rest = &buffer[..read];
            if rest.is_empty() {
                self.pass(link, way, Duration::ZERO);
                // An end goes on as an end, and the other way is open still.
                return Ok(Cut::HalfClose);
            }
            while !rest.is_empty() {
                let delay = self.lock().faults[way].delay;
                let faults = self.pass(link, way, delay);
                let (limit, cut) = faults.cut.unwrap_or((u64::MAX, Cut::Close));
                let left = usize::try_from(limit.saturating_sub(carried)).unwrap_or(CHUNK);
                let piece = rest.len().min(faults.piece.unwrap_or(CHUNK)).min(left);
                if piece == 0 {
                    return Ok(cut);
                }
                let (now, later) = rest.split_at(piece);
                link.write(way, now)?;
                rest = later;
                let length = now.len() as u64;
                carried += length;
                self.lock().passed[way] += length;
                if carried == limit {
                    return Ok(cut);
                }
                if let Some(rate) = faults.rate {
                    self.pass(link, way, Duration::from_secs(length) / rate);
                }
            }
        }
    }

    /// Waits for a time, and for as long as nothing may pass; returns what is to be done then.
    fn pass(&self, link: &Link, way: usize, delay: Duration) -> Faults {
        let until = Instant::now() + delay;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (silent, closed) = {
                let link = link.lock();
                (link.silent[way], link.closed)
            };
            let faults = state.faults[way];
            if closed || state.over {
                // The write that follows fails.
                return faults;
            }
            let changed = if silent || faults.silent {
                self.changed.wait(state)
            } else if left.is_zero() {
                return faults;
            } else {
                let waited = self.changed.wait_timeout(state, left);
                waited
                    .map(|(state, _)| state)
                    .map_err(|error| PoisonError::new(error.into_inner().0))
            };
            state = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Cuts a connection.
    fn cut(&self, link: &Arc<Link>, way: usize, cut: Cut) {
        let over = match cut {
            Cut::Close | Cut::Reset => true,
            Cut::Silence => {
                link.lock().silent[way] = true;
                false
            }
            Cut::HalfClose => {
                let mut state = link.lock();
                if !state.closed {
                    // Else it is to be reset, before which no end may be heard.
                    link.ends[way].shutdown(Shutdown::Write);
                }
                state.ended[way] = true;
                state.ended == [true; 2]
            }
        };
        if over {
            self.close(link, cut);
        }
    }

    /// Ends a connection, which wakes those who carry its bytes.
    fn close(&self, link: &Arc<Link>, cut: Cut) {
        let first = !std::mem::replace(&mut link.lock().closed, true);
        if first {
            for end in &link.ends {
                if cut == Cut::Reset {
                    // It is sent when the last of those who carry bytes lets go of the socket, to which
                    // the end of what they read moves them.
                    end.reset_on_close();
                    end.shutdown(Shutdown::Read);
                } else {
                    end.shutdown(Shutdown::Both);
                }
            }
            let mut state = self.lock();
            state.links.retain(|known| !Arc::ptr_eq(known, link));
        }
        self.changed.notify_all();
    }
}

/// Where somebody listens.
#[derive(Clone, Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(address) => TcpStream::connect(address)?.into(),
            Self::Unix(path) => UnixStream::connect(path)?.into(),
        })
    }
}

/// A connection's one end.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Sends pieces as they are, and blocks nobody for long who writes.
    fn prepare(&self) {
        // An end that is gone already is found out by whoever uses it.
        let _ = match self {
            Self::Tcp(stream) => stream
                .set_nodelay(true)
                .and(stream.set_write_timeout(Some(LOOK_UP))),
            Self::Unix(stream) => stream.set_write_timeout(Some(LOOK_UP)),
        };
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => stream.try_clone()?.into(),
            Self::Unix(stream) => stream.try_clone()?.into(),
        })
    }

    fn shutdown(&self, how: Shutdown) {
        // An end that is gone already needs no more of it.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    /// Makes closing it a reset, which only TCP has.
    fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // An end that is gone already has had its reset.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
