//! Where tasks run: loops and runtimes that begin and end.

use std::sync::{Arc, Once, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use asyncio_core::{
    EventLoop, Job, MultiThreadRunner, OwnedEventLoop, Result, Runner, all_tasks, create_task,
    run_coroutine_threadsafe,
};
use tokio::runtime::{Builder, Handle, Runtime};

use super::super::random::Random;
use super::super::tally::{Counted, Kind};
use super::World;
use super::board::Thing;

/// Workers of a runtime.
const WORKERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(super) enum SiteKind {
    Loop,
    Runtime,
    Runner,
}

/// Those of a round.
pub(super) const KINDS: [SiteKind; 4] = [
    SiteKind::Loop,
    SiteKind::Loop,
    SiteKind::Runtime,
    SiteKind::Runner,
];

/// A loop or a runtime.
pub(super) enum Site {
    Loop(EventLoop, JoinHandle<Result<()>>),
    Runtime(Runtime),
    Runner(MultiThreadRunner, Handle),
}

/// What others know of it.
#[derive(Clone)]
pub(super) enum Place {
    Loop(EventLoop),
    Runtime(Handle),
}

impl Site {
    pub(super) fn start(kind: SiteKind, random: &mut Random) -> Result<Self, String> {
        let started = match kind {
            SiteKind::Loop => start_loop(random.fork()),
            SiteKind::Runtime => start_runtime(),
            SiteKind::Runner => start_runner(),
        };
        started.map_err(|error| format!("it cannot be started: {error}"))
    }

    pub(super) const fn kind(&self) -> SiteKind {
        match self {
            Self::Loop(..) => SiteKind::Loop,
            Self::Runtime(_) => SiteKind::Runtime,
            Self::Runner(..) => SiteKind::Runner,
        }
    }

    pub(super) fn place(&self) -> Place {
        match self {
            Self::Loop(event_loop, _) => Place::Loop(event_loop.clone()),
            Self::Runtime(runtime) => Place::Runtime(runtime.handle().clone()),
            Self::Runner(_, handle) => Place::Runtime(handle.clone()),
        }
    }

    /// Ends it in one of the ways there are, with all that is in it.
    pub(super) fn end(self, random: &mut Random) -> Result<(), String> {
        match self {
            Self::Loop(event_loop, thread) => {
                if random.one_in(2) {
                    drop(event_loop.call_soon_threadsafe(|| {
                        for task in all_tasks() {
                            task.cancel();
                        }
                    }));
                }
                event_loop.stop();
                let ended = thread.join().map_err(|_| "the thread of a loop panicked")?;
                ended.map_err(|error| format!("a loop failed: {error}"))
            }
            Self::Runtime(runtime) => {
                if random.one_in(2) {
                    runtime.shutdown_background();
                } else {
                    runtime.shutdown_timeout(PATIENCE);
                }
                Ok(())
            }
            Self::Runner(runner, _) => {
                if random.one_in(2) {
                    drop(runner);
                    return Ok(());
                }
                let closed = runner.close();
                closed.map_err(|error| format!("a runner was not closed: {error}"))
            }
        }
    }
}

/// Some loops run in an order that chance decides.
fn start_loop(mut random: Random) -> Result<Site> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut builder = OwnedEventLoop::builder();
        if random.one_in(3) {
            builder = builder.shuffle(random.next());
        }
        let event_loop = builder.build()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let _ = sender.send(EventLoop::clone(&event_loop));
        event_loop.run_forever()?;
        Ok(event_loop.close()?)
    });
    Ok(Site::Loop(receiver.recv()?, thread))
}

fn start_runtime() -> Result<Site> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    Ok(Site::Runtime(runtime))
}

fn start_runner() -> Result<Site> {
    let runner = Runner::builder()
        .worker_threads(WORKERS)
        .exception_handler(|_| ())
        .build()?;
    let handle = runner.handle()?;
    Ok(Site::Runner(runner, handle))
}

impl Place {
    /// Starts a task there, which is put on the board.
    pub(super) fn spawn<F>(&self, world: &Arc<World>, random: &mut Random, coroutine: F)
    where
        F: Future<Output = Result<Counted>> + Send + 'static,
    {
        let (world, mut random) = (Arc::clone(world), random.fork());
        let closure = world.tally.one(Kind::Closure);
        let start = move || {
            world
                .board
                .put(&mut random, Thing::Task(create_task(coroutine)));
            drop(closure);
        };
        match self {
            Self::Loop(event_loop) => drop(event_loop.call_soon_threadsafe(start)),
            Self::Runtime(runtime) => drop(runtime.spawn(async { start() })),
        }
    }

    pub(super) fn run<F>(&self, coroutine: F) -> Job<Counted>
    where
        F: Future<Output = Result<Counted>> + Send + 'static,
    {
        match self {
            Self::Loop(event_loop) => run_coroutine_threadsafe(coroutine, event_loop),
            Self::Runtime(runtime) => run_coroutine_threadsafe(coroutine, runtime),
        }
    }

    /// Has a function called there.
    pub(super) fn call(&self, function: impl FnOnce() + Send + 'static) {
        match self {
            Self::Loop(event_loop) => drop(event_loop.call_soon_threadsafe(function)),
            Self::Runtime(runtime) => drop(runtime.spawn(async { function() })),
        }
    }
}

/// Errors that nobody asked for are to be expected here, and are not told to anybody.
pub(super) fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It may have been set already, which is as good.
        let _ = tracing::subscriber::set_global_default(Deaf);
    });
}

struct Deaf;

impl tracing::Subscriber for Deaf {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
