//! The connections of a pool: each is idle, lent, or on its way between the two.
//!
//! A connection is a value that one of these owns: the list of those that are idle, a guard, or a task.
//! A permit goes with it while it is not idle, so that there are never more than there are permits; and
//! permits are given out in the order in which they were asked for.

use std::future::poll_fn;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_core::{Exception, Result, RuntimeError, TimeoutError};
use asyncio_sync::{Event, OwnedPermit, Semaphore};
use socket2::Socket;
use tokio::runtime::Handle;

use super::builder::{Reset, Settings};
use super::lease::PooledConnection;
use super::stats::{PoolClosedError, PoolStats, PoolTimeoutError};
use crate::pg::connect::{self, ConnectBuilder};
use crate::pg::connection::{Connection, limited};
use crate::pg::introspection::Types;
use crate::pg::target::Target;

pub(crate) struct Members {
    server: Mutex<Server>,
    pub(super) settings: Settings,
    types: Arc<Types>,
    runtime: Handle,
    permits: Semaphore,
    size: Arc<AtomicUsize>,
    state: Mutex<State>,
    /// Set when it is closed.
    closed: Event,
}

/// Where connections are opened, and how.
#[derive(Clone)]
struct Server {
    target: Arc<Target>,
    builder: ConnectBuilder,
}

impl Server {
    fn of(builder: ConnectBuilder) -> Result<Self> {
        Ok(Self {
            target: Arc::new(builder.target()?),
            builder,
        })
    }
}

#[derive(Default)]
struct State {
    /// The last one to come back is the first to be lent.
    idle: Vec<Idle>,
    lent: usize,
    recovering: usize,
    waiting: usize,
    phase: Phase,
    /// Those of all sessions, by which they are ended in the middle of what they do.
    sockets: Vec<Weak<Socket>>,
    /// Connections of a former generation are replaced.
    generation: u64,
    last_connect_error: Option<Exception>,
    acquired: u64,
    opened: u64,
    recovered: u64,
    lost: u64,
}

/// Whether connections are lent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// No more; those that are lent are waited for.
    Closing,
    Closed,
}

impl Phase {
    fn open(self) -> Result<(), PoolClosedError> {
        match self {
            Self::Open => Ok(()),
            Self::Closing => Err(PoolClosedError { closing: true }),
            Self::Closed => Err(PoolClosedError { closing: false }),
        }
    }
}

struct Idle {
    member: Box<Member>,
    since: Instant,
}

/// A connection of the pool.
pub(crate) struct Member {
    pub(super) connection: Connection,
    /// When it was opened.
    born: Instant,
    generation: u64,
    /// When it was last used, as far as is known.
    used: Instant,
    /// So many operations it had begun when it was lent.
    operations: u64,
    /// The program has not made it ready for use yet.
    pub(super) is_new: bool,
    /// The program is making it ready, and has not ended with that.
    pub(super) is_unready: bool,
    /// As long as it is there, the pool can end the session whoever uses it.
    _socket: Option<Arc<Socket>>,
    _seat: Seat,
}

/// Counts as one of the pool's connections as long as it is there.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(size: &Arc<AtomicUsize>) -> Self {
        // Relaxed: a number that is looked at, and decides nothing.
        size.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(size))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a task that opens a connection leaves it. When nobody comes for it, it goes to the pool with the
/// guard that it is.
#[derive(Default)]
struct Delivery {
    outcome: Mutex<Option<Result<PooledConnection>>>,
    done: Event,
}

/// Says that a delivery is there, or will not come.
struct Made(Arc<Delivery>);

impl Drop for Made {
    fn drop(&mut self) {
        self.0.done.set();
    }
}

/// A connection that has not been used for so long is looked at before it is lent: a call to the system.
const PAUSE: Duration = Duration::from_millis(10);

impl Members {
    pub(super) async fn open(server: ConnectBuilder, settings: Settings) -> Result<Arc<Self>> {
        let runtime =
            Handle::try_current().map_err(|_| RuntimeError::new("no running event loop"))?;
        let members = Arc::new(Self {
            server: Mutex::new(Server::of(server)?),
            types: Arc::default(),
            runtime,
            permits: Semaphore::new(settings.max_size),
            size: Arc::default(),
            state: Mutex::default(),
            closed: Event::new(),
            settings,
        });
        // The first one by itself, so that what is wrong with the server is said once.
        let mut first = Vec::new();
        for count in [1, members.settings.min_size.saturating_sub(1)] {
            let mut deliveries = Vec::new();
            for _ in 0..count.min(members.settings.min_size) {
                let permit = members.permits.guard_owned().await?;
                deliveries.push(members.order(permit));
            }
            for delivery in deliveries {
                first.push(delivery.take().await?);
            }
        }
        drop(first);
        members.look_after();
        Ok(members)
    }

    // -- lending -----------------------------------------------------------

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<PooledConnection> {
        let mut permit = pin!(self.permits.guard_owned());
        let now = poll_fn(|cx| Poll::Ready(permit.as_mut().poll(cx))).await;
        let lease = match now {
            Poll::Ready(permit) => match self.lend_idle(permit?)? {
                // The usual case, in which nobody waits for anything.
                Ok(lease) if !self.settings.has_functions() => lease,
                Ok(lease) => self.in_time(self.make_ready(lease)).await?,
                Err(permit) => self.in_time(self.lend_new(permit)).await?,
            },
            // One limit for all that is waited for.
            Poll::Pending => {
                self.state().phase.open()?;
                let waiting = Waiting::begin(self);
                self.in_time(async {
                    let permit = permit.await?;
                    drop(waiting);
                    match self.lend_idle(permit)? {
                        Ok(lease) => self.make_ready(lease).await,
                        Err(permit) => self.lend_new(permit).await,
                    }
                })
                .await?
            }
        };
        self.state().acquired += 1;
        Ok(lease)
    }

    async fn lend_new(self: &Arc<Self>, permit: OwnedPermit) -> Result<PooledConnection> {
        let lease = self.order(permit).take().await?;
        self.make_ready(lease).await
    }

    /// Lends an idle connection, or gives the permit back.
    fn lend_idle(
        self: &Arc<Self>,
        permit: OwnedPermit,
    ) -> Result<Result<PooledConnection, OwnedPermit>> {
        Ok(match self.take_idle()? {
            Some(member) => Ok(PooledConnection::new(member, permit, Arc::clone(self))),
            None => Err(permit),
        })
    }

    /// Has the program's functions make a connection ready.
    ///
    /// They run in the task that borrows, and not in the one that connects, where they could not do what a
    /// task can. What they have not ended with is of no use to anybody.
    async fn make_ready(&self, mut lease: PooledConnection) -> Result<PooledConnection> {
        lease.begin();
        if let Some(init) = self.settings.init.as_ref().filter(|_| lease.is_new()) {
            init(&mut lease).await?;
        }
        if let Some(setup) = &self.settings.setup {
            setup(&mut lease).await?;
        }
        lease.has_begun();
        Ok(lease)
    }

    /// The idle connection that was used last, if it is still of use.
    fn take_idle(&self) -> Result<Option<Box<Member>>> {
        loop {
            let idle = {
                let mut state = self.state();
                state.phase.open()?;
                state.idle.pop()
            };
            let Some(Idle { mut member, .. }) = idle else {
                return Ok(None);
            };
            let after_pause = member.used.elapsed() > PAUSE;
            // The server may have said good-bye meanwhile.
            if member.connection.link.is_fit(after_pause) && !self.is_outworn(&member) {
                member.operations = member.connection.link.operations();
                return Ok(Some(member));
            }
            self.state().lost += 1;
            drop(member);
        }
    }

    /// Waits as long as one may wait for a connection.
    async fn in_time<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(limit) = self.settings.acquire_timeout else {
            return future.await;
        };
        // What is through has an outcome of its own, be it that another time limit was over.
        let limited = limited(Some(limit), async {
            match future.await {
                Err(error) if error.is_cancelled() => Err(error),
                outcome => Ok(outcome),
            }
        });
        match limited.await {
            Ok(outcome) => outcome,
            Err(error) if error.is::<TimeoutError>() => Err(PoolTimeoutError {
                after: limit,
                stats: self.stats(),
                last_connect_error: self.state().last_connect_error.clone(),
            }
            .into()),
            Err(error) => Err(error),
        }
    }

    /// Has a connection opened by a task of its own, for somebody or for the pool.
    fn order(self: &Arc<Self>, permit: OwnedPermit) -> Arc<Delivery> {
        let delivery = Arc::new(Delivery::default());
        let made = Made(Arc::clone(&delivery));
        let members = Arc::clone(self);
        drop(self.runtime.spawn(async move {
            let opened = members.open_one().await;
            let outcome = match opened {
                Ok(member) => Ok(PooledConnection::new(member, permit, members)),
                Err(error) => {
                    members.state().last_connect_error = Some(error.clone());
                    drop(permit);
                    Err(error)
                }
            };
            *lock(&made.0.outcome) = Some(outcome);
        }));
        delivery
    }

    async fn open_one(&self) -> Result<Box<Member>> {
        let seat = Seat::take(&self.size);
        let generation = self.state().generation;
        let server = lock(&self.server).clone();
        let options = &server.builder.options;
        let opening = connect::open(&server.target, options, &self.types);
        let time = server.target.timeout().unwrap_or(Duration::MAX);
        // This is a task of tokio's, where the loop's clock is not to be had.
        let connection = match tokio::time::timeout(time, opening).await {
            Ok(opened) => opened?,
            Err(_) => return Err(TimeoutError::new("connecting took too long").into()),
        };
        let socket = connection.link.socket().map(Arc::new);
        {
            let mut state = self.state();
            state.phase.open()?;
            state.opened += 1;
            state.last_connect_error = None;
            state.sockets.retain(|socket| socket.strong_count() > 0);
            state.sockets.extend(socket.iter().map(Arc::downgrade));
        }
        Ok(Box::new(Member {
            operations: connection.link.operations(),
            connection,
            _socket: socket,
            born: Instant::now(),
            used: Instant::now(),
            generation,
            is_new: true,
            is_unready: false,
            _seat: seat,
        }))
    }

    pub(super) fn has_lent(&self) {
        self.state().lent += 1;
    }

    // -- taking back -------------------------------------------------------

    /// Takes a connection back, and puts it right if need be.
    pub(super) fn take_back(self: &Arc<Self>, mut member: Box<Member>, permit: OwnedPermit) {
        let unused = member.operations == member.connection.link.operations();
        if !unused {
            member.used = Instant::now();
        }
        member.connection.forget_borrower();
        let ready = member.connection.link.is_ready();
        {
            let mut state = self.state();
            state.lent -= 1;
            let is_open = state.phase == Phase::Open;
            if !is_open || member.is_unready || member.connection.link.is_closed() {
                state.lost += u64::from(is_open);
                drop(state);
                drop(member);
                drop(permit);
                return;
            }
            if !ready {
                state.recovering += 1;
                state.recovered += 1;
            }
        }
        if !ready {
            let recovering = Recovering(Arc::clone(self));
            drop(self.runtime.spawn(put_right(recovering, member, permit)));
            return;
        }
        if !unused && !self.is_outworn(&member) {
            // Nobody waits for the answer: it is read by who comes next.
            let sent = self.reset_of(&member.connection);
            if sent.is_some_and(|script| !member.connection.link.send_unheard(script)) {
                drop(member);
                drop(permit);
                return;
            }
        }
        self.put_back(member, permit);
    }

    /// Puts a connection where the next one finds it.
    fn put_back(&self, member: Box<Member>, permit: OwnedPermit) {
        if self.is_outworn(&member) {
            drop(member);
            drop(permit);
            return;
        }
        let refused = {
            let mut state = self.state();
            let idle = Idle {
                member,
                since: Instant::now(),
            };
            if state.phase == Phase::Open {
                state.idle.push(idle);
                None
            } else {
                Some(idle)
            }
        };
        drop(refused);
        // From here on somebody else may have it.
        drop(permit);
    }

    fn is_outworn(&self, member: &Member) -> bool {
        let too_old = |age| member.born.elapsed() > age;
        member.generation != self.state().generation
            || member.connection.link.operations() >= self.settings.max_queries
            || self.settings.max_age.is_some_and(too_old)
    }

    fn reset_of(&self, connection: &Connection) -> Option<&str> {
        match &self.settings.reset {
            Reset::Full => Some(connection.reset_script()),
            Reset::Query(script) => Some(script),
            Reset::RollbackOnly => None,
        }
    }

    // -- the whole ---------------------------------------------------------

    pub(super) async fn close(&self) -> Result<()> {
        let (before, idle) = {
            let mut state = self.state();
            let before = state.phase;
            if before == Phase::Open {
                state.phase = Phase::Closing;
            }
            (before, std::mem::take(&mut state.idle))
        };
        match before {
            Phase::Open => {}
            // Somebody else does it.
            Phase::Closing => return Ok(self.closed.wait().await?),
            Phase::Closed => return Ok(()),
        }
        drop(idle);
        let closing = Closing(self);
        // All have come back when nobody has a permit.
        let mut permits = Vec::new();
        for _ in 0..self.settings.max_size {
            permits.push(self.permits.guard_owned().await?);
        }
        drop(closing);
        Ok(())
    }

    pub(super) fn terminate(&self) {
        let (idle, sockets) = {
            let mut state = self.state();
            state.phase = Phase::Closed;
            (
                std::mem::take(&mut state.idle),
                std::mem::take(&mut state.sockets),
            )
        };
        // Those say good-bye.
        drop(idle);
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            // One that has ended by itself is fine.
            drop(socket.shutdown(Shutdown::Both));
        }
        self.closed.set();
    }

    pub(super) fn expire(&self) {
        let idle = {
            let mut state = self.state();
            state.generation += 1;
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }

    /// Connections are opened there from now on.
    pub(super) fn set_server(&self, builder: ConnectBuilder) -> Result<()> {
        let server = Server::of(builder)?;
        let before = std::mem::replace(&mut *lock(&self.server), server);
        drop(before);
        Ok(())
    }

    /// How connections are opened.
    pub(super) fn builder(&self) -> ConnectBuilder {
        lock(&self.server).builder.clone()
    }

    /// Nothing that was said of types and statements counts any more.
    pub(super) fn reload_schema_state(&self) {
        self.types.forget_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().phase != Phase::Open
    }

    pub(super) fn size(&self) -> usize {
        // Relaxed: a number that is looked at, and decides nothing.
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> PoolStats {
        let state = self.state();
        PoolStats {
            size: self.size(),
            idle: state.idle.len(),
            lent: state.lent,
            recovering: state.recovering,
            waiting: state.waiting,
            acquired: state.acquired,
            opened: state.opened,
            recovered: state.recovered,
            lost: state.lost,
        }
    }

    /// Closes what nobody has used for long, and opens what is missing, by a task that lives as long as
    /// the pool.
    fn look_after(self: &Arc<Self>) {
        let Some(most) = self.settings.max_idle else {
            return;
        };
        let pause = (most / 4).clamp(Duration::from_millis(10), Duration::from_secs(10));
        let members = Arc::downgrade(self);
        drop(self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(members) = Weak::upgrade(&members) else {
                    return;
                };
                if members.is_closed() {
                    return;
                }
                members.close_unused(most);
                members.open_missing().await;
            }
        }));
    }

    fn close_unused(&self, most: Duration) {
        let mut unused = Vec::new();
        {
            let mut state = self.state();
            // As few as there have to be stay.
            let mut surplus = self.size().saturating_sub(self.settings.min_size);
            let mut at = 0;
            while at < state.idle.len() {
                if surplus > 0 && state.idle[at].since.elapsed() > most {
                    surplus -= 1;
                    unused.push(state.idle.remove(at));
                } else {
                    at += 1;
                }
            }
        }
        drop(unused);
    }

    async fn open_missing(self: &Arc<Self>) {
        while self.size() < self.settings.min_size && !self.is_closed() {
            let mut permit = pin!(self.permits.guard_owned());
            // Who waits for a connection opens one; here it is for later.
            let Poll::Ready(Ok(permit)) = poll_fn(|cx| Poll::Ready(permit.as_mut().poll(cx))).await
            else {
                return;
            };
            if self.order(permit).take().await.is_err() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Puts a connection right that has come back in the middle of something.
async fn put_right(recovering: Recovering, mut member: Box<Member>, permit: OwnedPermit) {
    let members = &recovering.0;
    let connection = &mut member.connection;
    let script = members.reset_of(connection).map(str::to_owned);
    // Each step has a time limit of its own, after which the session is closed.
    let right = connection.link.put_right(script.as_deref()).await;
    let members = Arc::clone(members);
    drop(recovering);
    if right.is_ok() {
        members.put_back(member, permit);
    } else {
        members.state().lost += 1;
        drop(member);
        drop(permit);
    }
}

/// Closes the pool for good when it goes. When it goes because nobody waits for those that are lent any
/// more, they are ended.
struct Closing<'a>(&'a Members);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.terminate();
    }
}

/// Counts as being put right as long as it is there.
struct Recovering(Arc<Members>);

impl Drop for Recovering {
    fn drop(&mut self) {
        self.0.state().recovering -= 1;
    }
}

/// Counts as waiting as long as it is there.
struct Waiting<'a>(&'a Members);

impl<'a> Waiting<'a> {
    fn begin(members: &'a Members) -> Self {
        members.state().waiting += 1;
        Self(members)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Delivery {
    async fn take(self: Arc<Self>) -> Result<PooledConnection> {
        self.done.wait().await?;
        let outcome = lock(&self.outcome).take();
        let failed =
            || RuntimeError::new("the connection was not opened: its task has failed").into();
        outcome.unwrap_or_else(|| Err(failed()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
