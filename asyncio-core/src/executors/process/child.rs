//! The worker's side: a process that makes the calls which its parent sends, and nothing else.
#![expect(unsafe_code, reason = "a request is trusted because of who sent it")]

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};

use super::function::answer;
use super::reply::Reply;
use super::{caught, native};
use crate::exceptions::{PanicError, RuntimeError};

/// Says to a process that it is to be a worker: whose, and through which socket it is to talk.
const WORKER_OF: &str = "ASYNCIO_CORE_WORKER_OF";

/// How workers are started, once `init` was called.
static START: Mutex<Option<Start>> = Mutex::new(None);
/// This process was started to be a worker and could not be one.
static IS_LOST: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// With the program's own arguments: its `main` calls `init` first.
    Main,
    /// As this test of a test binary, which calls `init` first.
    Test(&'static str),
}

/// Makes this process a worker where it was started to be one, and does not return then.
pub(crate) fn init(start: Start) {
    let is_first = {
        let mut known = lock();
        let is_first = known.is_none();
        known.get_or_insert(start);
        is_first
    };
    // Where that fails it fails again for the first worker, which says so.
    drop(program_of_this_process());
    if is_first && let Some(badge) = Badge::of_this_process() {
        match take_channel(start, badge) {
            Ok(channel) => serve(channel),
            // It goes on as the program it is; but without workers of its own, which would not be any
            // either, and so on.
            Err(_) if badge.parent == parent_id() => IS_LOST.store(true, Ordering::Relaxed),
            // What a worker starts inherits its environment and is a program as any other.
            Err(_) => {}
        }
    }
}

/// What tells a worker from the program that it is otherwise, and from what a worker starts.
#[derive(Clone, Copy, PartialEq)]
struct Badge {
    parent: u32,
    /// The socket that it has as its standard input: a worker is one also when its parent is gone by
    /// the time that it looks.
    socket: (u64, u64),
}

impl Badge {
    fn of_this_process() -> Option<Self> {
        let text = std::env::var(WORKER_OF).ok()?;
        let mut numbers = text.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            parent: u32::try_from(next()?).ok()?,
            socket: (next()?, next()?),
        })
    }

    fn to_text(self) -> String {
        let (device, number) = self.socket;
        format!("{} {device} {number}", self.parent)
    }
}

/// Where a file is that is open, of which there is no other.
fn identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let metadata = File::from(file.try_clone_to_owned()?).metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether workers can be started.
pub(super) fn start() -> Result<Start, RuntimeError> {
    // Relaxed: only a flag, set by the call that this one comes after.
    if IS_LOST.load(Ordering::Relaxed) {
        return Err(RuntimeError::new(
            "this process was started to be a worker, but its standard input was not left to it",
        ));
    }
    lock().ok_or_else(|| {
        RuntimeError::new(
            "workers cannot be started yet: put #[asyncio_core::main] or #[asyncio_core::test] on \
             the function, or call asyncio_core::init() first in main",
        )
    })
}

fn lock() -> MutexGuard<'static, Option<Start>> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What starts a worker that talks through this socket, its standard input.
pub(super) fn command(start: Start, socket: OwnedFd) -> io::Result<Command> {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let mut command = Command::new(program()?);
    let badge = Badge {
        parent: std::process::id(),
        socket: identity(socket.as_fd())?,
    };
    command.env(WORKER_OF, badge.to_text()).stdin(socket);
    if let Some(name) = name {
        command.arg0(name);
    }
    match start {
        Start::Main => command.args(arguments),
        // What the harness says before the test begins is of no interest to anybody.
        Start::Test(name) => command
            .args([name, "--exact", "--include-ignored", "--nocapture"])
            .stdout(Stdio::null()),
    };
    Ok(command)
}

/// Whether there is a name for the file that a process runs, also when it has been replaced.
const FOLLOWS_THE_FILE: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The file that this process runs.
fn program() -> io::Result<PathBuf> {
    if FOLLOWS_THE_FILE {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe()
}

fn take_channel(start: Start, badge: Badge) -> io::Result<UnixStream> {
    let is_ours = identity(io::stdin().as_fd())? == badge.socket;
    // Some systems give sockets no numbers.
    let is_known = badge.socket.1 != 0 || badge.parent == parent_id();
    if !is_ours || !is_known || native::is_privileged() {
        // Who started a program with more rights than its own could have it call anything.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let channel = native::take_stdin()?;
    if matches!(start, Start::Test(_)) {
        native::stdout_to_stderr()?;
    }
    Ok(channel)
}

/// Makes calls until the parent has no more.
fn serve(channel: UnixStream) -> ! {
    native::survive_interrupts();
    // An error is the end of the parent or of its pool, and nobody is left to be told.
    let _ = try_serve(channel);
    std::process::exit(0)
}

fn try_serve(mut channel: UnixStream) -> io::Result<()> {
    channel.write_all(&program_of_this_process()?)?;
    let busy = Arc::new(AtomicBool::new(false));
    let (sender, requests) = mpsc::sync_channel(1);
    let (reads, is_busy) = (channel.try_clone()?, Arc::clone(&busy));
    std::thread::Builder::new()
        .name("asyncio-worker".to_owned())
        .spawn(move || read_requests(reads, &is_busy, &sender))?;
    for request in requests {
        // SAFETY: the other end of the socket is our parent's, which has compared the program that we
        // run with its own before it sent anything.
        let answered = caught(|| Ok(unsafe { answer(&request) }));
        let reply = answered.unwrap_or_else(|panic| {
            Reply::panic(panic.downcast_ref().map_or("", PanicError::message))
        });
        // Relaxed: the parent closes its end after it has read the reply, which comes after this.
        busy.store(false, Ordering::Relaxed);
        channel.write_all(&reply.into_bytes())?;
    }
    Ok(())
}

/// Reads requests on a thread of its own, so that a worker whose parent is gone does not go on with
/// what nobody waits for.
fn read_requests(channel: UnixStream, busy: &AtomicBool, sender: &mpsc::SyncSender<Vec<u8>>) {
    let mut channel = BufReader::new(channel);
    while let Ok(request) = read_request(&mut channel) {
        // Relaxed: this thread alone looks at it.
        busy.store(true, Ordering::Relaxed);
        if sender.send(request).is_err() {
            return;
        }
    }
    if busy.load(Ordering::Relaxed) {
        native::exit_now();
    }
}

fn read_request(channel: &mut BufReader<UnixStream>) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    channel.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut request = Vec::new();
    // Memory is taken as bytes come, not as they are announced.
    channel.take(length).read_to_end(&mut request)?;
    if request.len() as u64 == length {
        Ok(request)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Tells the file that this process runs from any other, also from a later version of it.
///
/// On Linux a worker runs the very file of its parent, whatever became of its name; elsewhere it runs
/// what has that name now, and the parent remembers what that was when `init` was called.
pub(super) fn program_of_this_process() -> io::Result<[u8; PROGRAM]> {
    static OURS: OnceLock<[u8; PROGRAM]> = OnceLock::new();
    if let Some(ours) = OURS.get() {
        return Ok(*ours);
    }
    let file = std::fs::metadata(program()?)?;
    let changed = if FOLLOWS_THE_FILE {
        [0; 2]
    } else {
        [file.mtime(), file.mtime_nsec()].map(i64::cast_unsigned)
    };
    let parts = [file.dev(), file.ino(), file.size(), changed[0], changed[1]];
    let mut bytes = [0; PROGRAM];
    for (place, part) in bytes.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    Ok(*OURS.get_or_init(|| bytes))
}

pub(super) const PROGRAM: usize = 40;
