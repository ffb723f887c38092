//! One request and the head of its response: how far it has come, and how long each part of it may take.
//!
//! reqwest tells nobody whether it connects, writes or waits. So each exchange has a [`Progress`], which
//! is in a thread-local while its future is polled: the layer around reqwest's connector is called in there
//! and finds it, and the request's body has it along.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_core::waiting::Mutex;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::config::Timeout;
use super::error::HttpErrorKind;

/// How far an exchange has come.
#[derive(Debug)]
pub(crate) struct Progress {
    connect: Option<Duration>,
    uploads: bool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    since: Instant,
    connected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// The connection may take more of the body.
    Writing,
    /// The body's own stream has no more for now.
    Producing,
    Reading,
}

impl Progress {
    /// An exchange that begins; if it needs no new connection it writes or reads already.
    pub(crate) fn new(timeout: &Timeout, uploads: bool) -> Arc<Self> {
        Arc::new(Self {
            connect: timeout.connect,
            uploads,
            state: Mutex::new(State {
                phase: first(uploads),
                since: Instant::now(),
                connected: false,
            }),
        })
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// The connection asks for more of the body.
    pub(crate) fn writes(&self) {
        self.enter(Phase::Writing);
    }

    /// There is nothing of the body to be had for now, which is not the connection's fault.
    pub(crate) fn produces(&self) {
        self.enter(Phase::Producing);
    }

    /// All of the body has been taken.
    pub(crate) fn reads(&self) {
        self.enter(Phase::Reading);
    }

    /// Whether the connection was there before.
    pub(crate) fn is_reused(&self) -> bool {
        let state = self.state.lock();
        !state.connected && state.phase != Phase::Connecting
    }

    /// Whether the server may have seen any of it.
    pub(crate) fn is_sent(&self) -> bool {
        self.state.lock().phase != Phase::Connecting
    }

    pub(crate) fn is_writing(&self) -> bool {
        let phase = self.state.lock().phase;
        matches!(phase, Phase::Writing | Phase::Producing)
    }

    /// Until when, and which limit it is.
    fn deadline(&self, timeout: &Timeout) -> Option<(Instant, HttpErrorKind)> {
        let State { phase, since, .. } = *self.state.lock();
        let (limit, kind) = match phase {
            // The connector looks after this itself.
            Phase::Connecting | Phase::Producing => return None,
            Phase::Writing => (timeout.write, HttpErrorKind::WriteTimeout),
            Phase::Reading => (timeout.read, HttpErrorKind::ReadTimeout),
        };
        Some((since.checked_add(limit?)?, kind))
    }
}

const fn first(uploads: bool) -> Phase {
    if uploads {
        Phase::Writing
    } else {
        Phase::Reading
    }
}

thread_local! {
    /// The exchange whose future is being polled.
    static CURRENT: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// Puts an exchange into the thread-local, and what was there back.
struct Entered<'a>(&'a mut Option<Arc<Progress>>);

impl<'a> Entered<'a> {
    fn new(progress: &'a mut Option<Arc<Progress>>) -> Self {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, progress));
        Self(progress)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

/// A timer that is set anew only when it has to be earlier.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether it is time. One that rings too early is set anew.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = match &mut self.0 {
            Some(sleep) => {
                if sleep.deadline() > deadline {
                    sleep.as_mut().reset(deadline);
                }
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(deadline))),
        };
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// Drives reqwest's future within the limits.
pub(crate) struct Driven<F> {
    inner: Pin<Box<F>>,
    progress: Option<Arc<Progress>>,
    alarm: Alarm,
    timeout: Timeout,
    total: Option<Instant>,
}

impl<F> Driven<F> {
    pub(crate) fn new(
        inner: F,
        progress: Arc<Progress>,
        timeout: Timeout,
        total: Option<Instant>,
    ) -> Self {
        Self {
            inner: Box::pin(inner),
            progress: Some(progress),
            alarm: Alarm::default(),
            timeout,
            total,
        }
    }
}

impl<T, F: Future<Output = T>> Future for Driven<F> {
    /// What the future gives, with the timer for its reader; or the limit that was reached.
    type Output = Result<(T, Alarm), HttpErrorKind>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = {
            let _entered = Entered::new(&mut this.progress);
            this.inner.as_mut().poll(cx)
        };
        if let Poll::Ready(value) = polled {
            return Poll::Ready(Ok((value, std::mem::take(&mut this.alarm))));
        }
        let Some(progress) = &this.progress else {
            return Poll::Pending;
        };
        loop {
            let phase = progress.deadline(&this.timeout);
            let total = this.total.map(|at| (at, HttpErrorKind::TotalTimeout));
            let Some((deadline, kind)) = earlier(phase, total) else {
                return Poll::Pending;
            };
            // Another task may end the body meanwhile, and nobody wakes this one for it: so the
            // timer rings when a read that begins now could be over, and is set anew then.
            let mut ring = deadline;
            if progress.is_writing()
                && let Some(read) = this.timeout.read
            {
                ring = ring.min(Instant::now() + read);
            }
            if this.alarm.poll(cx, ring).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                // What was done meanwhile by another task moves it.
                let phase = progress.deadline(&this.timeout);
                if earlier(phase, total).is_some_and(|(deadline, _)| Instant::now() >= deadline) {
                    return Poll::Ready(Err(kind));
                }
            }
        }
    }
}

fn earlier(
    one: Option<(Instant, HttpErrorKind)>,
    other: Option<(Instant, HttpErrorKind)>,
) -> Option<(Instant, HttpErrorKind)> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Goes around reqwest's connector.
#[derive(Clone, Debug)]
pub(crate) struct Watching;

impl<S> Layer<S> for Watching {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

/// A connector that says when it begins and ends, and that ends in time.
#[derive(Clone, Debug)]
pub(crate) struct Watched<S>(S);

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Error = Box<dyn Error + Send + Sync>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Connecting<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let progress = CURRENT.with_borrow(Clone::clone);
        if let Some(progress) = &progress {
            progress.enter(Phase::Connecting);
        }
        let limit = progress.as_ref().and_then(|progress| progress.connect);
        Connecting {
            inner: Box::pin(self.0.call(request)),
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
            alarm: Alarm::default(),
            progress,
        }
    }
}

/// A connection that is being made.
pub(crate) struct Connecting<F> {
    inner: Pin<Box<F>>,
    deadline: Option<Instant>,
    alarm: Alarm,
    progress: Option<Arc<Progress>>,
}

impl<T, F> Future for Connecting<F>
where
    F: Future<Output = Result<T, Box<dyn Error + Send + Sync>>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(progress) = &this.progress {
            let is_own = CURRENT.with_borrow(|current| {
                let current = current.as_ref();
                current.is_some_and(|current| Arc::ptr_eq(current, progress))
            });
            if !is_own {
                // The request has got another connection that became free, and this one is made
                // for later, in a task of hyper's.
                progress.enter(first(progress.uploads));
                this.progress = None;
            }
        }
        if let Poll::Ready(result) = this.inner.as_mut().poll(cx) {
            if let (Ok(_), Some(progress)) = (&result, &this.progress) {
                progress.state.lock().connected = true;
                progress.enter(first(progress.uploads));
            }
            return Poll::Ready(result);
        }
        match this.deadline {
            Some(deadline) if this.alarm.poll(cx, deadline).is_ready() => {
                Poll::Ready(Err(Box::new(ConnectTimeout)))
            }
            _ => Poll::Pending,
        }
    }
}

/// What a connector ends with that took too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl Error for ConnectTimeout {}
