//! The parent's side of one worker.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::child::{self, PROGRAM, Start};
use super::function::Request;
use super::reply::Reply;

/// A process that makes calls, one after the other.
pub(super) struct Worker {
    process: Arc<Process>,
    channel: UnixStream,
    /// How many calls it has made.
    pub(super) calls: usize,
}

/// A process that can be killed from anywhere.
pub(super) struct Process {
    /// Nobody waits while holding this, so that it can be killed at any time; and a process that was
    /// waited for is not killed, for its number may be another's by then.
    child: Mutex<Child>,
    is_killed: AtomicBool,
    killed: Notify,
}

/// A process has ended, and how where that is known.
pub(super) struct Ended(pub(super) Option<ExitStatus>);

/// How long a process that has been told to end may take.
const LINGER: Duration = Duration::from_secs(1);
/// How often a busy one is looked at. Its end closes the socket, but for what it may have started.
const LOOK: Duration = Duration::from_secs(1);

impl Worker {
    /// Starts a process, on a tokio runtime.
    pub(super) fn spawn(start: Start) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let channel = UnixStream::from_std(ours)?;
        // The command is gone after this, and so is our hold of their end: the end of the process is
        // to be the end of the socket.
        let child = child::command(start, OwnedFd::from(theirs))?.spawn()?;
        let process = Process {
            child: Mutex::new(child),
            is_killed: AtomicBool::new(false),
            killed: Notify::new(),
        };
        Ok(Self {
            process: Arc::new(process),
            channel,
            calls: 0,
        })
    }

    /// Waits until the process is ready; whether it runs the same program as this one. An error is
    /// that it has ended.
    pub(super) async fn greeted(&self) -> io::Result<bool> {
        let ours = child::program_of_this_process()?;
        let mut theirs = [0; PROGRAM];
        self.watched(async |channel| read_exact(channel, &mut theirs).await)
            .await?;
        Ok(ours == theirs)
    }

    pub(super) const fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Has a call made. An error is that the process has ended, or is good for nothing any more.
    pub(super) async fn call(&mut self, request: &Request) -> io::Result<Reply> {
        self.calls += 1;
        self.watched(async |channel| {
            write_all(channel, request.as_bytes()).await?;
            let mut length = [0; 8];
            read_exact(channel, &mut length).await?;
            let (mut reply, length) = Reply::of_length(length);
            read(channel, reply.bytes(), length).await?;
            Ok(reply)
        })
        .await
    }

    /// Waits until the process has ended while there is nothing for it to do.
    pub(super) async fn ended(&self) {
        // It says nothing without being asked, so that all there is to read is the end.
        let closed = async { drop(read_exact(&self.channel, &mut [0]).await) };
        either(closed, self.process.killed.notified()).await;
    }

    /// Whether the process has ended, as far as it can be seen.
    pub(super) fn has_ended(&self) -> bool {
        self.process.try_wait().is_some()
    }

    /// Ends the process, which does so by itself when its socket is closed and it is not busy, and
    /// waits until it is no more.
    pub(super) async fn end(self) -> Ended {
        let Self {
            process, channel, ..
        } = self;
        drop(channel);
        let deadline = Instant::now() + LINGER;
        loop {
            if let Some(ended) = process.try_wait() {
                return ended;
            }
            if Instant::now() > deadline {
                process.kill();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Talks to the process for as long as it lives.
    async fn watched<T>(
        &self,
        talk: impl AsyncFnOnce(&UnixStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let watch = async {
            loop {
                either(self.process.killed.notified(), sleep(LOOK)).await;
                if self.process.is_killed() || self.has_ended() {
                    return;
                }
            }
        };
        match either(talk(&self.channel), watch).await {
            Either::First(result) => result,
            Either::Second(()) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Process {
    /// Kills the process, unless it has been waited for.
    pub(super) fn kill(&self) {
        // Release, with the Acquire in `is_killed`: who sees it need not wait for what was asked.
        self.is_killed.store(true, Ordering::Release);
        // An error is that it has ended.
        let _ = self.lock().kill();
        self.killed.notify_one();
    }

    fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Acquire)
    }

    fn try_wait(&self) -> Option<Ended> {
        match self.lock().try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(Ended(Some(status))),
            // Somebody else has waited for it.
            Err(_) => Some(Ended(None)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_all(channel: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match channel.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => channel.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_exact(channel: &UnixStream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match channel.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes = &mut bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => channel.readable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads so many bytes; memory is taken as they come, not as they are announced.
async fn read(channel: &UnixStream, bytes: &mut Vec<u8>, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let begun = bytes.len();
        let more = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        bytes.resize(begun + more, 0);
        read_exact(channel, &mut bytes[begun..]).await?;
        left -= more as u64;
    }
    Ok(())
}

const PIECE: usize = 1 << 20;

pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// What is done first; the other one is dropped.
pub(super) async fn either<A: Future, B: Future>(
    first: A,
    second: B,
) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(value) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(value));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}
