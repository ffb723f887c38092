//! Signals on a loop: `add_signal_handler` (`asyncio/unix_events.py`), and Ctrl-C while a program
//! runs (`Runner._on_sigint`).
#![expect(
    unsafe_code,
    reason = "the standard library has no way to handle a signal"
)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};

use libc::{c_int, siginfo_t};
use tokio::runtime::Handle as Runtime;

use crate::contextvars::{Context, Slot, copy_context};
use crate::debug::UserCall;
use crate::events::{CallbackResult, EventLoop};
use crate::exceptions::{Result, RuntimeError, ValueError};
use crate::loop_cell::Core;
use crate::ready::{Call, Ready};

impl EventLoop {
    /// Has a function called on the loop whenever the process gets a signal
    /// (`loop.add_signal_handler`); a handler that was there for it is replaced.
    ///
    /// Unlike a real signal handler the function is an ordinary callback of the loop and may do
    /// anything. It runs in a copy of the context in which it was added.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let asked = event_loop.create_future();
    /// let setter = asked.clone();
    /// event_loop.add_signal_handler(libc::SIGTERM, move || setter.set_result("to terminate"))?;
    /// # let me = std::process::id().to_string();
    /// std::process::Command::new("kill").args(["-TERM", &me]).status()?;
    /// assert_eq!(asked.await?, "to terminate");
    /// assert!(event_loop.remove_signal_handler(libc::SIGTERM)?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is no such signal; [`RuntimeError`] when it cannot be caught, when
    /// another loop handles it, on another thread than the loop's, and once it is closed.
    ///
    /// # asyncio
    ///
    /// In Python only the main thread's loop may handle signals; here any may. Who had handled the
    /// signal before, in another library, still hears of it.
    pub fn add_signal_handler<R: CallbackResult>(
        &self,
        signal: i32,
        function: impl Fn() -> R + 'static,
    ) -> Result<()> {
        check(signal)?;
        let core = self.core()?;
        if matches!(
            signal,
            libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL
        ) {
            // A fault comes back for as long as the code that it interrupts goes on.
            return Err(cannot_be_caught(signal).into());
        }
        let known = with(core, |signals| signals.handlers.remove(&signal));
        let by_runner = signal == libc::SIGINT && with(core, |signals| signals.runner_watches);
        let watch = match known {
            Some(Handler { watch, .. }) => watch,
            None if by_runner => None,
            None => Some(Watch::of_handler(self, signal)?),
        };
        if signal == libc::SIGINT {
            give_up_when_stuck(false);
        }
        let handler = Handler {
            function: Rc::new(move || function().into_result()),
            context: copy_context(),
            watch,
        };
        with(core, |signals| signals.handlers.insert(signal, handler));
        Ok(())
    }

    /// Takes a signal's handler away (`loop.remove_signal_handler`); whether there was one.
    ///
    /// The signal does again what it did before: SIGINT interrupts the program that
    /// [`run`](crate::run) runs.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// event_loop.add_signal_handler(libc::SIGHUP, || println!("reload"))?;
    /// assert!(event_loop.remove_signal_handler(libc::SIGHUP)?);
    /// assert!(!event_loop.remove_signal_handler(libc::SIGHUP)?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is no such signal; [`RuntimeError`] on another thread than the
    /// loop's, and once it is closed.
    pub fn remove_signal_handler(&self, signal: i32) -> Result<bool> {
        check(signal)?;
        let core = self.core()?;
        let removed = with(core, |signals| signals.handlers.remove(&signal));
        if signal == libc::SIGINT && with(core, |signals| signals.runner_watches) {
            give_up_when_stuck(true);
        }
        Ok(removed.is_some())
    }
}

/// What a loop knows of signals.
#[derive(Default)]
pub(crate) struct Signals {
    handlers: HashMap<c_int, Handler>,
    /// A `Runner` is listening to SIGINT, and passes it on where there is a handler.
    runner_watches: bool,
}

fn with<R>(core: &Core, function: impl FnOnce(&mut Signals) -> R) -> R {
    function(core.signals.borrow_mut().get_or_insert_default())
}

/// The loop is being closed: its handlers go.
pub(crate) fn close(core: &Core) {
    let signals = core.signals.take();
    drop(signals);
}

struct Handler {
    function: Rc<dyn Fn() -> Result<()>>,
    context: Context,
    /// None while a `Runner` listens for us.
    watch: Option<Watch>,
}

/// Listens to a signal for a loop, for as long as it lives.
pub(crate) struct Watch {
    reader: tokio::task::JoinHandle<()>,
    guard: SignalGuard,
}

impl Watch {
    /// Listens to SIGINT for a `Runner`, on the main thread and where nobody else does.
    ///
    /// As in CPython it is not an error when that is not so: then there is no watch.
    pub(crate) fn of_runner(
        event_loop: &EventLoop,
        on_signal: impl Fn(&EventLoop) + Send + 'static,
    ) -> Option<Self> {
        if !on_main_thread() || !is_default(libc::SIGINT) {
            return None;
        }
        let core = event_loop.core().ok()?;
        let theirs = event_loop.clone();
        let watch = Self::start(&event_loop.runtime().ok()?, libc::SIGINT, move || {
            if !handle(&theirs, libc::SIGINT) {
                on_signal(&theirs);
            }
        });
        let watch = watch.ok()?;
        give_up_when_stuck(true);
        with(core, |signals| signals.runner_watches = true);
        Some(watch)
    }

    /// The same for a runner with many threads, whose programs add no handlers.
    pub(crate) fn of_workers(
        runtime: &Runtime,
        on_signal: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        if !on_main_thread() || !is_default(libc::SIGINT) {
            return None;
        }
        let watch = Self::start(runtime, libc::SIGINT, on_signal).ok()?;
        give_up_when_stuck(true);
        Some(watch)
    }

    /// The runner with many threads is done.
    pub(crate) fn end_of_workers(self) {
        give_up_when_stuck(false);
        drop(self);
    }

    /// The runner is done. A handler that was added meanwhile stays, and listens by itself now.
    pub(crate) fn end_of_runner(self, event_loop: &EventLoop) {
        give_up_when_stuck(false);
        drop(self);
        let Ok(core) = event_loop.core() else { return };
        let is_handled = with(core, |signals| {
            signals.runner_watches = false;
            signals.handlers.contains_key(&libc::SIGINT)
        });
        if is_handled {
            // Where that fails the signal is handled by nobody, as if it had not been added.
            let watch = Self::of_handler(event_loop, libc::SIGINT).ok();
            with(core, |signals| {
                if let Some(handler) = signals.handlers.get_mut(&libc::SIGINT) {
                    handler.watch = watch;
                }
            });
        }
    }

    fn of_handler(event_loop: &EventLoop, signal: c_int) -> Result<Self> {
        let theirs = event_loop.clone();
        Self::start(&event_loop.runtime()?, signal, move || {
            handle(&theirs, signal);
        })
    }

    fn start(
        runtime: &Runtime,
        signal: c_int,
        on_signal: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let (guard, receiver) = SignalGuard::install(signal)?;
        let reader = runtime.spawn(async move {
            let Ok(stream) = tokio::net::UnixStream::from_std(receiver) else {
                return;
            };
            let mut byte = [0_u8; 1];
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut byte) {
                    Ok(0) => return,
                    Ok(_) => {
                        read_one();
                        on_signal();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Self { reader, guard })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
        self.guard.restore();
    }
}

/// Has the handler of a signal called; whether there is one.
fn handle(event_loop: &EventLoop, signal: c_int) -> bool {
    let Ok(core) = event_loop.core() else {
        return false;
    };
    let known = with(core, |signals| {
        let handler = signals.handlers.get(&signal)?;
        Some((Rc::clone(&handler.function), handler.context.clone()))
    });
    let is_handled = known.is_some();
    if let Some((function, context)) = known {
        push(core, function, context);
    }
    is_handled
}

fn push(core: &Core, function: Rc<dyn Fn() -> Result<()>>, context: Context) {
    let call = Call {
        function: Box::new(UserCall::new(move || function())),
        context: Slot::shared(context),
    };
    let key = core.calls.borrow_mut().insert(call);
    core.push(Ready::Call(key));
}

/// Ends the process as SIGINT does where nobody handles it, so that a shell sees what happened.
pub(crate) fn die_of_sigint() {
    // SAFETY: the default action is a valid one.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    // SAFETY: raise has no conditions.
    unsafe { libc::raise(libc::SIGINT) };
}

/// A signal is ours for as long as this lives; then it is what it was before.
struct SignalGuard {
    signal: c_int,
    previous: libc::sigaction,
}

/// What the real handler finds for a signal.
struct Place {
    taken: AtomicBool,
    /// Where it writes a byte for each signal; -1 while nobody listens.
    sender: AtomicI32,
    /// Who handled the signal before, and is called too; 0 where nobody did.
    previous: AtomicUsize,
    previous_takes_info: AtomicBool,
    /// One pair of sockets, never closed, because the handler may run on any thread at any time.
    pair: OnceLock<(UnixStream, UnixStream)>,
}

const SIGNALS: usize = 65;

static PLACES: [Place; SIGNALS] = [const {
    Place {
        taken: AtomicBool::new(false),
        sender: AtomicI32::new(-1),
        previous: AtomicUsize::new(0),
        previous_takes_info: AtomicBool::new(false),
        pair: OnceLock::new(),
    }
}; SIGNALS];

/// Whether a program that is stuck ends after `GIVE_UP` SIGINTs that it has not read.
static GIVES_UP: AtomicBool = AtomicBool::new(false);
static UNREAD: AtomicU32 = AtomicU32::new(0);
/// After this many the program is stuck in code that never awaits, and ends as if unhandled.
const GIVE_UP: u32 = 3;

fn give_up_when_stuck(enabled: bool) {
    // Relaxed: a handler that runs at this very moment may count either way.
    UNREAD.store(0, Ordering::Relaxed);
    GIVES_UP.store(enabled, Ordering::Relaxed);
}

fn read_one() {
    // Relaxed: a count that only the handler and this look at.
    let one_less = |count: u32| Some(count.saturating_sub(1));
    // It always returns a number, so this cannot fail.
    let _ = UNREAD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
}

impl SignalGuard {
    fn install(signal: c_int) -> Result<(Self, UnixStream)> {
        let place = place(signal).ok_or_else(|| invalid(signal))?;
        if place.taken.swap(true, Ordering::AcqRel) {
            let text = format!("signal {signal} is handled by another event loop");
            return Err(RuntimeError::new(text).into());
        }
        let installed = Self::install_at(place, signal);
        if installed.is_err() {
            place.sender.store(-1, Ordering::Release);
            place.taken.store(false, Ordering::Release);
        }
        installed
    }

    fn install_at(place: &'static Place, signal: c_int) -> Result<(Self, UnixStream)> {
        let (sender, receiver) = place.sockets()?;
        let receiver = receiver.try_clone()?;
        // What came in when the last one stopped to listen is nothing to us.
        let mut stale = [0_u8; 64];
        while matches!(io::Read::read(&mut &receiver, &mut stale), Ok(count) if count > 0) {}
        let previous = action(signal)?;
        let handler = previous.sa_sigaction;
        let is_function = handler != libc::SIG_DFL && handler != libc::SIG_IGN;
        let takes_info = previous.sa_flags & libc::SA_SIGINFO != 0;
        place
            .previous_takes_info
            .store(takes_info, Ordering::Relaxed);
        // Release, with the Acquire in the handler: the flag belongs to the function.
        let function = if is_function { handler } else { 0 };
        place.previous.store(function, Ordering::Release);
        place.sender.store(sender.as_raw_fd(), Ordering::Release);
        // SAFETY: all zeroes is a valid `sigaction`: no flags, no mask.
        let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
        ours.sa_sigaction = on_signal as Function as libc::sighandler_t;
        ours.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        set_action(signal, &ours).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => cannot_be_caught(signal).into(),
            _ => crate::Exception::from(error),
        })?;
        Ok((Self { signal, previous }, receiver))
    }

    fn restore(&self) {
        let Some(place) = place(self.signal) else {
            return;
        };
        let ours = on_signal as Function as libc::sighandler_t;
        // Somebody who has taken the signal over since calls us himself.
        if action(self.signal).is_ok_and(|action| action.sa_sigaction == ours) {
            // A failure would leave our handler in place, which then acts as the default does.
            let _ = set_action(self.signal, &self.previous);
        }
        place.sender.store(-1, Ordering::Release);
        place.taken.store(false, Ordering::Release);
    }
}

impl Place {
    fn sockets(&self) -> io::Result<&(UnixStream, UnixStream)> {
        if let Some(pair) = self.pair.get() {
            return Ok(pair);
        }
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(self.pair.get_or_init(|| (sender, receiver)))
    }
}

type Function = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// The real handler. Everything here may be done in one: atomics, write(2), signal(2), raise(3).
extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(place) = place(signal) else { return };
    let errno = io::Error::last_os_error().raw_os_error();
    let sender = place.sender.load(Ordering::Acquire);
    let previous = place.previous.load(Ordering::Acquire);
    // Relaxed, both: counted by this handler and by who reads.
    let stuck = signal == libc::SIGINT
        && GIVES_UP.load(Ordering::Relaxed)
        && UNREAD.fetch_add(1, Ordering::Relaxed) + 1 >= GIVE_UP;
    if stuck || sender < 0 && previous == 0 {
        // SAFETY: both are async-signal-safe; the process does what it does if nothing handles it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::raise(signal) };
        return;
    }
    if sender >= 0 {
        // SAFETY: write(2) is async-signal-safe, the descriptor is never closed, the byte is ours. A
        // full socket means that signals are waiting to be read, so that one more is not missed.
        unsafe { libc::write(sender, [1_u8].as_ptr().cast(), 1) };
    }
    if previous != 0 {
        if place.previous_takes_info.load(Ordering::Relaxed) {
            // SAFETY: the flags said that the function is one of this type.
            let function = unsafe { std::mem::transmute::<usize, Function>(previous) };
            function(signal, info, context);
        } else {
            // SAFETY: as above.
            let function = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(previous) };
            function(signal);
        }
    }
    if let Some(errno) = errno {
        restore_errno(errno);
    }
}

/// The code that was interrupted may be about to look at it.
fn restore_errno(errno: c_int) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the address of this thread's errno has no conditions.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: it is this thread's own.
        unsafe { place.write(errno) };
    }
    #[cfg(target_vendor = "apple")]
    {
        // SAFETY: the address of this thread's errno has no conditions.
        let place = unsafe { libc::__error() };
        // SAFETY: it is this thread's own.
        unsafe { place.write(errno) };
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    let _ = errno;
}

fn place(signal: c_int) -> Option<&'static Place> {
    PLACES.get(usize::try_from(signal).ok()?)
}

/// `_check_signal`
fn check(signal: c_int) -> Result<(), ValueError> {
    // SAFETY: all zeroes is a valid set of signals.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: as above; a number that is no signal is answered with -1.
    let is_member = unsafe { libc::sigismember(&raw const all, signal) };
    if is_member == 1 && place(signal).is_some() {
        Ok(())
    } else {
        Err(invalid(signal))
    }
}

fn invalid(signal: c_int) -> ValueError {
    ValueError::new(format!("invalid signal number {signal}"))
}

fn cannot_be_caught(signal: c_int) -> RuntimeError {
    RuntimeError::new(format!("sig {signal} cannot be caught"))
}

fn on_main_thread() -> bool {
    // SAFETY: getpid has no conditions.
    let process = unsafe { libc::getpid() };
    #[cfg(target_os = "linux")]
    {
        // SAFETY: gettid has no conditions.
        process == unsafe { libc::gettid() }
    }
    #[cfg(not(target_os = "linux"))]
    {
        process > 0 && std::thread::current().name() == Some("main")
    }
}

fn is_default(signal: c_int) -> bool {
    action(signal).is_ok_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

fn action(signal: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; the old one is written to a place of ours.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    if asked == 0 {
        Ok(action)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_action(signal: c_int, action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: the action is valid: ours, whose handler is of the kind that its flags announce, or
    // one that was in force before.
    let set = unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
