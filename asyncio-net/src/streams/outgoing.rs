//! What is written and not taken yet, and the end of a connection.

#[cfg(unix)]
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_core::{Exception, FutureExt, Result, RuntimeError, ValueError};
use tokio::io::AsyncWrite;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::buffer::Buffer;
use super::ends::{HIGH_WATER, ReadEnd, WriteEnd};
use super::reader::StreamReader;
use super::source::Source;
use super::writer::StreamWriter;
use crate::exceptions::{connection_lost, io_error, io_exception};
use crate::protocols::Protocol;
use crate::server::Attachment;
use crate::transports::{Addresses, ExtraInfo};
use crate::waiters::{HasWaiters, Waiters, Woken, lock};

/// The side of a connection that is written to. All handles of a writer share it, and so does the task
/// that writes what the socket did not take, while there is one.
pub(crate) struct Outgoing {
    pub(crate) state: Mutex<State>,
    /// The other direction, where there is one.
    pub(crate) reader: Option<StreamReader>,
    runtime: Handle,
    addresses: Addresses,
}

pub(crate) struct State {
    end: Option<WriteEnd>,
    pub(crate) buffer: Buffer,
    pub(crate) high: usize,
    pub(crate) low: usize,
    /// More is kept than the high-water mark, and has not been less than the low one since.
    pub(crate) paused: bool,
    pub(crate) closing: bool,
    eof: bool,
    eof_told: bool,
    /// A task writes what is kept.
    pub(crate) flushing: bool,
    flusher: Option<Waker>,
    /// Somebody waits until nothing is kept.
    pub(crate) flush_wanted: bool,
    /// Somebody wants to know when it is paused.
    pub(crate) pause_wanted: bool,
    /// The protocol to be called from now on, in a box of its own because most connections have none.
    next_protocol: Option<Box<Box<dyn Protocol>>>,
    /// Closed when all was written: the other side is to have it.
    in_order: bool,
    /// A file is being sent, by the operating system: nobody else may write.
    pub(crate) sending: bool,
    /// A protocol wants no data for now.
    reading_paused: bool,
    /// The connection is lost, by an error or by being closed.
    pub(crate) lost: Option<Option<Exception>>,
    /// A mistake of the program that nobody has been told of.
    pub(crate) misuse: Option<RuntimeError>,
    waiters: Waiters,
    attachment: Option<Attachment>,
}

/// What is left to do for a connection that is lost, once nothing is locked.
#[must_use]
struct Loss {
    end: Option<WriteEnd>,
    exception: Option<Exception>,
    woken: Woken,
    attachment: Option<Attachment>,
}

/// How far writing what is kept has come.
enum Advance {
    Waiting,
    Done,
    Lost(Option<Loss>),
}

/// The two handles of a new connection.
pub(crate) fn connect(
    read: ReadEnd,
    write: WriteEnd,
    addresses: Addresses,
    limit: usize,
) -> Result<(StreamReader, StreamWriter)> {
    let reader = StreamReader::with_limit(limit)?;
    let outgoing = Outgoing::new(write, Some(reader.clone()), addresses)?;
    reader.set_source(Source::new(read, Arc::downgrade(&outgoing)));
    Ok((reader, StreamWriter::of(outgoing)))
}

/// The runtime whose reactor tells of sockets.
pub(crate) fn runtime() -> Result<Handle, RuntimeError> {
    Handle::try_current().map_err(|_| RuntimeError::new("no running event loop"))
}

impl Outgoing {
    pub(crate) fn new(
        end: WriteEnd,
        reader: Option<StreamReader>,
        addresses: Addresses,
    ) -> Result<Arc<Self>> {
        let runtime = runtime()?;
        Ok(Arc::new(Self {
            state: Mutex::new(State {
                high: end.high_water(),
                low: end.high_water() / 4,
                end: Some(end),
                buffer: Buffer::default(),
                paused: false,
                closing: false,
                eof: false,
                eof_told: false,
                flushing: false,
                flusher: None,
                flush_wanted: false,
                pause_wanted: false,
                next_protocol: None,
                in_order: false,
                sending: false,
                reading_paused: false,
                lost: None,
                misuse: None,
                waiters: Waiters::default(),
                attachment: None,
            }),
            reader,
            runtime,
            addresses,
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn attach(&self, attachment: Attachment) {
        let mut state = self.lock();
        if state.lost.is_none() {
            state.attachment = Some(attachment);
            return;
        }
        drop(state);
        drop(attachment);
    }

    pub(crate) const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub(crate) fn extra_info(self: &Arc<Self>) -> ExtraInfo {
        ExtraInfo::of(Arc::clone(self))
    }

    /// Looks at the end, while there is one.
    pub(crate) fn with_end<R>(&self, look: impl FnOnce(&WriteEnd) -> R) -> Option<R> {
        self.lock().end.as_ref().map(look)
    }

    /// Ends the connection, at once.
    pub(crate) fn lose(&self, exception: Option<Exception>) {
        let loss = self.lock().lose(exception);
        self.finish(loss);
    }

    fn finish(&self, loss: Option<Loss>) {
        let Some(loss) = loss else { return };
        let more_may_come = self.more_may_come();
        if let Some(reader) = &self.reader {
            drop(reader.take_source());
            match loss.exception {
                None => reader.feed_eof(),
                Some(exception) => {
                    if reader.exception().is_none() {
                        reader.set_exception(exception);
                    }
                }
            }
        }
        if let Some(end) = loss.end {
            if more_may_come && self.lock().in_order {
                end.let_go(Some(&self.runtime));
            } else {
                end.forget();
            }
        }
        loss.woken.wake();
        drop(loss.attachment);
    }

    /// Whether the other side has not ended, as far as is known.
    fn more_may_come(&self) -> bool {
        self.reader
            .as_ref()
            .is_some_and(|reader| !reader.has_ended())
    }

    fn spawn_flusher(self: &Arc<Self>) {
        drop(self.runtime.spawn(Flush {
            outgoing: Arc::clone(self),
            deadline: None,
        }));
    }

    /// Whether a protocol is to be given data.
    pub(crate) fn set_reading(&self, on: bool) {
        let woken = {
            let mut state = self.lock();
            state.reading_paused = !on;
            state.waiters.take()
        };
        woken.wake();
    }

    /// Has another protocol called from now on, if the connection is not lost.
    pub(crate) fn set_protocol(&self, protocol: Box<dyn Protocol>) {
        let mut protocol = Some(Box::new(protocol));
        {
            let mut state = self.lock();
            if state.lost.is_none() {
                std::mem::swap(&mut state.next_protocol, &mut protocol);
            }
        }
        drop(protocol);
    }

    pub(crate) fn take_protocol(&self) -> Option<Box<dyn Protocol>> {
        self.lock().next_protocol.take().map(|protocol| *protocol)
    }

    /// Has the operating system send a piece of a file; how much it took.
    #[cfg(unix)]
    pub(crate) async fn sendfile(&self, file: &File, offset: u64, count: usize) -> Result<usize> {
        let sending = poll_fn(|cx| {
            let state = self.lock();
            if let Some(lost) = &state.lost {
                return Poll::Ready(Err(lost.clone().unwrap_or_else(connection_lost)));
            }
            let Some(end) = &state.end else {
                return Poll::Ready(Err(connection_lost()));
            };
            end.poll_sendfile(cx, file, offset, count)
                .map_err(io_exception)
        });
        sending.cancellable().await?
    }

    /// By tokio's trait: whether the state is as wanted.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut State) -> bool,
    ) -> Poll<io::Result<()>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(lost) = &state.lost {
            let error = lost.clone().unwrap_or_else(connection_lost);
            return Poll::Ready(Err(io_error(&error)));
        }
        if look(&mut state) {
            return Poll::Ready(Ok(()));
        }
        state.waiters.add_waker(waker);
        Poll::Pending
    }

    /// Takes the end out, to put another in its place.
    #[cfg(feature = "tls")]
    pub(crate) fn take_end(&self) -> Option<WriteEnd> {
        let mut state = self.lock();
        if state.closing || state.eof {
            return None;
        }
        state.end.take()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn put_end(&self, end: WriteEnd) {
        let mut state = self.lock();
        if state.lost.is_none() {
            state.high = end.high_water();
            state.low = state.high / 4;
            state.end = Some(end);
        }
    }
}

impl Drop for Outgoing {
    /// The last handle is gone, with nothing kept: the other side is told that there is no more.
    fn drop(&mut self) {
        let state = self
            .state
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let eof_told = state.eof_told;
        let Some(mut end) = state.end.take_if(|end| end.says_goodbye() && !eof_told) else {
            return;
        };
        let timeout = end.shutdown_timeout();
        let mut context = Context::from_waker(Waker::noop());
        if Pin::new(&mut end).poll_shutdown(&mut context).is_pending() {
            drop(
                self.runtime
                    .spawn(tokio::time::timeout(timeout, async move {
                        poll_fn(|cx| Pin::new(&mut end).poll_shutdown(cx)).await
                    })),
            );
        }
    }
}

/// See [`StreamWriter::write`].
pub(super) fn write(this: &Arc<Outgoing>, mut data: &[u8]) {
    let (loss, start, woken) = {
        let mut state = this.lock();
        if state.eof {
            let error = RuntimeError::new("Cannot call write() after write_eof()");
            state.misuse.get_or_insert(error);
            return;
        }
        if state.sending {
            let error = RuntimeError::new("unable to write; sendfile is in progress");
            state.misuse.get_or_insert(error);
            return;
        }
        if state.closing || data.is_empty() {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let loss = if state.flushing {
            Ok(())
        } else {
            state.write_now(&mut context, &mut data)
        };
        match loss {
            Err(loss) => (loss, false, Woken::default()),
            Ok(()) => {
                let woken = state.keep(data);
                let start = !state.flushing && (!state.buffer.is_empty() || state.is_unflushed());
                state.flushing |= start;
                (None, start, woken)
            }
        }
    };
    this.finish(loss);
    woken.wake();
    if start {
        this.spawn_flusher();
    }
}

/// See [`StreamWriter::write_eof`].
pub(super) fn write_eof(this: &Arc<Outgoing>) -> Result<()> {
    let (start, loss) = {
        let mut state = this.lock();
        if state.closing || state.eof {
            return Ok(());
        }
        if !state.can_write_eof() {
            return Err(RuntimeError::new("the stream cannot close one direction alone").into());
        }
        // A pipe has one direction only.
        let pipe = state.end.as_ref().is_some_and(WriteEnd::is_pipe);
        state.closing |= pipe;
        state.eof = !pipe;
        state.start_advancing()
    };
    this.finish(loss);
    if start {
        this.spawn_flusher();
    }
    Ok(())
}

/// See [`StreamWriter::close`].
pub(super) fn close(this: &Arc<Outgoing>) {
    let (start, loss) = {
        let mut state = this.lock();
        if state.closing {
            return;
        }
        state.closing = true;
        state.start_advancing()
    };
    // Nothing is read any more, and who waits hears of the end when all is written.
    if let Some(reader) = &this.reader {
        drop(reader.take_source());
    }
    this.finish(loss);
    if start {
        this.spawn_flusher();
    }
}

impl State {
    pub(crate) fn can_write_eof(&self) -> bool {
        self.end.as_ref().is_some_and(WriteEnd::can_write_eof)
    }

    /// Whether the operating system can send files over it; nobody else may write then.
    #[cfg(unix)]
    pub(crate) fn begin_sendfile(&mut self) -> Result<bool, RuntimeError> {
        if self.sending {
            return Err(RuntimeError::new("another sendfile is in progress"));
        }
        self.sending = self.end.as_ref().is_some_and(WriteEnd::sends_files);
        Ok(self.sending)
    }

    pub(crate) const fn is_reading(&self) -> bool {
        !self.reading_paused && !self.closing
    }

    pub(crate) fn set_limits(
        &mut self,
        high: Option<usize>,
        low: Option<usize>,
    ) -> Result<Woken, ValueError> {
        let high = high.unwrap_or_else(|| low.map_or(HIGH_WATER, |low| low.saturating_mul(4)));
        let low = low.unwrap_or(high / 4);
        if low > high {
            return Err(ValueError::new(format!(
                "high ({high}) must be >= low ({low}) must be >= 0"
            )));
        }
        (self.high, self.low) = (high, low);
        let before = self.paused;
        self.paused |= self.buffer.len() > high;
        Ok(if self.paused != before && self.pause_wanted {
            self.waiters.take()
        } else {
            Woken::default()
        })
    }

    /// Gives the socket what it takes at once.
    fn write_now(&mut self, cx: &mut Context<'_>, data: &mut &[u8]) -> Result<(), Option<Loss>> {
        let Some(end) = &mut self.end else {
            return Ok(());
        };
        while !data.is_empty() {
            match Pin::new(&mut *end).poll_write(cx, data) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => {
                    return Err(self.lose(Some(io_exception(io::ErrorKind::WriteZero.into()))));
                }
                Poll::Ready(Ok(count)) => *data = &data[count..],
                Poll::Ready(Err(error)) => return Err(self.lose(Some(io_exception(error)))),
            }
        }
        Ok(())
    }

    /// Keeps what the socket did not take.
    fn keep(&mut self, data: &[u8]) -> Woken {
        if data.is_empty() {
            return Woken::default();
        }
        self.buffer.extend(data);
        let paused = self.buffer.len() > self.high && !self.paused;
        self.paused |= paused;
        if paused && self.pause_wanted {
            return self.waiters.take();
        }
        Woken::default()
    }

    /// Whether something was given to the end that it may not have passed on.
    fn is_unflushed(&mut self) -> bool {
        let Some(end) = self.end.as_mut().filter(|end| end.is_buffered()) else {
            return false;
        };
        let mut context = Context::from_waker(Waker::noop());
        // An error is found again by the flusher.
        !matches!(Pin::new(end).poll_flush(&mut context), Poll::Ready(Ok(())))
    }

    /// Goes as far as it can at once; whether a flusher is to be started for the rest.
    fn start_advancing(&mut self) -> (bool, Option<Loss>) {
        if self.flushing {
            if let Some(flusher) = self.flusher.take() {
                flusher.wake();
            }
            return (false, None);
        }
        let mut context = Context::from_waker(Waker::noop());
        match self.advance(&mut context) {
            Advance::Waiting => {
                self.flushing = true;
                (true, None)
            }
            Advance::Done => (false, None),
            Advance::Lost(loss) => (false, loss),
        }
    }

    /// Writes what is kept, and then does what is to be done after it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Advance {
        loop {
            let Some(end) = &mut self.end else {
                return Advance::Done;
            };
            let end = Pin::new(end);
            let polled = if !self.buffer.is_empty() {
                match end.poll_write(cx, self.buffer.as_slice()) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        self.buffer.skip(count);
                        continue;
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            } else if (self.eof || self.closing && end.says_goodbye()) && !self.eof_told {
                let told = end.poll_shutdown(cx);
                if let Poll::Ready(told) = told {
                    self.eof_told = true;
                    // The other side may be gone already, which is no error of a close.
                    if self.closing || told.is_ok() {
                        continue;
                    }
                    Poll::Ready(told)
                } else {
                    Poll::Pending
                }
            } else if self.closing {
                self.in_order = true;
                return Advance::Lost(self.lose(None));
            } else {
                end.poll_flush(cx)
            };
            return match polled {
                Poll::Pending => Advance::Waiting,
                Poll::Ready(Ok(())) => Advance::Done,
                Poll::Ready(Err(error)) => Advance::Lost(self.lose(Some(io_exception(error)))),
            };
        }
    }

    /// Ends the connection; `None` where it had ended.
    fn lose(&mut self, exception: Option<Exception>) -> Option<Loss> {
        if self.lost.is_some() {
            return None;
        }
        self.lost = Some(exception.clone());
        self.closing = true;
        self.paused = false;
        self.flushing = false;
        self.buffer = Buffer::default();
        if let Some(flusher) = self.flusher.take() {
            // tokio's own: it schedules, and calls nobody.
            flusher.wake();
        }
        Some(Loss {
            end: self.end.take(),
            exception,
            woken: self.waiters.take(),
            attachment: self.attachment.take(),
        })
    }
}

impl HasWaiters for State {
    fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }
}

/// The task that writes what the socket did not take.
struct Flush {
    outgoing: Arc<Outgoing>,
    /// When a close has lasted too long.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Future for Flush {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let (polled, loss, woken) = {
            let mut state = this.outgoing.lock();
            if !state.flushing {
                return Poll::Ready(());
            }
            match state.advance(cx) {
                Advance::Waiting => {
                    state.flusher = Some(cx.waker().clone());
                    if this.deadline.is_none()
                        && let Some(timeout) = state.must_close_in()
                    {
                        this.deadline = Some(Box::pin(tokio::time::sleep(timeout)));
                    }
                    (Poll::Pending, None, state.resumed())
                }
                Advance::Done => {
                    state.flushing = false;
                    state.flusher = None;
                    state.buffer.release();
                    (Poll::Ready(()), None, state.resumed())
                }
                Advance::Lost(loss) => (Poll::Ready(()), loss, Woken::default()),
            }
        };
        this.outgoing.finish(loss);
        woken.wake();
        if polled.is_pending()
            && let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let message = "the shutdown of TLS timed out";
            let error = io::Error::new(io::ErrorKind::TimedOut, message);
            this.outgoing.lose(Some(io_exception(error)));
            return Poll::Ready(());
        }
        polled
    }
}

impl State {
    fn must_close_in(&self) -> Option<Duration> {
        let end = self.end.as_ref().filter(|end| end.says_goodbye())?;
        self.closing.then(|| end.shutdown_timeout())
    }

    /// Those who wait, if what they wait for may have come.
    fn resumed(&mut self) -> Woken {
        let flushed = !self.flushing && std::mem::take(&mut self.flush_wanted);
        let resumed = self.paused && self.buffer.len() <= self.low;
        if resumed {
            self.paused = false;
        }
        if resumed || flushed {
            self.waiters.take()
        } else {
            Woken::default()
        }
    }
}
