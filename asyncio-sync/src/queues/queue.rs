//! `Queue` (`asyncio/queues.py`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use asyncio_core::waiting::Mutex;
use asyncio_core::{CancelledError, Result, ValueError};

use super::adapters::{QueueItems, QueueSink};
use super::items::Items;
use crate::exceptions::{QueueEmpty, QueueFull, QueueShutDown};
use crate::waiters::{End, Request, WaitList, Waiting, Wakes};

/// Items on their way from some tasks to others, first in first out (`asyncio.Queue`).
///
/// It holds at most `maxsize` items, or any number if that is zero or less. [`put`](Self::put) waits
/// for room and [`get`](Self::get) for an item, both first come first served.
/// [`task_done`](Self::task_done) says that an item was dealt with, and [`join`](Self::join) waits until
/// all of them were. After [`shutdown`](Self::shutdown) nothing more is put.
///
/// [`PriorityQueue`](crate::PriorityQueue) and [`LifoQueue`](crate::LifoQueue) are queues in another
/// order: where a `&Queue` is wanted, they will do.
///
/// A clone is the same queue.
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_sync::Queue;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let queue = Queue::new(2);
///     let theirs = queue.clone();
///     create_task(async move {
///         loop {
///             let item: u32 = theirs.get().await?;
///             assert!(item < 5);
///             theirs.task_done()?;
///         }
///         # #[expect(unreachable_code, reason = "names the type")]
///         Ok(())
///     });
///     for item in 0..5 {
///         queue.put(item).await?;
///     }
///     queue.join().await?;
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// It is not bound to an event loop and may be shared between threads. Items are compared
/// ([`PriorityQueue`](crate::PriorityQueue)) while the queue is locked: a comparison must not use the
/// same queue.
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// How it calls itself.
    name: &'static str,
    maxsize: isize,
    state: Mutex<State<T>>,
}

pub(super) struct State<T> {
    items: Items<T>,
    /// How many items fit; none if there is no limit.
    room: Option<usize>,
    getters: WaitList,
    putters: WaitList,
    /// Who waits for `unfinished` to be zero.
    joiners: WaitList,
    unfinished: usize,
    shutdown: bool,
}

impl<T> Queue<T> {
    /// A queue for so many items; zero or less is no limit.
    #[must_use]
    pub fn new(maxsize: isize) -> Self {
        Self::of(
            "Queue",
            maxsize,
            Items::Fifo(std::collections::VecDeque::new()),
        )
    }

    pub(super) fn of(name: &'static str, maxsize: isize, items: Items<T>) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                maxsize,
                state: Mutex::new(State {
                    items,
                    room: usize::try_from(maxsize).ok().filter(|&room| room > 0),
                    getters: WaitList::new(),
                    putters: WaitList::new(),
                    joiners: WaitList::new(),
                    unfinished: 0,
                    shutdown: false,
                }),
            }),
        }
    }

    /// Puts an item into the queue, after having waited for room if need be.
    ///
    /// # Errors
    ///
    /// The future ends with [`QueueShutDown`] when the queue is or gets shut down, and with
    /// [`CancelledError`] when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the item was not put: it is still in the future, which
    /// [`into_item`](Put::into_item) takes apart. Room that it was about to get goes to the next.
    #[inline]
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put {
            waiting: Waiting::new(&self.shared.state, PutRequest { item: Some(item) }),
        }
    }

    /// Puts an item into the queue if there is room.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] when there is no room, [`QueueShutDown`] when the queue is shut down. The item is
    /// dropped then; [`Put::nowait`] keeps it.
    pub fn put_nowait(&self, item: T) -> Result<()> {
        self.put(item).nowait()
    }

    /// Takes the next item out of the queue, after having waited for one if need be.
    ///
    /// # Errors
    ///
    /// The future ends with [`QueueShutDown`] when the queue is empty and is or gets shut down, and
    /// with [`CancelledError`] when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else: an item that
    /// it was woken for stays in the queue, and the next who waits is woken for it.
    #[inline]
    pub fn get(&self) -> Get<'_, T> {
        Get {
            waiting: Waiting::new(&self.shared.state, GetRequest(std::marker::PhantomData)),
        }
    }

    /// Takes the next item out of the queue if there is one.
    ///
    /// # Errors
    ///
    /// [`QueueEmpty`] when there is none, and [`QueueShutDown`] when there will be none.
    pub fn get_nowait(&self) -> Result<T> {
        let mut wakes = Wakes::default();
        let got = {
            let mut state = self.shared.state.lock();
            match state.get(&mut wakes) {
                Some(item) => Ok(item),
                None if state.shutdown => Err(QueueShutDown::new().into()),
                None => Err(QueueEmpty::new().into()),
            }
        };
        wakes.carry_out();
        got
    }

    /// Says that an item, got before, has been dealt with.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when that was said for every item already.
    pub fn task_done(&self) -> Result<(), ValueError> {
        let mut wakes = Wakes::default();
        {
            let mut state = self.shared.state.lock();
            if state.unfinished == 0 {
                return Err(ValueError::new("task_done() called too many times"));
            }
            state.finish(1, &mut wakes);
        }
        wakes.carry_out();
        Ok(())
    }

    /// Waits until [`task_done`](Self::task_done) was called for every item that was put.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped.
    pub async fn join(&self) -> Result<(), CancelledError> {
        Waiting::new(&self.shared.state, Finished(std::marker::PhantomData)).await
    }

    /// Has nothing put any more. Items that are there can still be got, or are dropped if `immediate`;
    /// after that, getting fails too. Who waits to put or get is woken.
    pub fn shutdown(&self, immediate: bool) {
        let mut wakes = Wakes::default();
        let dropped = {
            let mut state = self.shared.state.lock();
            state.shutdown = true;
            // Dropped below, where no lock is held.
            let dropped = immediate.then(|| state.items.take());
            if let Some(items) = &dropped {
                state.finish(items.len(), &mut wakes);
            }
            state.getters.pop_all(&mut wakes);
            state.putters.pop_all(&mut wakes);
            dropped
        };
        wakes.carry_out();
        drop(dropped);
    }

    /// How many items are in the queue.
    ///
    /// On a tokio runtime, or where other threads use the queue, it may be another number by now.
    #[must_use]
    pub fn qsize(&self) -> usize {
        self.shared.state.lock().items.len()
    }

    /// Whether there are no items in the queue.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether there is no room in the queue.
    #[must_use]
    pub fn full(&self) -> bool {
        self.shared.state.lock().is_full()
    }

    /// The number that the queue was made with.
    #[must_use]
    pub fn maxsize(&self) -> isize {
        self.shared.maxsize
    }

    /// The items, got one after the other until the queue is shut down, as a
    /// [`Stream`](futures_core::Stream).
    ///
    /// # Cancel safety
    ///
    /// As of [`get`](Self::get): a wait that is cancelled yields its [`CancelledError`], and the stream
    /// goes on after it.
    pub fn items(&self) -> QueueItems<'_, T> {
        QueueItems::new(self.get())
    }

    /// A [`Sink`](futures_sink::Sink) that puts what it is sent, one after the other.
    ///
    /// # Cancel safety
    ///
    /// As of [`put`](Self::put): an item that waits for room stays in the sink.
    pub fn sink(&self) -> QueueSink<'_, T> {
        QueueSink::new(Put {
            waiting: Waiting::new(&self.shared.state, PutRequest { item: None }),
        })
    }
}

impl<T> Default for Queue<T> {
    /// A queue without a limit.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// What Python's `str()` shows.
impl<T: fmt::Debug> fmt::Display for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} maxsize={}", self.shared.name, self.shared.maxsize)?;
        // An item may show itself by way of the queue: then the lock is held by ourselves.
        let Some(state) = self.shared.state.try_lock() else {
            return f.write_str(" in use>");
        };
        if state.items.len() > 0 {
            f.write_str(" _queue=")?;
            f.debug_list().entries(state.items.iter()).finish()?;
        }
        if !state.getters.is_empty() {
            write!(f, " _getters[{}]", state.getters.len())?;
        }
        if !state.putters.is_empty() {
            write!(f, " _putters[{}]", state.putters.len())?;
        }
        if state.unfinished > 0 {
            write!(f, " tasks={}", state.unfinished)?;
        }
        if state.shutdown {
            f.write_str(" shutdown")?;
        }
        f.write_str(">")
    }
}

impl<T: fmt::Debug> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The future of [`Queue::put`].
#[must_use = "a put does nothing until it is awaited"]
pub struct Put<'a, T: 'a> {
    waiting: Waiting<'a, PutRequest<T>>,
}

impl<T> Put<'_, T> {
    /// Puts the item at once, if there is room.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] when there is no room, [`QueueShutDown`] when the queue is shut down. The item is
    /// still here then.
    pub fn nowait(&mut self) -> Result<()> {
        match self.waiting.try_now() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(QueueFull::new().into()),
        }
    }

    /// The item, unless it was put.
    #[must_use]
    pub fn into_item(mut self) -> Option<T> {
        self.waiting.request.item.take()
    }

    /// Another item to be put, after the last one was.
    pub(super) fn set_item(&mut self, item: T) {
        self.waiting.request.item = Some(item);
    }

    /// Whether there is an item still to be put.
    pub(super) const fn has_item(&self) -> bool {
        self.waiting.request.item.is_some()
    }
}

impl<T> Future for Put<'_, T> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        Poll::Ready(match ready!(Pin::new(&mut this.waiting).poll(cx)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        })
    }
}

impl<T> Unpin for Put<'_, T> {}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("waiting", &self.waiting.is_waiting())
            .finish_non_exhaustive()
    }
}

/// The future of [`Queue::get`].
#[must_use = "a get does nothing until it is awaited"]
pub struct Get<'a, T: 'a> {
    waiting: Waiting<'a, GetRequest<T>>,
}

impl<T> Get<'_, T> {
    /// The next item, or why there is none.
    pub(super) fn poll_item(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<T, QueueShutDown>, CancelledError>> {
        Pin::new(&mut self.waiting).poll(cx)
    }
}

impl<T> Future for Get<'_, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.get_mut().poll_item(cx)) {
            Ok(Ok(item)) => Ok(item),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        })
    }
}

impl<T> Unpin for Get<'_, T> {}

impl<T> fmt::Debug for Get<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("waiting", &self.waiting.is_waiting())
            .finish_non_exhaustive()
    }
}

impl<T> State<T> {
    #[inline]
    fn is_full(&self) -> bool {
        self.room.is_some_and(|room| self.items.len() >= room)
    }

    #[inline]
    fn get(&mut self, wakes: &mut Wakes) -> Option<T> {
        let item = self.items.pop()?;
        self.putters.pop_next(wakes);
        Some(item)
    }

    /// So many items were dealt with.
    fn finish(&mut self, count: usize, wakes: &mut Wakes) {
        if self.unfinished > 0 {
            self.unfinished = self.unfinished.saturating_sub(count);
            if self.unfinished == 0 {
                self.joiners.wake_all(wakes);
            }
        }
    }
}

/// One who wants to put an item.
struct PutRequest<T> {
    /// None when it was put.
    item: Option<T>,
}

impl<T> Request for PutRequest<T> {
    type State = State<T>;
    type Output = Result<(), QueueShutDown>;

    fn list(state: &mut State<T>) -> &mut WaitList {
        &mut state.putters
    }

    #[inline]
    fn take_now(&mut self, state: &mut State<T>, wakes: &mut Wakes) -> Option<Self::Output> {
        if state.shutdown {
            return Some(Err(QueueShutDown::new()));
        }
        if state.is_full() {
            return None;
        }
        if let Some(item) = self.item.take() {
            // Counted first: should a comparison panic, the item is in the queue all the same.
            state.unfinished += 1;
            state.items.push(item);
            state.getters.pop_next(wakes);
        }
        Some(Ok(()))
    }

    #[inline]
    fn take_woken(&mut self, state: &mut State<T>, wakes: &mut Wakes) -> Option<Self::Output> {
        // The room may be another's by now.
        self.take_now(state, wakes)
    }

    fn give_up(&mut self, state: &mut State<T>, end: End, wakes: &mut Wakes) {
        if end.woken && !state.is_full() {
            state.putters.pop_next(wakes);
        }
    }
}

/// One who wants to get an item.
struct GetRequest<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Request for GetRequest<T> {
    type State = State<T>;
    type Output = Result<T, QueueShutDown>;

    fn list(state: &mut State<T>) -> &mut WaitList {
        &mut state.getters
    }

    #[inline]
    fn take_now(&mut self, state: &mut State<T>, wakes: &mut Wakes) -> Option<Self::Output> {
        match state.get(wakes) {
            Some(item) => Some(Ok(item)),
            None if state.shutdown => Some(Err(QueueShutDown::new())),
            None => None,
        }
    }

    #[inline]
    fn take_woken(&mut self, state: &mut State<T>, wakes: &mut Wakes) -> Option<Self::Output> {
        // The item may be another's by now.
        self.take_now(state, wakes)
    }

    fn give_up(&mut self, state: &mut State<T>, end: End, wakes: &mut Wakes) {
        if end.woken && state.items.len() > 0 {
            state.getters.pop_next(wakes);
        }
    }
}

/// One who waits for all items to be dealt with.
struct Finished<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Request for Finished<T> {
    type State = State<T>;
    type Output = ();

    fn list(state: &mut State<T>) -> &mut WaitList {
        &mut state.joiners
    }

    fn take_now(&mut self, state: &mut State<T>, _: &mut Wakes) -> Option<()> {
        (state.unfinished == 0).then_some(())
    }

    fn take_woken(&mut self, _: &mut State<T>, _: &mut Wakes) -> Option<()> {
        Some(())
    }

    fn give_up(&mut self, _: &mut State<T>, _: End, _: &mut Wakes) {}
}
