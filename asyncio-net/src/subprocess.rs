//! Child processes (`asyncio/subprocess.py`).
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::create_subprocess_exec;
//! use asyncio_net::subprocess::PIPE;
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let process = create_subprocess_exec("cat").stdin(PIPE).stdout(PIPE).await?;
//!     let output = process.communicate(Some(b"meow")).await?;
//!     assert_eq!(output.stdout(), b"meow");
//!     assert_eq!(process.returncode(), Some(0));
//!     Ok(())
//! })
//! # }
//! ```

use std::ffi::OsStr;
use std::fmt;
use std::future::{IntoFuture, poll_fn, ready};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use asyncio_core::{Result, ValueError};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Child;

use crate::streams::{DEFAULT_LIMIT, StreamReader, StreamWriter, runtime};
use crate::unix_events::{read_pipe, write_pipe};
use crate::waiters::{HasWaiters, Waiters, lock, wait_until};

/// A pipe to or from the child (`asyncio.subprocess.PIPE`).
pub const PIPE: Stdio = Stdio(Kind::Pipe);

/// Nothing to read, and what is written is dropped (`asyncio.subprocess.DEVNULL`).
pub const DEVNULL: Stdio = Stdio(Kind::Null);

/// For `stderr`: wherever `stdout` goes (`asyncio.subprocess.STDOUT`).
pub const STDOUT: Stdio = Stdio(Kind::Stdout);

/// What a child has for one of its three standard streams: [`PIPE`], [`DEVNULL`], [`STDOUT`], or
/// something that is open, a file or the end of a pipe. Without one the child shares its parent's.
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Pipe,
    Null,
    Stdout,
    Fd(OwnedFd),
}

impl<F: Into<OwnedFd>> From<F> for Stdio {
    fn from(fd: F) -> Self {
        Self(Kind::Fd(fd.into()))
    }
}

/// Starts a program (`asyncio.create_subprocess_exec`).
///
/// What are keyword arguments in Python are methods here, before the await.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::create_subprocess_exec;
/// use asyncio_net::subprocess::PIPE;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let process = create_subprocess_exec("echo").arg("hello").stdout(PIPE).await?;
///     let stdout = process.stdout().expect("it is a pipe");
///     assert_eq!(stdout.readline().await?, b"hello\n");
///     assert_eq!(process.wait().await?, 0);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when it cannot be started, of the kind [`NotFound`](io::ErrorKind::NotFound)
/// when there is no such program.
pub fn create_subprocess_exec(program: impl AsRef<OsStr>) -> Command {
    Command::new((), program, || Stdio(Kind::Inherit))
}

/// Starts a command line by the shell (`asyncio.create_subprocess_shell`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::create_subprocess_shell;
/// use asyncio_net::subprocess::PIPE;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let process = create_subprocess_shell("echo one; echo two | tr a-z A-Z").stdout(PIPE).await?;
///     assert_eq!(process.communicate(None).await?.stdout(), b"one\nTWO\n");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`create_subprocess_exec`].
pub fn create_subprocess_shell(command: impl AsRef<OsStr>) -> Command {
    create_subprocess_exec("/bin/sh").arg("-c").arg(command)
}

/// The keyword arguments of [`create_subprocess_exec`] and of
/// [`subprocess_exec`](crate::subprocess_exec), which has a factory of protocols; awaiting it starts the
/// process.
#[must_use = "futures do nothing until they are awaited"]
pub struct Command<F = ()> {
    factory: F,
    command: tokio::process::Command,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    limit: usize,
    own_group: bool,
    kill_on_drop: bool,
}

impl<F> Command<F> {
    pub(crate) fn new(factory: F, program: impl AsRef<OsStr>, stdio: fn() -> Stdio) -> Self {
        Self {
            factory,
            command: tokio::process::Command::new(program.as_ref()),
            stdin: stdio(),
            stdout: stdio(),
            stderr: stdio(),
            limit: DEFAULT_LIMIT,
            own_group: false,
            kill_on_drop: true,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// These variables and no others (`env=`).
    pub fn only_env<I, N, V>(mut self, variables: I) -> Self
    where
        I: IntoIterator<Item = (N, V)>,
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.command.env_clear().envs(variables);
        self
    }

    /// The directory to start in.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// The child's input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// The child's output.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// The child's output of errors.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// The limit of the [`StreamReader`]s, 64 KiB by default.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whether the child leads a process group of its own, so that [`Process::kill_group`] reaches what
    /// it has started (`process_group=0`); false by default.
    pub const fn process_group(mut self, own: bool) -> Self {
        self.own_group = own;
        self
    }

    /// Whether the child is killed when its [`Process`] is dropped before its end, with its group if it
    /// has one of its own; true by default, as in Python. So a task that is cancelled takes its child
    /// along.
    pub const fn kill_on_drop(mut self, on: bool) -> Self {
        self.kill_on_drop = on;
        self
    }

    pub(crate) fn spawn(mut self) -> Result<Spawned<F>> {
        let runtime = runtime()?;
        if self.limit == 0 {
            return Err(ValueError::new("the limit cannot be zero").into());
        }
        let mut ends = Ends::default();
        let stdin = match self.stdin.0 {
            Kind::Pipe => {
                let (theirs, ours) = io::pipe()?;
                ends.stdin = Some(ours.into());
                theirs.into()
            }
            Kind::Stdout => return Err(ValueError::new("STDOUT is for stderr").into()),
            other => other.given(),
        };
        let stdout = match self.stdout.0 {
            Kind::Stdout => return Err(ValueError::new("STDOUT is for stderr").into()),
            other => other.output(&mut ends.stdout)?,
        };
        let stderr = match self.stderr.0 {
            Kind::Stdout => match &stdout {
                Some(stdout) => Some(stdout.try_clone()?),
                None => Some(io::stdout().as_fd().try_clone_to_owned()?),
            },
            other => other.output(&mut ends.stderr)?,
        };
        self.command.stdin(stdin);
        self.command.stdout(or_inherit(stdout));
        self.command.stderr(or_inherit(stderr));
        self.command.kill_on_drop(self.kill_on_drop);
        if self.own_group {
            self.command.process_group(0);
        }
        let child = self.command.spawn()?;
        // The child's ends of the pipes are closed on this side with it.
        drop(self.command);
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                child,
                returncode: None,
                waiters: Waiters::default(),
            }),
            pid: pid.ok_or_else(|| io::Error::other("the child has no process id"))?,
            own_group: self.own_group,
        });
        // It ends with the child, which is so reaped whoever waits for it.
        drop(runtime.spawn(reap(Arc::clone(&shared))));
        Ok(Spawned {
            factory: self.factory,
            shared,
            ends,
            limit: self.limit,
            kill_on_drop: self.kill_on_drop,
        })
    }
}

impl IntoFuture for Command<()> {
    type Output = Result<Process>;
    type IntoFuture = std::future::Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        // Starting takes no wait, as in Python.
        ready(self.spawn().and_then(Process::of))
    }
}

impl<F> fmt::Debug for Command<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("command", &self.command)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

/// A child that was started.
pub(crate) struct Spawned<F> {
    pub(crate) factory: F,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ends: Ends,
    pub(crate) limit: usize,
    pub(crate) kill_on_drop: bool,
}

/// Our ends of the pipes.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

impl Kind {
    fn given(self) -> std::process::Stdio {
        match self {
            Self::Fd(fd) => fd.into(),
            Self::Null => std::process::Stdio::null(),
            Self::Inherit | Self::Pipe | Self::Stdout => std::process::Stdio::inherit(),
        }
    }

    /// The child's end; none to share the parent's.
    fn output(self, ours: &mut Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        Ok(match self {
            Self::Pipe => {
                let (reader, writer) = io::pipe()?;
                *ours = Some(reader.into());
                Some(writer.into())
            }
            Self::Null => {
                let null = std::fs::File::options().write(true).open("/dev/null")?;
                Some(null.into())
            }
            Self::Fd(fd) => Some(fd),
            Self::Inherit | Self::Stdout => None,
        })
    }
}

fn or_inherit(fd: Option<OwnedFd>) -> std::process::Stdio {
    fd.map_or_else(std::process::Stdio::inherit, Into::into)
}

/// A child process (`asyncio.subprocess.Process`).
///
/// It is reaped whether or not anybody waits for it.
pub struct Process {
    shared: Arc<Shared>,
    kill_on_drop: bool,
    stdin: Option<StreamWriter>,
    stdout: Option<StreamReader>,
    stderr: Option<StreamReader>,
    /// What `communicate` has read, in case that it is cancelled.
    collected: Mutex<Output>,
}

/// What a child wrote; see [`Process::communicate`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// What came through the pipe of `stdout`, nothing where that is no pipe.
    #[must_use]
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// What came through the pipe of `stderr`, nothing where that is no pipe.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// Both, to be kept.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout, self.stderr)
    }
}

/// The process has ended: there is nothing to send a signal to (`ProcessLookupError`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the process has ended")]
#[non_exhaustive]
pub struct ProcessLookupError;

pub(crate) struct Shared {
    state: Mutex<State>,
    pid: Pid,
    own_group: bool,
}

struct State {
    child: Child,
    returncode: Option<i32>,
    waiters: Waiters,
}

impl HasWaiters for State {
    fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }
}

impl Process {
    fn of(spawned: Spawned<()>) -> Result<Self> {
        // Made first, so that the child is killed when a pipe cannot be waited for.
        let mut this = Self {
            shared: spawned.shared,
            kill_on_drop: spawned.kill_on_drop,
            stdin: None,
            stdout: None,
            stderr: None,
            collected: Mutex::default(),
        };
        let (ends, limit) = (spawned.ends, spawned.limit);
        this.stdin = ends.stdin.map(write_pipe).transpose()?;
        let read = |end: Option<OwnedFd>| end.map(|fd| read_pipe(fd, limit)).transpose();
        (this.stdout, this.stderr) = (read(ends.stdout)?, read(ends.stderr)?);
        Ok(this)
    }

    /// The process's number (`Process.pid`).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid()
    }

    /// What the process has ended with (`Process.returncode`): a negative number for a signal; `None`
    /// while it is not known to have ended.
    #[must_use]
    pub fn returncode(&self) -> Option<i32> {
        self.shared.returncode()
    }

    /// The pipe to its input, where there is one (`Process.stdin`).
    #[must_use]
    pub const fn stdin(&self) -> Option<&StreamWriter> {
        self.stdin.as_ref()
    }

    /// The pipe from its output, where there is one (`Process.stdout`).
    #[must_use]
    pub const fn stdout(&self) -> Option<&StreamReader> {
        self.stdout.as_ref()
    }

    /// The pipe from its output of errors, where there is one (`Process.stderr`).
    #[must_use]
    pub const fn stderr(&self) -> Option<&StreamReader> {
        self.stderr.as_ref()
    }

    /// Waits for its end (`Process.wait`), and returns what [`returncode`](Self::returncode) says then.
    ///
    /// A child that writes more than a pipe holds, and is not read from, does not end: then
    /// [`communicate`](Self::communicate).
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # asyncio
    ///
    /// It does not wait for the end of the pipes, which what the child has started may hold open.
    pub async fn wait(&self) -> Result<i32> {
        self.shared.wait().await
    }

    /// Writes this to the child's input and closes it, reads its output to the end, and waits for it
    /// (`Process.communicate`). That the child does not read its input is no error.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is something to write and `stdin` is no pipe;
    /// [`std::io::Error`] of a pipe; [`CancelledError`](asyncio_core::CancelledError) when the task is
    /// cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: called again, without input, it goes on, and returns what was read before as
    /// well.
    pub async fn communicate(&self, input: Option<&[u8]>) -> Result<Output> {
        match (&self.stdin, input) {
            (None, Some(_)) => {
                return Err(ValueError::new("stdin is no pipe to write to").into());
            }
            (None, None) => {}
            (Some(stdin), input) => {
                stdin.write(input.unwrap_or_default());
                stdin.close();
            }
        }
        let mut stdout = pin!(self.collect(self.stdout.as_ref(), |output| &mut output.stdout));
        let mut stderr = pin!(self.collect(self.stderr.as_ref(), |output| &mut output.stderr));
        let (mut out, mut err) = (false, false);
        poll_fn(|cx| {
            if !out && let Poll::Ready(read) = stdout.as_mut().poll(cx) {
                read?;
                out = true;
            }
            if !err && let Poll::Ready(read) = stderr.as_mut().poll(cx) {
                read?;
                err = true;
            }
            if out && err {
                Poll::Ready(Ok::<_, asyncio_core::Exception>(()))
            } else {
                Poll::Pending
            }
        })
        .await?;
        self.wait().await?;
        Ok(std::mem::take(&mut *lock(&self.collected)))
    }

    /// Reads a pipe to its end. What was read is kept where a cancel does not reach it.
    async fn collect(
        &self,
        reader: Option<&StreamReader>,
        place: fn(&mut Output) -> &mut Vec<u8>,
    ) -> Result<()> {
        let Some(reader) = reader else {
            return Ok(());
        };
        loop {
            let piece = reader.read(1 << 16).await?;
            if piece.is_empty() {
                return Ok(());
            }
            place(&mut lock(&self.collected)).extend_from_slice(&piece);
        }
    }

    /// Sends a signal, by its number (`Process.send_signal`).
    ///
    /// # Errors
    ///
    /// [`ProcessLookupError`] when the process has ended; [`ValueError`] when there is no such signal;
    /// [`std::io::Error`] when the operating system refuses.
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        self.shared.send_signal(signal)
    }

    /// Asks the process to end, by SIGTERM (`Process.terminate`).
    ///
    /// # Errors
    ///
    /// As of [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> Result<()> {
        self.shared.signal(Signal::TERM, false)
    }

    /// Kills the process (`Process.kill`).
    ///
    /// # Errors
    ///
    /// As of [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> Result<()> {
        self.shared.signal(Signal::KILL, false)
    }

    /// Kills the process and all that it has started, where it leads a group of its own
    /// ([`Command::process_group`]).
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_net::create_subprocess_shell;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let process = create_subprocess_shell("sleep 100 | sleep 100").process_group(true).await?;
    ///     process.kill_group()?;
    ///     assert_eq!(process.wait().await?, -9);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when it leads no group; otherwise as of [`send_signal`](Self::send_signal).
    pub fn kill_group(&self) -> Result<()> {
        self.shared.kill_group()
    }
}

impl Shared {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn returncode(&self) -> Option<i32> {
        lock(&self.state).returncode
    }

    pub(crate) async fn wait(&self) -> Result<i32> {
        Ok(wait_until(&self.state, |state| state.returncode).await?)
    }

    pub(crate) fn send_signal(&self, signal: i32) -> Result<()> {
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| ValueError::new(format!("{signal} is no signal")))?;
        self.signal(signal, false)
    }

    pub(crate) fn kill_group(&self) -> Result<()> {
        if !self.own_group {
            return Err(ValueError::new("the process leads no group of its own").into());
        }
        self.signal(Signal::KILL, true)
    }

    /// Kills it, with its group if it has one, unless it has ended.
    pub(crate) fn end(&self) {
        // It may have ended, which is as well.
        let _ = self.signal(Signal::KILL, self.own_group);
    }

    pub(crate) fn signal(&self, signal: Signal, group: bool) -> Result<()> {
        // While this is locked the process is not reaped, so that its number is no other's.
        let mut state = lock(&self.state);
        if state.returncode.is_none() && !group {
            // It may have ended already.
            if let Some(status) = state.child.try_wait()? {
                let woken = state.ended(status);
                drop(state);
                woken.wake();
                return Err(ProcessLookupError.into());
            }
        }
        if state.returncode.is_some() {
            return Err(ProcessLookupError.into());
        }
        let sent = if group {
            kill_process_group(self.pid, signal)
        } else {
            kill_process(self.pid, signal)
        };
        drop(state);
        sent.map_err(|error| io::Error::from(error).into())
    }
}

impl State {
    fn ended(&mut self, status: ExitStatus) -> crate::waiters::Woken {
        let code = status.code();
        let signal = status.signal().map(|signal| -signal);
        self.returncode = code.or(signal).or(Some(0));
        self.waiters.take()
    }
}

/// Waits for the child, whoever else does.
async fn reap(shared: Arc<Shared>) {
    poll_fn(|cx| {
        let mut state = lock(&shared.state);
        if state.returncode.is_some() {
            return Poll::Ready(());
        }
        // The future keeps nothing from one poll to the next.
        let polled = pin!(state.child.wait()).poll(cx);
        let Poll::Ready(status) = polled else {
            return Poll::Pending;
        };
        // Somebody else has reaped it: what it ended with is not known, as in Python.
        let woken = state.ended(status.unwrap_or_else(|_| ExitStatus::from_raw(255 << 8)));
        drop(state);
        woken.wake();
        Poll::Ready(())
    })
    .await;
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill_on_drop {
            self.shared.end();
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("returncode", &self.returncode())
            .finish_non_exhaustive()
    }
}
