//! `StreamReader` (`asyncio/streams.py`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use asyncio_core::waiting::{Mutex, MutexGuard, Waiter, Wakeup};
use asyncio_core::{Exception, Result, RuntimeError, ValueError};

use super::buffer::Buffer;
use super::source::{Ended, Filled, Source};
use crate::exceptions::{IncompleteReadError, LimitOverrunError};

/// The end of a stream that bytes are read from (`asyncio.StreamReader`).
///
/// Of a connection it reads what comes from the socket, whenever a task waits for it: nothing is read
/// ahead, and no task runs for it. Or whoever has the bytes feeds them in. One task at a time reads
/// them, and they stay in the reader until a read returns them.
///
/// A clone is the same reader. It is also tokio's [`AsyncRead`](tokio::io::AsyncRead), and
/// [`lines`](Self::lines) is a stream.
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_net::StreamReader;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let reader = StreamReader::new();
///     let feeder = reader.clone();
///     create_task(async move {
///         feeder.feed_data(b"first line\nand a ")?;
///         feeder.feed_data(b"second")?;
///         feeder.feed_eof();
///         Ok(())
///     });
///     assert_eq!(reader.readline().await?, b"first line\n");
///     assert_eq!(reader.read(-1).await?, b"and a second");
///     assert!(reader.at_eof());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct StreamReader {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffer: Buffer,
    eof: bool,
    exception: Option<Exception>,
    /// Who waits for more to come.
    waiter: Option<(u64, Wakeup)>,
    /// Who was woken and has not gone on yet, with what was fed to it instead of data.
    woken: Vec<(u64, Option<Exception>)>,
    last_wait: u64,
    /// Counts what was fed, so that a reader sees whether something came before it waits.
    fed: u64,
    /// Where more comes from, if from anywhere but `feed_data`.
    source: Option<Source>,
    /// Who polls for more by tokio's trait.
    poller: Option<Waker>,
    /// How often the source had something at once, since a task has waited for it.
    at_once: u32,
}

/// What is found in the buffer, or the number of times that something had been fed to it by then.
enum Look<T> {
    Found(T),
    Wait(u64),
}

/// As in Python: 64 KiB.
pub(crate) const DEFAULT_LIMIT: usize = 1 << 16;

/// So often a reader may have more at once before others have a turn. (The loop is excluded from
/// tokio's own budget.)
const AT_ONCE: u32 = 64;

impl StreamReader {
    /// A reader whose limit is 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::of(DEFAULT_LIMIT)
    }

    /// A reader that gives up the search for a separator after so many bytes.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the limit is zero.
    pub fn with_limit(limit: usize) -> Result<Self, ValueError> {
        if limit == 0 {
            return Err(ValueError::new("the limit cannot be zero"));
        }
        Ok(Self::of(limit))
    }

    fn of(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit,
                state: Mutex::default(),
            }),
        }
    }

    /// Has it read from this from now on.
    pub(crate) fn set_source(&self, source: Source) {
        let (before, woken) = {
            let mut state = self.state();
            (state.source.replace(source), state.wake(None))
        };
        drop(before);
        // Who waits goes on, and reads from it.
        wake(woken);
    }

    /// Has it read no more; who waits goes on waiting, for what is fed.
    pub(crate) fn take_source(&self) -> Option<Source> {
        self.state().source.take()
    }

    /// Whether the end has come, or an error.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.state();
        state.eof || state.exception.is_some()
    }

    /// All that was read already.
    #[cfg(feature = "tls")]
    pub(crate) fn take_buffered(&self) -> Vec<u8> {
        self.state().buffer.take_all()
    }

    /// Polls for more, by tokio's trait; `None` once there is an end.
    pub(super) fn poll_bytes<R>(
        &self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut Buffer) -> R,
    ) -> Poll<Result<Option<R>>> {
        loop {
            let ended = {
                let mut state = self.state();
                if !state.buffer.is_empty() {
                    return Poll::Ready(Ok(Some(look(&mut state.buffer))));
                }
                if let Some(exception) = &state.exception {
                    return Poll::Ready(Err(exception.clone()));
                }
                if state.eof {
                    return Poll::Ready(Ok(None));
                }
                match state.poll_fill(cx) {
                    Poll::Ready(ended) => ended,
                    Poll::Pending => {
                        // tokio's own waker, or a task's: neither runs a user's code when dropped.
                        state.poller = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            if let Some(ended) = ended {
                ended.tell();
            }
        }
    }

    // -- the side that feeds ----------------------------------------------

    /// Adds bytes; a reader that waits is woken, unless there are none.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] after [`feed_eof`](Self::feed_eof).
    pub fn feed_data(&self, data: &[u8]) -> Result<(), RuntimeError> {
        let woken = {
            let mut state = self.state();
            if state.eof {
                return Err(RuntimeError::new("feed_data after feed_eof"));
            }
            if data.is_empty() {
                return Ok(());
            }
            state.buffer.extend(data);
            state.wake(None)
        };
        wake(woken);
        Ok(())
    }

    /// Says that nothing more will come; a reader that waits is woken.
    pub fn feed_eof(&self) {
        let woken = {
            let mut state = self.state();
            state.eof = true;
            state.wake(None)
        };
        wake(woken);
    }

    /// Has this read and all later ones fail.
    pub fn set_exception(&self, exception: impl Into<Exception>) {
        let exception = exception.into();
        let (before, woken) = {
            let mut state = self.state();
            let before = state.exception.replace(exception.clone());
            (before, state.wake(Some(exception)))
        };
        drop(before);
        wake(woken);
    }

    /// What [`set_exception`](Self::set_exception) has set.
    #[must_use]
    pub fn exception(&self) -> Option<Exception> {
        self.state().exception.clone()
    }

    /// Whether the end was fed and everything before it has been read.
    #[must_use]
    pub fn at_eof(&self) -> bool {
        let state = self.state();
        state.eof && state.buffer.is_empty()
    }

    // -- the side that reads ----------------------------------------------

    /// Reads up to `n` bytes: what is there, or what comes next. With -1 (or less) it reads until the
    /// end. At the end it returns nothing.
    ///
    /// # Errors
    ///
    /// What [`set_exception`](Self::set_exception) has set;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled; [`RuntimeError`] when
    /// another task waits for bytes of this reader.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped, unless it reads until the end: what it has
    /// collected by then is lost, as in Python. Read with a number of bytes in a loop where that
    /// matters.
    pub async fn read(&self, n: isize) -> Result<Vec<u8>> {
        let Ok(n) = usize::try_from(n) else {
            return self.read_to_end().await;
        };
        self.read_some(n).await
    }

    /// Reads exactly `n` bytes.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when `n` is negative; [`IncompleteReadError`] with what there was when the end
    /// comes too early; otherwise as of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn readexactly(&self, n: isize) -> Result<Vec<u8>> {
        let Ok(n) = usize::try_from(n) else {
            return Err(ValueError::new("readexactly size can not be less than zero").into());
        };
        self.check_exception()?;
        self.until(|_, state| {
            if n <= state.buffer.len() {
                return Ok(Some(state.buffer.take(n)));
            }
            if state.eof {
                return Err(IncompleteReadError::new(state.buffer.take_all(), Some(n)).into());
            }
            Ok(None)
        })
        .await
    }

    /// Reads a line with its newline, or what is left at the end, or nothing.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the line is longer than the limit: it is dropped then, or, if its newline
    /// has not come yet, everything that was there. Otherwise as of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn readline(&self) -> Result<Vec<u8>> {
        if let Some(line) = self.line_nowait() {
            return Ok(line);
        }
        let error = match self.readuntil(b"\n").await {
            Ok(line) => return Ok(line),
            Err(error) => error,
        };
        if let Some(incomplete) = error.downcast_ref::<IncompleteReadError>() {
            return Ok(incomplete.partial().to_vec());
        }
        let Some(overrun) = error.downcast_ref::<LimitOverrunError>() else {
            return Err(error);
        };
        let mut state = self.state();
        if state.buffer.as_slice().get(overrun.consumed()) == Some(&b'\n') {
            state.buffer.skip(overrun.consumed() + 1);
        } else {
            state.buffer.clear();
        }
        drop(state);
        Err(ValueError::new(overrun.to_string()).into())
    }

    /// The next line, or `None` when there are no more (`async for line in reader`).
    ///
    /// # Errors
    ///
    /// As of [`readline`](Self::readline).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn next_line(&self) -> Result<Option<Vec<u8>>> {
        let line = self.readline().await?;
        Ok((!line.is_empty()).then_some(line))
    }

    /// Reads up to and with a separator.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the separator is empty; [`LimitOverrunError`] when there are more bytes than
    /// the limit before it, which are left in the reader; [`IncompleteReadError`] with what there was
    /// when the end comes first; otherwise as of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn readuntil(&self, separator: &[u8]) -> Result<Vec<u8>> {
        self.readuntil_any(&[separator]).await
    }

    /// Reads up to and with any of these separators: the shortest piece that ends with one
    /// (`readuntil` of a tuple).
    ///
    /// # Errors
    ///
    /// [`ValueError`] also when there are no separators; otherwise as of
    /// [`readuntil`](Self::readuntil).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn readuntil_any(&self, separators: &[&[u8]]) -> Result<Vec<u8>> {
        let shortest = separators.iter().map(|separator| separator.len()).min();
        let longest = separators.iter().map(|separator| separator.len()).max();
        let (Some(shortest), Some(longest)) = (shortest, longest) else {
            return Err(ValueError::new("there should be at least one separator").into());
        };
        if shortest == 0 {
            return Err(ValueError::new("a separator should have at least one byte").into());
        }
        self.check_exception()?;
        // No separator begins before this place.
        let mut offset = 0;
        self.until(|limit, state| {
            let length = state.buffer.len();
            if length.saturating_sub(offset) >= shortest {
                if let Some((start, end)) = find(state.buffer.as_slice(), separators, offset) {
                    if start > limit {
                        let message = "separator is found, but chunk is longer than limit";
                        return Err(LimitOverrunError::new(message, start).into());
                    }
                    return Ok(Some(state.buffer.take(end)));
                }
                // The last bytes may be the beginning of the longest one.
                offset = (length + 1).saturating_sub(longest);
                if offset > limit {
                    let message = "separator is not found, and chunk exceed the limit";
                    return Err(LimitOverrunError::new(message, offset).into());
                }
            }
            // The last piece may have brought the separator: the end is looked at after it.
            if state.eof {
                return Err(IncompleteReadError::new(state.buffer.take_all(), None).into());
            }
            Ok(None)
        })
        .await
    }

    /// The next line, if all of it is there already.
    pub(super) fn line_nowait(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        if state.exception.is_some() {
            return None;
        }
        let end = memchr::memchr(b'\n', state.buffer.as_slice())?;
        // What is too long is for `readline` to complain of.
        (end <= self.shared.limit).then(|| state.buffer.take(end + 1))
    }

    async fn read_to_end(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let block = self.read_some(self.shared.limit).await?;
            if block.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&block);
        }
    }

    async fn read_some(&self, n: usize) -> Result<Vec<u8>> {
        self.check_exception()?;
        if n == 0 {
            return Ok(Vec::new());
        }
        let mut waited = false;
        self.until(|_, state| {
            // Woken by who feeds it, it returns what there is, be it nothing.
            let fed = waited && state.source.is_none();
            let ready = fed || state.eof || !state.buffer.is_empty();
            waited = true;
            Ok(ready.then(|| state.buffer.take(n)))
        })
        .await
    }

    fn check_exception(&self) -> Result<()> {
        match self.exception() {
            Some(exception) => Err(exception),
            None => Ok(()),
        }
    }

    /// Looks at what was fed until it is enough.
    async fn until<T>(
        &self,
        mut look: impl FnMut(usize, &mut State) -> Result<Option<T>>,
    ) -> Result<T> {
        loop {
            let found = {
                let mut state = self.state();
                match look(self.shared.limit, &mut state)? {
                    Some(found) => Look::Found(found),
                    None => Look::Wait(state.fed),
                }
            };
            match found {
                Look::Found(found) => return Ok(found),
                Look::Wait(seen) => WaitForData::new(&self.shared, seen).await?,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Default for StreamReader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.write_str("<StreamReader")?;
        if !state.buffer.is_empty() {
            write!(f, " {} bytes", state.buffer.len())?;
        }
        if state.eof {
            f.write_str(" eof")?;
        }
        if self.shared.limit != DEFAULT_LIMIT {
            write!(f, " limit={}", self.shared.limit)?;
        }
        if state.waiter.is_some() {
            f.write_str(" waiter")?;
        }
        let exception = state.exception.clone();
        // An exception shows itself in its own way, which may be by way of this reader.
        drop(state);
        if let Some(exception) = exception {
            write!(f, " exception={exception:?}")?;
        }
        f.write_str(">")
    }
}

impl Shared {
    /// The state; a panic while it was locked left it complete, for nothing of a user's runs then. A
    /// socket is read under it, which takes a moment, but nobody else wants it then: one task reads.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Has who waits go on, with an error if one is given; to be woken when nothing is locked.
    #[must_use]
    fn wake(&mut self, exception: Option<Exception>) -> Option<Wakeup> {
        self.fed += 1;
        if let Some(poller) = self.poller.take() {
            // tokio's own, or a task's: it schedules, and calls nobody.
            poller.wake();
        }
        let (wait, wakeup) = self.waiter.take()?;
        self.woken.push((wait, exception));
        Some(wakeup)
    }

    /// Whether the source may be read before the task has waited. Counts.
    const fn may_be_read(&mut self) -> bool {
        if self.source.is_none() {
            return true;
        }
        if self.at_once < AT_ONCE {
            self.at_once += 1;
            return true;
        }
        self.at_once = 0;
        false
    }

    /// Reads once from where more comes from; what the source ended with, if it did.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        let Some(source) = &mut self.source else {
            return Poll::Pending;
        };
        let Poll::Ready(filled) = source.poll_fill(cx, &mut self.buffer) else {
            self.at_once = 0;
            return Poll::Pending;
        };
        self.fed += 1;
        Poll::Ready(match filled {
            Filled::More => None,
            Filled::End => {
                self.eof = true;
                self.source = None;
                None
            }
            Filled::Failed(error) => {
                self.exception = Some(error.clone());
                self.source.take().map(|source| source.ended(error))
            }
        })
    }

    /// What a wait was woken with, if it was.
    fn take_woken(&mut self, wait: u64) -> Option<Option<Exception>> {
        let at = self.woken.iter().position(|(woken, _)| *woken == wait)?;
        Some(self.woken.swap_remove(at).1)
    }
}

fn wake(woken: Option<Wakeup>) {
    if let Some(wakeup) = woken {
        wakeup.wake();
    }
}

/// Where the first of the separators to end begins and ends; of those that end together, the shortest.
fn find(buffer: &[u8], separators: &[&[u8]], offset: usize) -> Option<(usize, usize)> {
    let mut found: Option<(usize, usize)> = None;
    for separator in separators {
        // What ends later than the best so far is of no use.
        let end = found.map_or(buffer.len(), |(_, end)| end);
        if let Some(at) = position(&buffer[offset..end], separator) {
            let (start, end) = (offset + at, offset + at + separator.len());
            if found.is_none_or(|best| (end, separator.len()) < (best.1, best.1 - best.0)) {
                found = Some((start, end));
            }
        }
    }
    found
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => memchr::memchr(*byte, haystack),
        _ => memchr::memmem::find(haystack, needle),
    }
}

/// Waits until something is fed, or comes from the source (`_wait_for_data`).
struct WaitForData<'a> {
    shared: &'a Shared,
    /// How often something had been fed when the reader looked.
    seen: u64,
    waiter: Waiter,
    wait: Option<u64>,
}

impl<'a> WaitForData<'a> {
    const fn new(shared: &'a Shared, seen: u64) -> Self {
        Self {
            shared,
            seen,
            waiter: Waiter::new(),
            wait: None,
        }
    }

    fn start(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.shared.lock().waiter.is_some() {
            let error = "read called while another coroutine is already waiting for incoming data";
            return Poll::Ready(Err(RuntimeError::new(error).into()));
        }
        let may_be_read = self.shared.lock().may_be_read();
        if may_be_read && let Poll::Ready(read) = self.poll_source(cx) {
            return Poll::Ready(read);
        }
        // Begun while nothing is locked, for it may clone somebody else's waker.
        let wakeup = self.waiter.begin(cx);
        let mut state = self.shared.lock();
        if state.fed != self.seen || state.waiter.is_some() {
            // From another thread, just now.
            let exception = state.exception.clone();
            drop(state);
            self.waiter.give_up();
            return Poll::Ready(exception.map_or(Ok(()), Err));
        }
        state.last_wait += 1;
        self.wait = Some(state.last_wait);
        state.waiter = Some((state.last_wait, wakeup));
        // One that had more at once too often has its turn again after the others.
        let woken = if may_be_read { None } else { state.wake(None) };
        state.buffer.release();
        drop(state);
        wake(woken);
        Poll::Pending
    }

    /// Reads from where more comes from, if that is anywhere.
    fn poll_source(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.shared.lock();
        let ended = ready!(state.poll_fill(cx));
        drop(state);
        let Some(ended) = ended else {
            return Poll::Ready(Ok(()));
        };
        Poll::Ready(Err(ended.tell()))
    }

    /// The wait was woken, or is polled elsewhere than where it began and goes on there.
    fn go_on(&mut self, wait: u64, cx: &Context<'_>) -> Poll<Result<()>> {
        if let Some(outcome) = self.shared.lock().take_woken(wait) {
            return Poll::Ready(outcome.map_or(Ok(()), Err));
        }
        let mut waiter = Waiter::new();
        let wakeup = waiter.begin(cx);
        let mut state = self.shared.lock();
        if let Some(outcome) = state.take_woken(wait) {
            return Poll::Ready(outcome.map_or(Ok(()), Err));
        }
        let former = state.waiter.replace((wait, wakeup));
        drop(state);
        drop(former);
        self.waiter = waiter;
        self.wait = Some(wait);
        Poll::Pending
    }

    fn leave(&self, wait: u64) {
        let mut state = self.shared.lock();
        let outcome = state.take_woken(wait);
        let waiter = state.waiter.take_if(|(waiting, _)| *waiting == wait);
        drop(state);
        drop((outcome, waiter));
    }
}

impl Future for WaitForData<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(wait) = this.wait else {
            return this.start(cx);
        };
        let Poll::Ready(woken) = this.waiter.poll(cx) else {
            let read = ready!(this.poll_source(cx));
            this.wait = None;
            this.leave(wait);
            this.waiter.give_up();
            return Poll::Ready(read);
        };
        this.wait = None;
        match woken {
            Ok(()) => this.go_on(wait, cx),
            Err(error) => {
                this.leave(wait);
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl Drop for WaitForData<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.wait {
            self.leave(wait);
        }
    }
}
