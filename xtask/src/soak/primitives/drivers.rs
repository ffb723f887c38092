//! The eight tasks, and their operations.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use asyncio_core::{Result, create_task, current_task, sleep, wait_for};
use asyncio_sync::{BrokenBarrierError, QueueShutDown};

use super::super::random::Random;
use super::stock::{Item, Shelf};
use super::{PERMITS, TASKS, Table, guard};

/// What an operation is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Lock,
    Semaphore,
    Bounded,
    Event,
    Condition,
    Barrier,
    /// The queue with this number.
    Put(usize),
    Get(usize),
    Join(usize),
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It runs to its end, as far as it is not cancelled by another task.
    Ends,
    /// It is polled so often, and dropped if it is not done by then.
    IsDropped(usize),
    /// It is a task of its own, which is cancelled after so many turns.
    IsCancelled(usize),
    /// It is given little time.
    IsLimited,
}

/// An operation that is under way, as it is shown; `bool`: whether it may wait for another.
pub(super) type Doing = (Kind, Fate, bool);

type Operation = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Kind {
    /// Those of a round: few, so that tasks meet.
    pub(super) fn draw(random: &mut Random) -> Vec<Self> {
        let mut kinds = Vec::new();
        for _ in 0..1 + random.below(3) {
            match random.below(9) {
                0 => kinds.push(Self::Lock),
                1 => kinds.push(Self::Semaphore),
                2 => kinds.push(Self::Bounded),
                3 => kinds.push(Self::Event),
                4 => kinds.push(Self::Condition),
                5 => kinds.push(Self::Barrier),
                queue => {
                    let shelf = queue - 6;
                    kinds.extend([Self::Put(shelf), Self::Get(shelf)]);
                    if random.one_in(2) {
                        kinds.push(Self::Join(shelf));
                    }
                }
            }
        }
        kinds
    }
}

/// One of the tasks.
pub(super) async fn drive(driver: Driver, mut random: Random) -> Result<()> {
    let Driver(table, number) = &driver;
    let (table, number) = (Arc::clone(table), *number);
    table.begun.fetch_add(1, Ordering::SeqCst);
    let mut numbers = 0;
    while !table.is_over() {
        table.left.fetch_sub(1, Ordering::Relaxed);
        numbers += 1;
        let kind = table.kinds[random.below(table.kinds.len())];
        let fate = match random.below(16) {
            0..9 => Fate::Ends,
            9..12 => Fate::IsDropped(random.below(3)),
            12..15 => Fate::IsCancelled(random.below(4)),
            _ => Fate::IsLimited,
        };
        // Whoever waits to the end for another is one of those who may.
        let sleeper = match fate {
            Fate::Ends => Sleeper::new(&table),
            _ => None,
        };
        let may_sleep = sleeper.is_some() || !matches!(fate, Fate::Ends);
        let item = (numbers, number);
        *guard(&table.doing[number]) = Some((kind, fate, may_sleep));
        let operation = operation(
            kind,
            Arc::clone(&table),
            item,
            may_sleep,
            sleeper.is_some(),
            &mut random,
        );
        match fate.meet(operation, &table).await {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => {
                table.cancelled.fetch_add(1, Ordering::Relaxed);
                if let Some(task) = current_task() {
                    task.uncancel();
                }
            }
            Err(error) if error.is::<BrokenBarrierError>() || error.is::<QueueShutDown>() => {}
            Err(error) if error.is::<asyncio_core::TimeoutError>() => {}
            Err(error) => table.wrong(format!("{kind:?} {fate:?} failed: {error}")),
        }
        drop(sleeper);
        if random.one_in(16)
            && let Some(tasks) = table.tasks.get()
        {
            tasks[random.below(TASKS)].cancel();
        }
    }
    Ok(())
}

/// What a task is, with its number; takes note of its end, however that comes.
pub(super) struct Driver(pub(super) Arc<Table>, pub(super) usize);

impl Drop for Driver {
    fn drop(&mut self) {
        *guard(&self.0.doing[self.1]) = None;
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// One of those who may wait until another does something.
struct Sleeper<'a>(&'a Table);

impl<'a> Sleeper<'a> {
    fn new(table: &'a Table) -> Option<Self> {
        let free = |count: usize| count.checked_sub(1);
        let taken = table
            .sleepers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, free);
        taken.is_ok().then(|| Self(table))
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.sleepers.fetch_add(1, Ordering::SeqCst);
    }
}

impl Fate {
    async fn meet(self, operation: Operation, table: &Table) -> Result<()> {
        match self {
            Self::Ends => operation.await,
            Self::IsDropped(polls) => {
                let mut operation = operation;
                let mut left = polls;
                poll_fn(move |cx| match operation.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result),
                    Poll::Pending if left == 0 => {
                        table.dropped.fetch_add(1, Ordering::Relaxed);
                        Poll::Ready(Ok(()))
                    }
                    Poll::Pending => {
                        left -= 1;
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                })
                .await
            }
            Self::IsCancelled(turns) => {
                let task = create_task(operation);
                let mut interrupted = Ok(());
                for _ in 0..turns {
                    interrupted = interrupted.and(sleep(0).await);
                }
                task.cancel();
                // However often this one is cancelled meanwhile, the next operation comes after that one.
                while !task.done() {
                    interrupted = interrupted.and(sleep(0).await);
                }
                let ended = task.result();
                interrupted.and(ended)
            }
            Self::IsLimited => wait_for(operation, 0.000_1).await,
        }
    }
}

/// Counts who is asleep, as long as there is an account of it.
struct Asleep<'a>(Option<&'a AtomicUsize>);

impl<'a> Asleep<'a> {
    fn new(count: &'a AtomicUsize, is_counted: bool) -> Self {
        if is_counted {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Self(is_counted.then_some(count))
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Counts who is where only so many may be.
struct Inside<'a>(&'a AtomicUsize);

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicUsize, most: usize, table: &Table) -> Self {
        if count.fetch_add(1, Ordering::SeqCst) >= most {
            table.wrong(format!("more than {most} where only so many may be"));
        }
        Self(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `may_sleep`: whether it may wait for what another has to do; `counts`: whether that wait is kept account
/// of, which is so for waits that nobody ends but who is waited for.
fn operation(
    kind: Kind,
    table: Arc<Table>,
    item: Item,
    may_sleep: bool,
    counts: bool,
    random: &mut Random,
) -> Operation {
    let (turns, chance) = (random.below(3), random.below(8));
    match kind {
        Kind::Lock => Box::pin(async move { lock(&table, turns).await }),
        Kind::Semaphore => Box::pin(async move {
            let _permit = table.semaphore.guard().await?;
            let _inside = Inside::enter(&table.inside_semaphore, PERMITS, &table);
            rest(turns).await
        }),
        Kind::Bounded => Box::pin(async move {
            let _permit = table.bounded.guard().await?;
            let _inside = Inside::enter(&table.inside_bounded, PERMITS, &table);
            rest(turns).await
        }),
        Kind::Event => {
            Box::pin(async move { event(&table, may_sleep && chance > 2, counts).await })
        }
        Kind::Condition => {
            Box::pin(async move { condition(&table, chance, may_sleep, counts).await })
        }
        Kind::Barrier => Box::pin(async move { barrier(&table, chance, may_sleep, counts).await }),
        Kind::Put(shelf) => {
            Box::pin(async move { put(&table.shelves[shelf], item, may_sleep, counts).await })
        }
        Kind::Get(shelf) => {
            Box::pin(async move { get(&table.shelves[shelf], item.1, may_sleep, counts).await })
        }
        Kind::Join(shelf) => Box::pin(async move {
            if may_sleep && chance == 0 {
                joined(&table.shelves[shelf]).await
            } else {
                Ok(())
            }
        }),
    }
}

async fn rest(turns: usize) -> Result<()> {
    for _ in 0..turns {
        sleep(0).await?;
    }
    Ok(())
}

async fn lock(table: &Table, turns: usize) -> Result<()> {
    let mut held = table.lock.guard().await?;
    let _inside = Inside::enter(&table.inside_lock, 1, table);
    let read = *held;
    rest(turns).await?;
    *held = read + 1;
    table.changes.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Waits for the event of now, or sets it, once for all, and puts another one in its place.
async fn event(table: &Table, waits: bool, counts: bool) -> Result<()> {
    let (waited_for, _asleep) = {
        let mut now = guard(&table.event);
        if table.closing.load(Ordering::SeqCst) {
            return Ok(());
        }
        if !waits {
            let old = std::mem::take(&mut *now);
            drop(now);
            old.set();
            return Ok(());
        }
        (now.clone(), Asleep::new(&table.asleep_event, counts))
    };
    Ok(waited_for.wait().await?)
}

/// Brings goods, or takes some when there are any.
async fn condition(table: &Table, chance: usize, may_sleep: bool, counts: bool) -> Result<()> {
    let condition = &table.condition;
    let _guard = condition.guard().await?;
    if chance < 4 {
        let more = 1 + chance % 2;
        table.goods.fetch_add(more, Ordering::SeqCst);
        return Ok(condition.notify(more)?);
    }
    let closing = || table.closing.load(Ordering::SeqCst);
    let there = || table.goods.load(Ordering::SeqCst) > 0;
    if may_sleep {
        let _asleep = Asleep::new(&table.asleep_condition, counts);
        condition.wait_for(|| there() || closing()).await?;
    }
    if there() {
        table.goods.fetch_sub(1, Ordering::SeqCst);
    }
    Ok(())
}

async fn barrier(table: &Table, chance: usize, may_sleep: bool, counts: bool) -> Result<()> {
    let barrier = &table.barrier;
    if table.closing.load(Ordering::SeqCst) {
        return Ok(());
    }
    if may_sleep && chance > 0 {
        let _asleep = Asleep::new(&table.asleep_barrier, counts);
        return barrier.wait().await.map(drop);
    }
    if chance % 2 == 1 {
        barrier.abort().await?;
        sleep(0).await?;
    }
    barrier.reset().await
}

async fn put(shelf: &Shelf, item: Item, may_sleep: bool, counts: bool) -> Result<()> {
    if may_sleep {
        let _asleep = Asleep::new(&shelf.asleep_put, counts);
        shelf.queue.put(item).await?;
    } else if shelf.queue.put_nowait(item).is_err() {
        return Ok(());
    }
    shelf.note_put(item);
    Ok(())
}

async fn get(shelf: &Shelf, consumer: usize, may_sleep: bool, counts: bool) -> Result<()> {
    let got = if may_sleep {
        let _asleep = Asleep::new(&shelf.asleep_get, counts);
        shelf.queue.get().await?
    } else {
        match shelf.queue.get_nowait() {
            Ok(item) => item,
            Err(_) => return Ok(()),
        }
    };
    shelf.note_got(consumer, got);
    Ok(())
}

async fn joined(shelf: &Shelf) -> Result<()> {
    // Nobody has to wait for all items to be dealt with: it is given up after some turns.
    let mut join = pin!(shelf.queue.join());
    let mut left = 4;
    poll_fn(|cx| match join.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(Into::into)),
        Poll::Pending if left == 0 => Poll::Ready(Ok(())),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Wakes all who are asleep at the condition and the barrier; they see that all is over.
pub(super) async fn wake_all(table: &Table) -> Result<()> {
    {
        let _guard = table.condition.guard().await?;
        table.condition.notify_all()?;
    }
    // Broken, for somebody may be on the way to it.
    table.barrier.abort().await
}
