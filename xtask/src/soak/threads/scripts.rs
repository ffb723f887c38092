//! What tasks do: a few steps, drawn when the task is made, of which each waits for what was there then.
//!
//! So nobody waits for himself by way of others, and every task ends when nothing is lost.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use asyncio_core::{
    Exception, FutureExt, Result, create_task, gather, shield, sleep, task_group, wait_for,
};

use super::super::random::Random;
use super::super::tally::{Counted, Kind, Tally};
use super::World;
use super::acts;
use super::board::Pick;

/// One that is about to be run.
pub(super) struct Script {
    steps: Vec<Step>,
    random: Random,
    coroutine: Counted,
}

enum Step {
    /// Awaits it to its end.
    Await(Pick),
    /// Awaits it for some polls, and drops the wait.
    Abandon(Pick, usize),
    /// Awaits it for some time, and cancels it then.
    Limit(Pick),
    Shield(Pick),
    Gather(Pick, Pick),
    /// Two tasks of a group.
    Group,
    Child,
    Turn,
    Nap,
    Foreign,
    /// Does to others what all do.
    Act,
}

/// What a task fails with.
#[derive(Debug, thiserror::Error)]
#[error("drawn by lot")]
struct Failed(Counted);

/// Longer than nothing, shorter than most waits.
const MOMENT: f64 = 0.000_5;

impl Script {
    pub(super) fn draw(world: &World, random: &mut Random) -> Self {
        let steps = (0..random.below(4)).map(|_| Step::draw(world, random));
        Self {
            steps: steps.collect(),
            coroutine: world.tally.one(Kind::Coroutine),
            random: random.fork(),
        }
    }

    pub(super) async fn run(self, world: Arc<World>) -> Result<Counted> {
        let Self {
            steps,
            mut random,
            coroutine,
        } = self;
        for step in steps {
            world.count();
            let Err(error) = step.take(&world, &mut random).await else {
                continue;
            };
            if error.is_cancelled() {
                // Its own cancellation, or that of what it waited for.
                match random.below(3) {
                    0 => break,
                    1 => sleep(0).await?,
                    _ => {}
                }
                return Err(error);
            }
        }
        drop(coroutine);
        if random.one_in(8) {
            return Err(failed(&world.tally));
        }
        Ok(world.tally.one(Kind::Result))
    }
}

fn failed(tally: &Arc<Tally>) -> Exception {
    Exception::new(Failed(tally.one(Kind::Error)))
}

impl Step {
    fn draw(world: &World, random: &mut Random) -> Self {
        let pick = |random: &mut Random| world.board.pick(random);
        match random.below(13) {
            0..3 => Self::Await(pick(random)),
            3 => Self::Abandon(pick(random), random.below(3)),
            4 => Self::Limit(pick(random)),
            5 => Self::Shield(pick(random)),
            6 => Self::Gather(pick(random), pick(random)),
            7 => Self::Group,
            8 => Self::Child,
            9 => Self::Turn,
            10 => Self::Nap,
            11 => Self::Foreign,
            _ => Self::Act,
        }
    }

    async fn take(self, world: &Arc<World>, random: &mut Random) -> Result<()> {
        match self {
            Self::Await(pick) => pick.end().await,
            Self::Abandon(pick, polls) => abandon(pick.end(), polls).await.unwrap_or(Ok(())),
            Self::Limit(Pick::Task(task)) => wait_for(task, MOMENT).await.map(drop),
            Self::Limit(pick) => wait_for(pick.end(), MOMENT).await,
            Self::Shield(Pick::Task(task)) => shield(task).await.map(drop),
            Self::Shield(Pick::Future(future)) => shield(future).await.map(drop),
            Self::Shield(pick) => pick.end().await,
            Self::Gather(Pick::Task(one), Pick::Task(other)) => {
                gather((one, other)).await.map(drop)
            }
            Self::Gather(one, other) => gather((one.end(), other.end())).await.map(drop),
            Self::Group => group(world, random).await,
            Self::Child => {
                let coroutine = world.tally.one(Kind::Coroutine);
                let child = create_task(async move {
                    sleep(0).await?;
                    drop(coroutine);
                    Ok(())
                });
                if random.one_in(4) {
                    child.cancel();
                }
                child.await
            }
            Self::Turn => sleep(0).await,
            Self::Nap => sleep(MOMENT).await,
            Self::Foreign => {
                tokio::task::yield_now().await;
                Ok(())
            }
            Self::Act => {
                acts::act(world, random);
                Ok(())
            }
        }
    }
}

/// Two children, of which one may fail.
async fn group(world: &Arc<World>, random: &mut Random) -> Result<()> {
    let fails = random.one_in(4).then(|| failed(&world.tally));
    let coroutines = [(); 2].map(|()| world.tally.one(Kind::Coroutine));
    task_group(async |group| {
        let [one, other] = coroutines;
        let child: asyncio_core::Task<()> = group.create_task(async move {
            sleep(0).await?;
            drop(one);
            fails.map_or(Ok(()), Err)
        });
        group.create_task(async move {
            sleep(MOMENT).await?;
            drop(other);
            Ok(())
        });
        child.await
    })
    .await
}

impl Pick {
    /// Awaits it.
    pub(super) async fn end(self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Task(task) => task.await.map(drop),
            Self::Future(future) => future.await.map(drop),
            Self::Job(job) => job.await.map(drop),
            Self::Bell(bell) => Ok(bell.rings().cancellable().await?),
        }
    }
}

/// Polls a future so often and drops it, if it is not done by then.
pub(super) async fn abandon<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
