//! Each primitive against a model of a few lines, with what happens chosen at random.
//!
//! The models know nothing of turns: they say what holds once everything has come to rest. How it gets
//! there, turn by turn, is compared with CPython by the scenarios.

use std::collections::VecDeque;

use asyncio_core::{Result, Task, create_local_task};
use asyncio_sync::{
    Barrier, BoundedSemaphore, BrokenBarrierError, Condition, Event, LifoQueue, Lock,
    PriorityQueue, Queue, Semaphore,
};
use proptest::prelude::*;

use crate::support::{Log, run_virtual, turns};

/// More turns than it takes for everything to come to rest.
const REST: usize = 100;

/// Runs a program; what it asserts fails the test case.
fn check(program: impl Future<Output = Result<()>> + 'static) -> Result<(), TestCaseError> {
    run_virtual(program).map_err(|error| TestCaseError::fail(error.to_string()))
}

/// The tasks of a program, by number.
#[derive(Default)]
struct Crew {
    tasks: Vec<Task<()>>,
    /// Who has got what it waited for, in order.
    served: Log<usize>,
}

impl Crew {
    fn spawn<F: Future<Output = Result<()>> + 'static>(&mut self, wait: F) -> usize {
        let (number, served) = (self.tasks.len(), self.served.clone());
        self.tasks.push(create_local_task(async move {
            wait.await?;
            served.add(number);
            Ok(())
        }));
        number
    }

    /// Cancels one of the tasks, done or not; which one.
    fn cancel(&self, pick: usize) -> Option<usize> {
        let number = pick.checked_rem(self.tasks.len())?;
        self.tasks[number].cancel();
        Some(number)
    }

    /// Those who neither got what they wait for nor were cancelled.
    fn waiting(&self) -> usize {
        self.tasks.iter().filter(|task| !task.done()).count()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take,
    Give,
    Take2,
    Give2(usize),
    Cancel(usize),
    Rest,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Take),
        4 => Just(Step::Give),
        2 => Just(Step::Take2),
        1 => (0..4_usize).prop_map(Step::Give2),
        3 => any::<usize>().prop_map(Step::Cancel),
        2 => Just(Step::Rest),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// Permits go to who waits longest; one that was given to who is cancelled before it runs goes on.
    #[test]
    fn semaphore(value in 0..3_usize, steps in steps()) {
        check(async move {
            let (semaphore, mut crew) = (Semaphore::new(value), Crew::default());
            let (mut permits, mut line, mut served) = (value, VecDeque::new(), Vec::new());
            for step in steps.into_iter().chain([Step::Rest]) {
                match step {
                    Step::Take | Step::Take2 => {
                        let theirs = semaphore.clone();
                        line.push_back(crew.spawn(async move { Ok(theirs.acquire().await?) }));
                    }
                    Step::Give => {
                        semaphore.release();
                        permits += 1;
                    }
                    Step::Give2(count) => {
                        (0..count).for_each(|_| semaphore.release());
                        permits += count;
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        line.retain(|waits| Some(*waits) != cancelled);
                    }
                    Step::Rest => {
                        turns(REST).await?;
                        let count = permits.min(line.len());
                        permits -= count;
                        served.extend(line.drain(..count));
                        assert_eq!(crew.served.all(), served);
                        assert_eq!(crew.waiting(), line.len());
                        assert_eq!(semaphore.locked(), permits == 0);
                    }
                }
            }
            Ok(())
        })?;
    }

    /// As a semaphore, but a permit more than there were is refused: one that was given away by then to
    /// somebody who waits is not there.
    #[test]
    fn bounded_semaphore(most in 0..4_usize, steps in steps()) {
        check(async move {
            let (semaphore, mut crew) = (BoundedSemaphore::new(most), Crew::default());
            let (mut permits, mut line, mut served) = (most, VecDeque::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Take | Step::Take2 => {
                        let theirs = semaphore.clone();
                        line.push_back(crew.spawn(async move { Ok(theirs.acquire().await?) }));
                    }
                    Step::Give | Step::Give2(_) => {
                        let count = if let Step::Give2(count) = step { count } else { 1 };
                        for _ in 0..count {
                            assert_eq!(semaphore.release().is_ok(), permits < most);
                            permits = (permits + 1).min(most);
                            if permits > 0 && let Some(first) = line.pop_front() {
                                served.push(first);
                                permits -= 1;
                            }
                        }
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        line.retain(|waits| Some(*waits) != cancelled);
                    }
                    Step::Rest => {}
                }
                turns(REST).await?;
                let count = permits.min(line.len());
                permits -= count;
                served.extend(line.drain(..count));
                assert_eq!(crew.served.all(), served);
                assert_eq!(crew.waiting(), line.len());
                assert_eq!(semaphore.locked(), permits == 0);
            }
            Ok(())
        })?;
    }

    /// As a semaphore of one, but releasing it is an error while nobody holds it.
    #[test]
    fn lock(steps in steps()) {
        check(async move {
            let (lock, mut crew) = (Lock::new(), Crew::default());
            let (mut locked, mut line, mut served) = (false, VecDeque::new(), Vec::new());
            for step in steps.into_iter().chain([Step::Rest]) {
                match step {
                    Step::Take => {
                        let theirs = lock.clone();
                        line.push_back(crew.spawn(async move { Ok(theirs.acquire().await?) }));
                    }
                    Step::Take2 => {
                        // Dropped before it was polled, and after: neither is of any consequence.
                        let _unpolled = lock.acquire();
                        let mut polled = Box::pin(lock.acquire());
                        if locked {
                            assert!(crate::support::poll_once(polled.as_mut()).is_pending());
                        }
                    }
                    Step::Give | Step::Give2(_) => {
                        assert_eq!(lock.release().is_ok(), locked);
                        locked = false;
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        line.retain(|waits| Some(*waits) != cancelled);
                    }
                    Step::Rest => {
                        turns(REST).await?;
                        if !locked && let Some(first) = line.pop_front() {
                            locked = true;
                            served.push(first);
                        }
                        assert_eq!(crew.served.all(), served);
                        assert_eq!(crew.waiting(), line.len());
                    }
                }
                assert_eq!(lock.locked(), locked);
            }
            Ok(())
        })?;
    }

    /// Setting it serves all who wait; who comes after is served while it is set.
    #[test]
    fn event(steps in steps()) {
        check(async move {
            let (event, mut crew) = (Event::new(), Crew::default());
            let (mut set, mut line) = (false, Vec::new());
            // Who has been woken, and who has not begun to wait.
            let (mut woken, mut coming) = (Vec::new(), Vec::new());
            for step in steps.into_iter().chain([Step::Rest]) {
                match step {
                    Step::Take | Step::Take2 => {
                        let theirs = event.clone();
                        coming.push(crew.spawn(async move { Ok(theirs.wait().await?) }));
                    }
                    Step::Give => {
                        event.set();
                        set = true;
                        woken.append(&mut line);
                    }
                    Step::Give2(_) => {
                        event.clear();
                        set = false;
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        for list in [&mut line, &mut woken, &mut coming] {
                            list.retain(|waits| Some(*waits) != cancelled);
                        }
                    }
                    Step::Rest => {
                        let before = crew.served.all().len();
                        turns(REST).await?;
                        (if set { &mut woken } else { &mut line }).append(&mut coming);
                        let mut served = crew.served.all().split_off(before);
                        served.sort_unstable();
                        woken.sort_unstable();
                        assert_eq!(served, woken);
                        woken.clear();
                        assert_eq!(crew.waiting(), line.len());
                    }
                }
                assert_eq!(event.is_set(), set);
            }
            Ok(())
        })?;
    }

    /// A notification serves who waits longest, and so does each cancellation: it notifies another.
    #[test]
    fn condition(steps in steps()) {
        check(async move {
            let (condition, mut crew) = (Condition::new(), Crew::default());
            let (mut line, mut woken, mut spurious) = (VecDeque::new(), Vec::new(), 0);
            for step in steps.into_iter().chain([Step::Rest]) {
                match step {
                    Step::Take | Step::Take2 => {
                        // Whoever is to notify another does so before this one comes.
                        turns(REST).await?;
                        woken.clear();
                        line.drain(..spurious.min(line.len()));
                        spurious = 0;
                        let theirs = condition.clone();
                        line.push_back(crew.spawn(async move {
                            let _guard = theirs.guard().await?;
                            theirs.wait().await
                        }));
                        turns(1).await?;
                    }
                    Step::Give | Step::Give2(_) => {
                        let count = if let Step::Give2(count) = step { count } else { 1 };
                        let guard = condition.guard().await?;
                        condition.notify(count)?;
                        woken.extend(line.drain(..count.min(line.len())));
                        drop(guard);
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        let waiting = line.len() + woken.len();
                        line.retain(|waits| Some(*waits) != cancelled);
                        woken.retain(|waits| Some(*waits) != cancelled);
                        spurious += waiting - line.len() - woken.len();
                    }
                    Step::Rest => {
                        turns(REST).await?;
                        woken.clear();
                        line.drain(..spurious.min(line.len()));
                        spurious = 0;
                        assert_eq!(crew.waiting(), line.len());
                    }
                }
            }
            assert!(!condition.locked());
            Ok(())
        })?;
    }

    /// As many as it takes pass together; a reset or an abort sends away who waits.
    #[test]
    fn barrier(parties in 1..4_usize, steps in steps()) {
        check(async move {
            let (barrier, mut crew) = (Barrier::new(parties)?, Crew::default());
            let (mut broken, mut line) = (false, Vec::new());
            let (mut served, mut sent_away) = (0, 0);
            for step in steps {
                match step {
                    Step::Take | Step::Take2 | Step::Rest => {
                        let theirs = barrier.clone();
                        let number = crew.spawn(async move { theirs.wait().await.map(drop) });
                        if broken {
                            sent_away += 1;
                        } else {
                            line.push(number);
                        }
                        if line.len() == parties {
                            served += parties;
                            line.clear();
                        }
                    }
                    Step::Give => {
                        barrier.reset().await?;
                        broken = false;
                        sent_away += std::mem::take(&mut line).len();
                    }
                    Step::Give2(_) => {
                        barrier.abort().await?;
                        broken = true;
                        sent_away += std::mem::take(&mut line).len();
                    }
                    Step::Cancel(pick) => {
                        let cancelled = crew.cancel(pick);
                        line.retain(|waits| Some(*waits) != cancelled);
                    }
                }
                turns(REST).await?;
                assert_eq!((barrier.broken(), barrier.n_waiting()), (broken, line.len()));
                assert_eq!(crew.waiting(), line.len());
                assert_eq!(crew.served.all().len(), served);
                let errors = crew.tasks.iter().filter(|task| {
                    task.done()
                        && !task.cancelled()
                        && task.exception().is_ok_and(|error| {
                            error.is_some_and(|error| error.is::<BrokenBarrierError>())
                        })
                });
                assert_eq!(errors.count(), sent_away);
            }
            Ok(())
        })?;
    }
}

/// What happened to a queue, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Happened {
    Put(u32),
    Got(u32),
    Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Fifo,
    Lifo,
    Priority,
}

#[derive(Clone, Debug)]
enum QueueStep {
    Put(u32),
    Get,
    PutNowait(u32),
    GetNowait,
    TaskDone,
    Join,
    Shutdown(bool),
    Cancel(usize),
    Rest,
}

fn queue_steps() -> impl Strategy<Value = Vec<QueueStep>> {
    let step = prop_oneof![
        8 => (0..9_u32).prop_map(QueueStep::Put),
        8 => Just(QueueStep::Get),
        3 => (0..9_u32).prop_map(QueueStep::PutNowait),
        3 => Just(QueueStep::GetNowait),
        2 => Just(QueueStep::TaskDone),
        1 => Just(QueueStep::Join),
        1 => prop::bool::weighted(0.3).prop_map(QueueStep::Shutdown),
        6 => any::<usize>().prop_map(QueueStep::Cancel),
        4 => Just(QueueStep::Rest),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// What is got is what was put and not got before, in the order of the queue; and nobody waits for
    /// what is there.
    #[test]
    fn queue(
        kind in prop_oneof![Just(Kind::Fifo), Just(Kind::Lifo), Just(Kind::Priority)],
        maxsize in -1..4_isize,
        steps in queue_steps(),
    ) {
        check(async move {
            let queue = match kind {
                Kind::Fifo => Queue::new(maxsize),
                Kind::Lifo => Queue::clone(&LifoQueue::new(maxsize)),
                Kind::Priority => Queue::clone(&PriorityQueue::new(maxsize)),
            };
            let (mut getters, mut putters) = (Crew::default(), Crew::default());
            let mut joiners = Crew::default();
            let happened = Log::default();
            let (mut done, mut shut) = (0, false);
            for step in steps.into_iter().chain([QueueStep::Rest]) {
                let (theirs, log) = (queue.clone(), happened.clone());
                match step {
                    QueueStep::Put(item) => {
                        putters.spawn(async move {
                            theirs.put(item).await?;
                            log.add(Happened::Put(item));
                            Ok(())
                        });
                    }
                    QueueStep::Get => {
                        getters.spawn(async move {
                            log.add(Happened::Got(theirs.get().await?));
                            Ok(())
                        });
                    }
                    QueueStep::PutNowait(item) => {
                        let refused = shut || queue.full();
                        assert_eq!(queue.put_nowait(item).is_err(), refused);
                        if !refused {
                            log.add(Happened::Put(item));
                        }
                    }
                    QueueStep::GetNowait => {
                        let refused = queue.empty();
                        match queue.get_nowait() {
                            Ok(item) => log.add(Happened::Got(item)),
                            Err(_) => assert!(refused),
                        }
                    }
                    QueueStep::TaskDone => {
                        let unfinished = replay(kind, &happened.all()).1 > done;
                        assert_eq!(queue.task_done().is_ok(), unfinished);
                        done += usize::from(unfinished);
                    }
                    QueueStep::Join => {
                        joiners.spawn(async move { Ok(theirs.join().await?) });
                    }
                    QueueStep::Shutdown(immediate) => {
                        queue.shutdown(immediate);
                        shut = true;
                        if immediate {
                            (0..replay(kind, &happened.all()).0.len())
                                .for_each(|_| log.add(Happened::Dropped));
                        }
                    }
                    QueueStep::Cancel(pick) => {
                        // Of whichever sort.
                        let crew = [&getters, &putters, &joiners][pick % 3];
                        crew.cancel(pick / 3);
                    }
                    QueueStep::Rest => {
                        turns(REST).await?;
                        let (items, total) = replay(kind, &happened.all());
                        assert_eq!(queue.qsize(), items.len());
                        assert!(getters.waiting() == 0 || items.is_empty() && !shut);
                        assert!(putters.waiting() == 0 || queue.full() && !shut);
                        assert!(joiners.waiting() == 0 || total > done);
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// What is left in a queue after all that happened, and how many items are to be dealt with in total.
fn replay(kind: Kind, happened: &[Happened]) -> (Vec<u32>, usize) {
    let (mut items, mut total) = (Vec::new(), 0);
    for event in happened {
        match event {
            Happened::Put(item) => {
                items.push(*item);
                total += 1;
            }
            Happened::Got(item) => {
                let at = match kind {
                    Kind::Fifo => 0,
                    Kind::Lifo => items.len().saturating_sub(1),
                    Kind::Priority => {
                        let least = items.iter().min();
                        items
                            .iter()
                            .position(|item| Some(item) == least)
                            .unwrap_or(0)
                    }
                };
                assert_eq!(items.get(at), Some(item), "{happened:?}");
                items.remove(at);
            }
            Happened::Dropped => {
                items.pop();
                total -= 1;
            }
        }
    }
    (items, total)
}
