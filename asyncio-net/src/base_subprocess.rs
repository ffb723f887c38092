//! Child processes with a protocol (`asyncio/base_subprocess.py`, `loop.subprocess_exec` of
//! `asyncio/base_events.py`).

use std::ffi::OsStr;
use std::fmt;
use std::future::{IntoFuture, poll_fn, ready};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use asyncio_core::{Exception, Result, create_task};
use rustix::process::Signal;

use crate::connections::{Event, next};
use crate::protocols::SubprocessProtocol;
use crate::streams::StreamReader;
use crate::subprocess::{Command, PIPE, Shared, Spawned};
use crate::transports::Transport;
use crate::unix_events::{Gone, read_transport, write_pipe};
use crate::waiters::lock;

/// Starts a program, and has a protocol called with what happens to it (`loop.subprocess_exec`). All
/// three streams are pipes, unless something else is said.
///
/// ```
/// use asyncio_core::{Exception, Future, Result, get_running_loop, run};
/// use asyncio_net::{SubprocessProtocol, SubprocessTransport, subprocess_exec};
///
/// struct Shouted {
///     heard: Vec<u8>,
///     done: Future<Vec<u8>>,
/// }
///
/// impl SubprocessProtocol for Shouted {
///     fn connection_made(&mut self, transport: &SubprocessTransport) {
///         let stdin = transport.get_pipe_transport(0).expect("it is a pipe");
///         stdin.write(b"hello");
///         stdin.close();
///     }
///     fn pipe_data_received(&mut self, _: &SubprocessTransport, fd: i32, data: &[u8]) {
///         assert_eq!(fd, 1);
///         self.heard.extend_from_slice(data);
///     }
///     fn connection_lost(&mut self, _: Option<Exception>) {
///         let _ = self.done.set_result(std::mem::take(&mut self.heard));
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let done = get_running_loop()?.create_future();
///     let protocol = Shouted { heard: Vec::new(), done: done.clone() };
///     let child = subprocess_exec(|| protocol, "tr").args(["a-z", "A-Z"]).await?;
///     assert_eq!(done.await?, b"HELLO");
///     assert_eq!(child.get_returncode(), Some(0));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`create_subprocess_exec`](crate::create_subprocess_exec).
///
/// # asyncio
///
/// The protocol belongs to the child: share with it what is to be seen from outside. It is called by a
/// task.
pub fn subprocess_exec<F, P>(protocol_factory: F, program: impl AsRef<OsStr>) -> Command<F>
where
    F: FnOnce() -> P,
    P: SubprocessProtocol,
{
    Command::new(protocol_factory, program, || PIPE)
}

/// Starts a command line by the shell, and has a protocol called with what happens to it
/// (`loop.subprocess_shell`); see [`subprocess_exec`].
///
/// # Errors
///
/// As of [`create_subprocess_exec`](crate::create_subprocess_exec).
pub fn subprocess_shell<F, P>(protocol_factory: F, command: impl AsRef<OsStr>) -> Command<F>
where
    F: FnOnce() -> P,
    P: SubprocessProtocol,
{
    subprocess_exec(protocol_factory, "/bin/sh")
        .arg("-c")
        .arg(command)
}

impl<F, P> IntoFuture for Command<F>
where
    F: FnOnce() -> P,
    P: SubprocessProtocol,
{
    type Output = Result<SubprocessTransport>;
    type IntoFuture = std::future::Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        // Starting takes no wait.
        ready(self.spawn().and_then(begin))
    }
}

/// A child process that a [`SubprocessProtocol`] is called for (`asyncio.SubprocessTransport`).
///
/// A clone is the same transport. The child lives without any, until it ends or is closed.
///
/// See [`subprocess_exec`] for an example.
#[derive(Clone)]
pub struct SubprocessTransport {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pipes: [Option<Pipe>; 3],
    state: Mutex<State>,
}

struct Pipe {
    transport: Transport,
    /// Of one that is read from.
    reader: Option<StreamReader>,
}

#[derive(Default)]
struct State {
    closing: bool,
    /// Everything was told.
    over: bool,
    next_protocol: Option<Box<dyn SubprocessProtocol>>,
}

impl SubprocessTransport {
    /// The process's number (`SubprocessTransport.get_pid`).
    #[must_use]
    pub fn get_pid(&self) -> u32 {
        self.inner.shared.pid()
    }

    /// What the process has ended with (`SubprocessTransport.get_returncode`): a negative number for a
    /// signal; `None` while it is not known to have ended.
    #[must_use]
    pub fn get_returncode(&self) -> Option<i32> {
        self.inner.shared.returncode()
    }

    /// The pipe to the child's input (0), from its output (1) or its output of errors (2), where it is
    /// one (`SubprocessTransport.get_pipe_transport`).
    ///
    /// What is written to one that is read from ends it with an error.
    #[must_use]
    pub fn get_pipe_transport(&self, fd: i32) -> Option<Transport> {
        let pipe = self.inner.pipes.get(usize::try_from(fd).ok()?)?;
        Some(pipe.as_ref()?.transport.clone())
    }

    /// Sends a signal, by its number (`SubprocessTransport.send_signal`).
    ///
    /// # Errors
    ///
    /// As of [`Process::send_signal`](crate::Process::send_signal).
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        self.inner.shared.send_signal(signal)
    }

    /// Asks the process to end, by SIGTERM (`SubprocessTransport.terminate`).
    ///
    /// # Errors
    ///
    /// As of [`Process::send_signal`](crate::Process::send_signal).
    pub fn terminate(&self) -> Result<()> {
        self.inner.shared.signal(Signal::TERM, false)
    }

    /// Kills the process (`SubprocessTransport.kill`).
    ///
    /// # Errors
    ///
    /// As of [`Process::send_signal`](crate::Process::send_signal).
    pub fn kill(&self) -> Result<()> {
        self.inner.shared.signal(Signal::KILL, false)
    }

    /// Kills the process and all that it has started; see
    /// [`Process::kill_group`](crate::Process::kill_group).
    ///
    /// # Errors
    ///
    /// As of [`Process::kill_group`](crate::Process::kill_group).
    pub fn kill_group(&self) -> Result<()> {
        self.inner.shared.kill_group()
    }

    /// Closes the pipes and kills the process, if it has not ended (`BaseTransport.close`).
    pub fn close(&self) {
        lock(&self.inner.state).closing = true;
        self.inner.close_pipes();
        self.inner.shared.end();
    }

    /// Whether it was closed, or everything has ended (`BaseTransport.is_closing`).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        lock(&self.inner.state).closing
    }

    /// Has another protocol called from now on (`BaseTransport.set_protocol`); see
    /// [`Transport::set_protocol`].
    pub fn set_protocol(&self, protocol: impl SubprocessProtocol) {
        let mut protocol: Option<Box<dyn SubprocessProtocol>> = Some(Box::new(protocol));
        {
            let mut state = lock(&self.inner.state);
            if !state.over {
                std::mem::swap(&mut state.next_protocol, &mut protocol);
            }
        }
        drop(protocol);
    }
}

impl Inner {
    fn close_pipes(&self) {
        for pipe in self.pipes.iter().flatten() {
            pipe.transport.close();
        }
    }

    fn take_protocol(&self) -> Option<Box<dyn SubprocessProtocol>> {
        lock(&self.state).next_protocol.take()
    }
}

fn begin<F, P>(spawned: Spawned<F>) -> Result<SubprocessTransport>
where
    F: FnOnce() -> P,
    P: SubprocessProtocol,
{
    let (shared, kill) = (spawned.shared, spawned.kill_on_drop);
    let (pipes, gone) = pipes(spawned.ends, spawned.limit).inspect_err(|_| {
        if kill {
            shared.end();
        }
    })?;
    let transport = SubprocessTransport {
        inner: Arc::new(Inner {
            shared,
            pipes,
            state: Mutex::default(),
        }),
    };
    let mut protocol = Box::new((spawned.factory)());
    let ending = Ending {
        transport: transport.clone(),
        kill,
    };
    protocol.connection_made(&transport);
    drop(create_task(call(protocol, ending, gone)));
    Ok(transport)
}

fn pipes(ends: crate::subprocess::Ends, limit: usize) -> Result<([Option<Pipe>; 3], Option<Gone>)> {
    let gone = ends.stdin.as_ref().map(Gone::watch).transpose()?;
    let stdin = ends.stdin.map(write_pipe).transpose()?.map(|writer| {
        writer.outgoing().lock().pause_wanted = true;
        Pipe {
            transport: Transport::of(writer),
            reader: None,
        }
    });
    let output = |end: Option<OwnedFd>| -> Result<Option<Pipe>> {
        let Some(fd) = end else { return Ok(None) };
        let (reader, writer) = read_transport(fd, limit)?;
        Ok(Some(Pipe {
            transport: Transport::of(writer),
            reader: Some(reader),
        }))
    };
    Ok(([stdin, output(ends.stdout)?, output(ends.stderr)?], gone))
}

/// Closes what is left when the task ends before the child.
struct Ending {
    transport: SubprocessTransport,
    kill: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let inner = &self.transport.inner;
        let protocol = {
            let mut state = lock(&inner.state);
            state.closing = true;
            state.over = true;
            // It may hold the transport, which holds it.
            state.next_protocol.take()
        };
        drop(protocol);
        inner.close_pipes();
        if self.kill {
            inner.shared.end();
        }
    }
}

/// What happened to a child.
enum Happened {
    ToPipe(usize, Event),
    /// Nobody reads the child's input any more.
    Gone,
    Exited,
}

/// What the protocol knows already.
struct Told {
    lost: [bool; 3],
    paused: bool,
    exited: bool,
}

/// Calls a protocol until the child has ended and all pipes are closed.
async fn call(
    mut protocol: Box<dyn SubprocessProtocol>,
    ending: Ending,
    mut gone: Option<Gone>,
) -> Result<()> {
    let transport = &ending.transport;
    let inner = &transport.inner;
    let mut told = Told {
        lost: std::array::from_fn(|fd| inner.pipes[fd].is_none()),
        paused: false,
        exited: false,
    };
    while !told.exited || told.lost.contains(&false) {
        let happened = happens(inner, &told, gone.as_ref()).await?;
        if let Some(next) = inner.take_protocol() {
            protocol = next;
        }
        match happened {
            Happened::Exited => {
                told.exited = true;
                protocol.process_exited(transport);
            }
            Happened::Gone => {
                gone = None;
                if let Some(stdin) = &inner.pipes[0] {
                    // What was not written is lost, and otherwise it is an end like another.
                    let error = io::Error::from(io::ErrorKind::BrokenPipe);
                    let kept = stdin.transport.get_write_buffer_size() > 0;
                    let outgoing = stdin.transport.outgoing();
                    outgoing.lose(kept.then(|| Exception::from(error)));
                }
            }
            Happened::ToPipe(fd, event) => {
                let Some(pipe) = &inner.pipes[fd] else {
                    continue;
                };
                // 0, 1 or 2.
                let number = fd as i32;
                match event {
                    Event::Data(_) | Event::Failed(_) if pipe.transport.is_closing() => {}
                    Event::Data(data) if data.is_empty() => pipe.transport.close(),
                    Event::Data(data) => protocol.pipe_data_received(transport, number, &data),
                    Event::Failed(error) => pipe.transport.lose(error),
                    Event::Reading => {}
                    Event::Paused(now) => {
                        told.paused = now;
                        if now {
                            protocol.pause_writing();
                        } else {
                            protocol.resume_writing();
                        }
                    }
                    Event::Lost(exception) => {
                        told.lost[fd] = true;
                        if fd == 0 {
                            gone = None;
                        }
                        protocol.pipe_connection_lost(transport, number, exception);
                    }
                }
            }
        }
    }
    drop(ending);
    protocol.connection_lost(None);
    Ok(())
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Happened>> + Send + 'a>>;

/// The next that happens. What a pipe has comes before the child's end.
async fn happens(inner: &Inner, told: &Told, gone: Option<&Gone>) -> Result<Happened> {
    let mut all: Vec<Waiting<'_>> = Vec::with_capacity(5);
    for (fd, pipe) in inner.pipes.iter().enumerate() {
        let Some(pipe) = pipe.as_ref().filter(|_| !told.lost[fd]) else {
            continue;
        };
        let paused = fd == 0 && told.paused;
        all.push(Box::pin(async move {
            let event = next(&pipe.transport, pipe.reader.as_ref(), paused).await?;
            Ok(Happened::ToPipe(fd, event))
        }));
    }
    if let Some(gone) = gone {
        all.push(Box::pin(async {
            gone.wait().await;
            Ok(Happened::Gone)
        }));
    }
    if !told.exited {
        all.push(Box::pin(async {
            inner.shared.wait().await?;
            Ok(Happened::Exited)
        }));
    }
    poll_fn(|cx| {
        let mut polled = all.iter_mut().map(|waiting| waiting.as_mut().poll(cx));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

impl fmt::Debug for SubprocessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubprocessTransport")
            .field("pid", &self.get_pid())
            .field("returncode", &self.get_returncode())
            .finish_non_exhaustive()
    }
}
