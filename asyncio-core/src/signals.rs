//! Ctrl-C while a program runs (`Runner._on_sigint`).
#![expect(
    unsafe_code,
    reason = "the standard library has no way to handle a signal"
)]

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// SIGINT is ours for as long as this lives; then it is what it was before.
#[derive(Debug)]
pub(crate) struct SigintGuard {
    receiver: UnixStream,
}

/// Where the handler writes a byte for each signal; -1 while there is no handler.
static SENDER: AtomicI32 = AtomicI32::new(-1);
/// Signals that the loop has not read yet.
static UNREAD: AtomicU32 = AtomicU32::new(0);
/// After this many the program is stuck in code that never awaits, and ends as if unhandled.
const GIVE_UP: u32 = 3;

impl SigintGuard {
    /// Takes SIGINT over, on the main thread and where nobody else has.
    ///
    /// As in CPython it is not an error when that is not so: then there is no guard.
    pub(crate) fn install() -> Option<Self> {
        if !on_main_thread() || !is_default() {
            return None;
        }
        let (sender, receiver) = pair().ok()?;
        let receiver = receiver.try_clone().ok()?;
        UNREAD.store(0, Ordering::Relaxed);
        SENDER.store(sender.as_raw_fd(), Ordering::Release);
        set_action(handle_sigint as extern "C" fn(libc::c_int) as libc::sighandler_t).ok()?;
        Some(Self { receiver })
    }

    /// A stream that has a byte for each signal; nonblocking.
    pub(crate) fn receiver(&self) -> io::Result<UnixStream> {
        self.receiver.try_clone()
    }
}

/// Notes that the loop has read a signal's byte.
pub(crate) fn read_one() {
    // Relaxed: a count that only the handler and this look at. It never goes below zero, because
    // the handler counts before it writes.
    UNREAD.fetch_sub(1, Ordering::Relaxed);
}

impl Drop for SigintGuard {
    fn drop(&mut self) {
        // It was the default before, or we would not have taken it. A failure would leave our
        // handler in place, which then does nothing: there is no sender.
        let _ = set_action(libc::SIG_DFL);
        SENDER.store(-1, Ordering::Release);
    }
}

/// One pair of sockets for the whole process: it is never closed, because the handler may run on
/// another thread at any time.
fn pair() -> io::Result<&'static (UnixStream, UnixStream)> {
    static PAIR: OnceLock<(UnixStream, UnixStream)> = OnceLock::new();
    if let Some(pair) = PAIR.get() {
        return Ok(pair);
    }
    let (sender, receiver) = UnixStream::pair()?;
    sender.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    Ok(PAIR.get_or_init(|| (sender, receiver)))
}

extern "C" fn handle_sigint(_: libc::c_int) {
    // Everything here may be done in a signal handler: atomics, write(2), signal(2), raise(3).
    let sender = SENDER.load(Ordering::Acquire);
    if UNREAD.fetch_add(1, Ordering::Relaxed) + 1 >= GIVE_UP || sender < 0 {
        // SAFETY: both are async-signal-safe; the process ends as if nothing had handled SIGINT.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGINT) };
        return;
    }
    // SAFETY: write(2) is async-signal-safe, the descriptor is never closed, the byte is ours. A
    // full socket means that signals are waiting to be read, so that one more is not missed.
    unsafe { libc::write(sender, [1_u8].as_ptr().cast(), 1) };
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

fn is_default() -> bool {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; the old one is written to a place of ours.
    let asked = unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_DFL
}

fn set_action(handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sigaction`: no flags, no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid, and its handler is of the kind that its flags announce.
    let set = unsafe { libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
