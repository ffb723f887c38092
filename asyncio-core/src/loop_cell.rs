//! A loop's memory: what only its thread touches, and the mailbox for all other threads.
#![expect(
    unsafe_code,
    reason = "the loop's own part is shared with other threads as an address only"
)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::cell::{CellRef, Registry, Released, SendCallback, SlotId, TaskRef, Token};
use crate::current;
use crate::events::ExceptionHandler;
use crate::exceptions::{Exception, Message};
use crate::executors::ThreadPoolExecutor;
use crate::memory::FreeList;
use crate::primitives::{AtomicBool, Cell, Mutex, MutexGuard, const_fn, global};
use crate::ready::{Call, Ready, ReadyQueue, TimerAction};
use crate::shuffle::Shuffle;
#[cfg(unix)]
use crate::signals::Signals;
use crate::slab::Slab;
use crate::tasks::TaskFactory;
use crate::time::Clock;
use crate::timeouts::Timing;
use crate::timers::Timers;

/// A loop as all threads see it.
pub(crate) struct LoopCell {
    /// The thread that made the loop and alone runs and closes it.
    owner: u64,
    closed: AtomicBool,
    mailbox: Mutex<Mailbox>,
    debug: AtomicBool,
    /// Whether the mailbox may hold something, so that the loop need not lock it to see.
    has_mail: AtomicBool,
    core: Core,
}

// SAFETY: `core` is reached through `core()` alone, which refuses every thread but the owner's, and
// refuses that one too once the loop is closed. The rest is synchronised.
unsafe impl Sync for LoopCell {}
// SAFETY: as above. By the time the memory of a loop goes, wherever that is, `close` has emptied the
// core on the owner's thread; what is left in it are empty collections.
unsafe impl Send for LoopCell {}

/// What other threads ask of a loop.
pub(crate) enum Mail {
    Release(Released),
    Wake(TaskRef),
    WakeSlot(TaskRef, SlotId),
    /// As the end of a sleep: a turn passes before the task resumes.
    Slept(TaskRef, SlotId),
    EndWait(TaskRef, SlotId),
    Cancel(CellRef, Message),
    AddCallback(CellRef, SendCallback),
    RemoveCallback(CellRef, Token),
    Run(Box<dyn FnOnce(&Core) + Send>),
}

struct Mailbox {
    mail: Vec<Mail>,
    closed: bool,
    /// Wakes the loop's `block_on`.
    waker: Option<Waker>,
    /// Once closed: how many cells made here still live, and what keeps this memory for them.
    cells: usize,
    itself: Option<Arc<LoopCell>>,
}

/// `slow_callback_duration`, where nothing else was set.
pub(crate) const SLOW: Duration = Duration::from_millis(100);
/// Mail that wakes nobody is left lying until this much of it is there.
const LAZY_MAIL: usize = 256;

/// What a loop consists of; touched on its own thread only.
pub(crate) struct Core {
    pub(crate) ready: RefCell<ReadyQueue>,
    /// How many entries of `ready` belong to the iteration under way.
    pub(crate) batch: Cell<usize>,
    /// Draws another order than that of the queue, in tests that ask for it.
    pub(crate) shuffle: Cell<Option<Shuffle>>,
    /// Counts the iterations.
    pub(crate) turn: Cell<u64>,
    pub(crate) timers: RefCell<Timers<TimerAction>>,
    pub(crate) calls: RefCell<Slab<Call>>,
    pub(crate) tasks: RefCell<Registry>,
    /// Futures that wait for children, which may be kept alive by each other alone.
    pub(crate) families: RefCell<Slab<CellRef>>,
    /// Timeouts that have been entered and not left.
    pub(crate) timeouts: RefCell<Slab<Timing>>,
    pub(crate) task_factory: RefCell<Option<Rc<TaskFactory>>>,
    /// Where `to_thread` runs, once it is needed.
    pub(crate) executor: RefCell<Option<ThreadPoolExecutor>>,
    pub(crate) executor_is_shut: Cell<bool>,
    #[cfg(unix)]
    pub(crate) signals: RefCell<Option<Box<Signals>>>,
    pub(crate) clock: Cell<Clock>,
    /// How many `ClockHold`s keep the virtual clock from jumping.
    pub(crate) holds: Cell<usize>,
    pub(crate) running: Cell<bool>,
    pub(crate) stopping: Cell<bool>,
    /// The loop's owner was dropped while it ran.
    pub(crate) close_at_end: Cell<bool>,
    pub(crate) slow_callback_duration: Cell<Duration>,
    /// An exception on its way out of the loop (`KeyboardInterrupt`, `SystemExit`).
    pub(crate) escaped: RefCell<Option<Exception>>,
    pub(crate) has_escaped: Cell<bool>,
    pub(crate) handler: RefCell<Option<Rc<ExceptionHandler>>>,
    pub(crate) tasks_named: Cell<u64>,
    pub(crate) tasks_numbered: Cell<u64>,
    pub(crate) runtime: RefCell<Option<tokio::runtime::Runtime>>,
    /// The loop is inside its poll, so that it will see what is pushed.
    pub(crate) polling: Cell<bool>,
    /// The loop was woken since its last poll.
    kicked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Cells made here that still live.
    cells: Cell<usize>,
    memory: FreeList,
    itself: Cell<*const LoopCell>,
}

/// The home of cells that were made where no loop of ours runs: on a tokio runtime, or nowhere at
/// all. It has no thread and was closed from the start.
pub(crate) fn nowhere() -> NonNull<LoopCell> {
    NonNull::from(global!(
        LoopCell = LoopCell::new(0, true, Clock::virtual_())
    ))
}

impl LoopCell {
    pub(crate) fn make(clock: Clock) -> Arc<Self> {
        let this = Arc::new(Self::new(current::thread_id(), false, clock));
        this.core.itself.set(Arc::as_ptr(&this));
        this
    }

    const_fn! {
        fn new(owner: u64, closed: bool, clock: Clock) -> Self {
            Self {
                owner,
                closed: AtomicBool::new(closed),
                mailbox: Mutex::new(Mailbox {
                    mail: Vec::new(),
                    closed,
                    waker: None,
                    cells: 0,
                    itself: None,
                }),
                debug: AtomicBool::new(false),
                has_mail: AtomicBool::new(false),
                core: Core {
                    ready: RefCell::new(ReadyQueue::new()),
                    batch: Cell::new(0),
                    shuffle: Cell::new(None),
                    turn: Cell::new(0),
                    timers: RefCell::new(Timers::new()),
                    calls: RefCell::new(Slab::new()),
                    tasks: RefCell::new(Registry::new()),
                    families: RefCell::new(Slab::new()),
                    timeouts: RefCell::new(Slab::new()),
                    task_factory: RefCell::new(None),
                    executor: RefCell::new(None),
                    executor_is_shut: Cell::new(false),
                    #[cfg(unix)]
                    signals: RefCell::new(None),
                    clock: Cell::new(clock),
                    holds: Cell::new(0),
                    running: Cell::new(false),
                    stopping: Cell::new(false),
                    close_at_end: Cell::new(false),
                    slow_callback_duration: Cell::new(SLOW),
                    escaped: RefCell::new(None),
                    has_escaped: Cell::new(false),
                    handler: RefCell::new(None),
                    tasks_named: Cell::new(0),
                    tasks_numbered: Cell::new(0),
                    runtime: RefCell::new(None),
                    polling: Cell::new(false),
                    kicked: Cell::new(false),
                    waker: RefCell::new(None),
                    cells: Cell::new(0),
                    memory: FreeList::new(),
                    itself: Cell::new(std::ptr::null()),
                },
            }
        }
    }

    /// Whether this thread may touch what belongs to the loop.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        // Acquire is not needed for the owner, who alone sets it; other threads learn of the end
        // under the mailbox's lock.
        self.is_running_here() || !self.closed.load(Ordering::Relaxed) && self.is_owner()
    }

    /// Whether this thread is running the loop.
    #[inline]
    pub(crate) fn is_running_here(&self) -> bool {
        // A frame of the loop is only ever entered on the owner's thread, and left before the end.
        std::ptr::eq(current::loop_cell(), self)
    }

    /// Whether debug mode is on.
    #[inline]
    pub(crate) fn debug(&self) -> bool {
        // Relaxed: a setting that other threads may see a moment later.
        self.debug.load(Ordering::Relaxed)
    }

    pub(crate) fn set_debug(&self, enabled: bool) {
        self.debug.store(enabled, Ordering::Relaxed);
    }

    /// Whether this is the thread that made the loop.
    #[cold]
    pub(crate) fn is_owner(&self) -> bool {
        self.owner == current::thread_id()
    }

    /// A counted handle, for who holds the loop or a cell of it; `None` for no loop at all.
    pub(crate) fn handle(&self) -> Option<Arc<Self>> {
        if self.is_nowhere() {
            return None;
        }
        // SAFETY: every other loop was made by `make`, in an `Arc`, and is kept by its handles while it
        // is open and by its cells afterwards; the caller has one of them.
        unsafe { Arc::increment_strong_count(self) };
        // SAFETY: the count was raised just now for this handle.
        Some(unsafe { Arc::from_raw(self) })
    }

    #[inline]
    pub(crate) fn core(&self) -> Option<&Core> {
        self.is_here().then_some(&self.core)
    }

    /// The core, for a frame of this loop.
    #[inline]
    pub(crate) const fn core_of_frame(&self) -> &Core {
        &self.core
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire, with the Release in `close`: who sees the end sees what the loop did before it.
        self.closed.load(Ordering::Acquire)
    }

    /// Sends something to the loop; it comes back when the loop is closed.
    pub(crate) fn post(&self, mail: Mail) -> Result<(), Mail> {
        let mut mailbox = self.lock();
        if mailbox.closed {
            return Err(mail);
        }
        let lazy = matches!(mail, Mail::Release(_)) && mailbox.mail.len() < LAZY_MAIL;
        mailbox.mail.push(mail);
        // Release, with the Acquire in `has_mail`: the flag is only a hint, but the loop that sees
        // it must find the mail, which the lock sees to.
        self.has_mail.store(true, Ordering::Release);
        let waker = if lazy { None } else { mailbox.waker.clone() };
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Whether other threads have sent something.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        // Acquire: see `post`. A mail that is sent just after this look is followed by a wake.
        self.has_mail.load(Ordering::Acquire)
    }

    /// Takes what other threads have sent.
    #[cold]
    pub(crate) fn take_mail(&self) -> Vec<Mail> {
        let mut mailbox = self.lock();
        // Relaxed: both sides write the flag under the lock.
        self.has_mail.store(false, Ordering::Relaxed);
        std::mem::take(&mut mailbox.mail)
    }

    /// Says who is to be woken when mail comes.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let core = self.core();
        if let Some(core) = core {
            let same = core
                .waker
                .borrow()
                .as_ref()
                .is_some_and(|old| old.will_wake(waker));
            core.kicked.set(false);
            if same {
                return;
            }
            let old = core.waker.replace(Some(waker.clone()));
            drop(old);
        }
        let old = self.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// Forgets who is to be woken: the loop is not running.
    pub(crate) fn clear_waker(&self) {
        let mine = self.core().and_then(|core| core.waker.take());
        let old = self.lock().waker.take();
        drop((mine, old));
    }

    /// Ends the loop: nobody is at home from now on. The core has been emptied before.
    pub(crate) fn close(this: &Arc<Self>) -> Vec<Mail> {
        let mut mailbox = this.lock();
        mailbox.closed = true;
        mailbox.cells = this.core.cells.get();
        if mailbox.cells > 0 {
            mailbox.itself = Some(Arc::clone(this));
        }
        this.core.memory.empty();
        // Release, with the Acquire in `is_closed`.
        this.closed.store(true, Ordering::Release);
        std::mem::take(&mut mailbox.mail)
    }

    /// Takes a cell's memory back; the last cell of a closed loop takes the loop along.
    ///
    /// # Safety
    ///
    /// The memory came from `Core::allocate` of this loop, or for `nowhere()` from
    /// `FreeList::allocate_here`, with the same layout, and is not used again.
    pub(crate) unsafe fn free(this: NonNull<Self>, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: a loop outlives its cells.
        let this = unsafe { this.as_ref() };
        if let Some(core) = this.core() {
            core.cells.set(core.cells.get() - 1);
            // SAFETY: the caller's promise; both ways of allocating come from the same allocator.
            unsafe { core.memory.free(memory, layout) };
            return;
        }
        if this.is_nowhere() {
            // SAFETY: as above.
            unsafe { FreeList::free_here(memory, layout) };
            return;
        }
        // SAFETY: as above.
        unsafe { FreeList::free_plainly(memory, layout) };
        let mut mailbox = this.lock();
        mailbox.cells -= 1;
        let itself = if mailbox.cells == 0 {
            mailbox.itself.take()
        } else {
            None
        };
        drop(mailbox);
        drop(itself);
    }

    const fn is_nowhere(&self) -> bool {
        self.owner == 0
    }

    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Memory for a cell of this loop.
    #[inline]
    pub(crate) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        self.cells.set(self.cells.get() + 1);
        self.memory.allocate(layout)
    }

    pub(crate) fn loop_cell(&self) -> NonNull<LoopCell> {
        // `make` has set it, and `nowhere()` gives its core to nobody.
        NonNull::new(self.itself.get().cast_mut()).unwrap_or_else(nowhere)
    }

    /// The time, or an earlier one that is known where looking at the clock takes long.
    pub(crate) fn time_since(&self, known: Option<f64>) -> f64 {
        match (self.clock.get(), known) {
            (Clock::Real { .. }, Some(known)) => known,
            (clock, _) => clock.now(),
        }
    }

    /// A counted handle of the loop.
    pub(crate) fn shared(&self) -> Arc<LoopCell> {
        let this = self.loop_cell().as_ptr().cast_const();
        // SAFETY: every loop with a core that can be reached was made by `make`, in an `Arc`, which
        // is alive as long as the core is.
        unsafe { Arc::increment_strong_count(this) };
        // SAFETY: the count was raised just now for this handle.
        unsafe { Arc::from_raw(this) }
    }

    /// Whether debug mode is on.
    #[inline]
    pub(crate) fn debug(&self) -> bool {
        // SAFETY: the loop outlives its core, which lies in it; see `loop_cell`.
        unsafe { self.loop_cell().as_ref() }.debug()
    }

    pub(crate) fn now(&self) -> f64 {
        self.clock.get().now()
    }

    /// Appends to the ready queue.
    pub(crate) fn push(&self, ready: Ready) {
        self.ready.borrow_mut().push(ready);
        if !self.polling.get() {
            self.kick();
        }
    }

    /// Appends a task's step to the ready queue.
    #[inline]
    pub(crate) fn push_step(&self, task: TaskRef) {
        self.ready.borrow_mut().push_step(task);
        if !self.polling.get() {
            self.kick();
        }
    }

    /// Has the loop polled again: something came while tokio's part of the thread was running.
    #[cold]
    pub(crate) fn kick(&self) {
        if self.running.get() && !self.kicked.replace(true) {
            let waker = self.waker.borrow().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub(crate) fn escape(&self, exception: Exception) {
        let old = self.escaped.replace(Some(exception));
        self.has_escaped.set(true);
        drop(old);
    }
}
