//! What may happen at the same time on a tokio runtime, and never on a loop: tasks that end while
//! somebody begins to wait for them, requests that meet a task half-way.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use asyncio_core::{
    Exception, FIRST_COMPLETED, Result, Task, TaskGroupCancelled, ValueError, as_completed,
    create_task, current_task, gather, gather_iter, shield, sleep, staggered_race, task_group,
    timeout, wait,
};

use crate::support::{Alive, Counted, error_of, on_threads, on_tokio};

/// Children that end while the gather is still being made.
#[test]
fn a_gather_of_the_shortest_tasks_ends() -> Result<()> {
    on_tokio(|| async {
        for _ in 0..20_000 {
            let (one, two) = gather((async { Ok(1) }, async { Ok(2) })).await?;
            assert_eq!(one + two, 3);
            let all = gather_iter((0..3).map(|number| async move { Ok(number) })).await?;
            assert_eq!(all, [0, 1, 2]);
        }
        Ok(())
    })
}

/// The last task of a group fails while the group's own task is about to conclude.
#[test]
fn the_error_of_a_groups_last_task_is_never_lost() -> Result<()> {
    on_tokio(|| async {
        for round in 0..20_000_u32 {
            let ended = task_group(async |group| {
                for _ in 0..round % 3 {
                    group.create_task(async { Ok(()) });
                }
                group.create_task::<(), _>(async { Err(ValueError::new("odd").into()) });
                Ok(())
            })
            .await;
            let error = error_of(ended);
            let count = error.as_group().map(|group| group.exceptions().len());
            assert_eq!(count, Some(1), "{error:?}");
            let me = current_task().expect("a task");
            assert_eq!(me.cancelling(), 0);
            sleep(0).await?;
        }
        Ok(())
    })
}

/// `TaskGroup::cancel` from another thread never reaches the task once its group has ended.
#[test]
fn cancelling_a_group_that_ends_does_not_reach_what_follows() -> Result<()> {
    on_tokio(|| async {
        for _ in 0..20_000_u32 {
            let mut other = None;
            let place = &mut other;
            let ended = task_group(async |group| {
                let theirs = group.clone();
                *place = Some(create_task(async move {
                    theirs.cancel();
                    Ok(())
                }));
                group.create_task(async { Ok(()) });
                Ok(())
            })
            .await;
            if let Err(error) = ended {
                assert!(error.is::<TaskGroupCancelled>(), "{error:?}");
            }
            sleep(0).await?;
            if let Some(other) = other {
                other.await?;
            }
            sleep(0).await?;
            assert_eq!(current_task().map(|me| me.cancelling()), Some(0));
        }
        Ok(())
    })
}

/// A task that is started from another thread just as the group ends is either refused or joined.
#[test]
fn a_task_that_is_being_started_keeps_its_group_open() -> Result<()> {
    on_tokio(|| async {
        let (started, has_started) = tokio::sync::oneshot::channel();
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ended);
        let runtime = tokio::runtime::Handle::current();
        let mut starter = None;
        let place = &mut starter;
        let group = task_group(async |group| {
            let theirs = group.clone();
            *place = Some(std::thread::spawn(move || {
                let _inside = runtime.enter();
                let first_step = async move {
                    let _ = started.send(());
                    // Blocks the thread that is starting it, in the meantime the group may end.
                    std::thread::sleep(Duration::from_millis(20));
                    sleep(0.01).await?;
                    counted.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                theirs.builder().eager_start(true).spawn(first_step);
            }));
            let _ = has_started.await;
            Ok(())
        });
        group.await?;
        assert_eq!(
            ended.load(Ordering::SeqCst),
            1,
            "the group ended before its task"
        );
        let joined = starter.map(std::thread::JoinHandle::join);
        assert!(joined.is_some_and(|joined| joined.is_ok()));
        Ok(())
    })
}

/// What a task awaits ends just as it is cancelled: it goes on to the next await, and there at the
/// latest the request is raised.
#[test]
fn a_request_that_meets_the_end_of_what_is_awaited_is_not_lost() -> Result<()> {
    on_tokio(|| async {
        for round in 0..20_000_u32 {
            let child = create_task(async move {
                for _ in 0..round % 3 {
                    sleep(0).await?;
                }
                Ok(())
            });
            let parent: Task<()> = create_task(async move {
                // The child may be cancelled with us.
                child.await?;
                sleep(3600).await
            });
            for _ in 0..round % 4 {
                sleep(0).await?;
            }
            assert!(parent.cancel());
            assert!(error_of(parent.await).is_cancelled());
        }
        Ok(())
    })
}

/// What is asked to end is no longer awaited by the time it has: the request is raised at the next
/// await.
#[test]
fn a_request_is_not_lost_with_a_wait_that_is_given_up() -> Result<()> {
    on_tokio(|| async {
        let (release, released) = tokio::sync::oneshot::channel();
        let child: Task<()> = create_task(async {
            let cancelled = sleep(3600).await;
            sleep(0.05).await?;
            cancelled
        });
        let task: Task<&str> = create_task(async move {
            let chosen = tokio::select! {
                _ = child => "child",
                _ = released => "other",
            };
            sleep(3600).await?;
            Ok(chosen)
        });
        sleep(0.01).await?;
        task.cancel();
        // The child has accepted the request and cleans up; what ends first is the other branch.
        let _ = release.send(());
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

#[test]
fn attempts_of_a_race_keep_their_places() -> Result<()> {
    on_tokio(|| async {
        for _ in 0..3_000 {
            let attempt = |number: usize| {
                move || async move {
                    if number < 5 {
                        return Err(Exception::from(ValueError::new(number.to_string())));
                    }
                    Ok(number)
                }
            };
            let race = staggered_race((0..6).map(attempt), None).await?;
            assert_eq!(race.winner(), Some((5, &5)));
            let errors: Vec<String> = race
                .exceptions()
                .iter()
                .flatten()
                .map(|e| e.to_string())
                .collect();
            assert_eq!(errors, ["0", "1", "2", "3", "4"]);
        }
        Ok(())
    })
}

#[test]
fn requests_from_several_threads_are_counted_one_by_one() -> Result<()> {
    on_threads(4, async {
        for _ in 0..500 {
            let (started, has_started) = tokio::sync::oneshot::channel();
            let task: Task<u32> = create_task(async {
                let _ = started.send(());
                let mut caught = 0;
                let me = current_task().expect("a task");
                while caught < 8 {
                    if sleep(3600).await.is_err() {
                        caught = me.cancelling();
                    }
                }
                Ok(me.cancelling())
            });
            let _ = has_started.await;
            let mut askers = Vec::new();
            for _ in 0..8 {
                let theirs = task.handle().expect("a task");
                askers.push(create_task(async move { Ok(theirs.cancel()) }));
            }
            let mut accepted = 0;
            for asker in askers {
                accepted += u32::from(asker.await?);
            }
            assert_eq!(accepted, 8);
            match task.await {
                Ok(count) => assert_eq!(count, 8),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        let mut never = pin!(sleep(3600));
        let polled = std::future::poll_fn(|cx| Poll::Ready(never.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
        Ok(())
    })
}

/// A small generator of numbers: the same ones for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or(0)
    }
}

/// One of a crowd: waits for some of those before it, in one of the ways there are.
async fn member(before: Vec<Task<usize>>, way: usize, held: Counted) -> Result<usize> {
    let mut sum = 1;
    let mut before = before.into_iter();
    match way {
        0 => {
            for task in before {
                sum += task.await.unwrap_or(0);
            }
        }
        1 => {
            let results = gather_iter(before).return_exceptions().await?;
            sum += results.into_iter().flatten().sum::<usize>();
        }
        2 => {
            let first: Vec<_> = before.collect();
            if !first.is_empty() {
                let (done, _) = wait(&first).return_when(FIRST_COMPLETED).await?;
                sum += done.len();
            }
        }
        3 => {
            if let Some(task) = before.next() {
                sum += timeout(0.0005, shield(task)).await.unwrap_or(0);
            }
        }
        4 => {
            sum += task_group(async |group| {
                for task in before {
                    group.create_task(async move { shield(task).await.or(Ok(0)) });
                }
                sleep(0).await.map(|()| 1)
            })
            .await?;
        }
        5 => {
            for next in as_completed(before.map(shield)) {
                sum += next.await.unwrap_or(0);
            }
        }
        6 => {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        _ => sleep(0.0002).await?,
    }
    held.touch();
    Ok(sum)
}

/// Crowds whose members await, shield, gather and group each other, while others cancel them: every one
/// of them ends, nothing is left, and nobody has more requests than were made.
#[test]
fn crowds_that_await_and_cancel_each_other_end() -> Result<()> {
    let seed = std::env::var("ASYNCIO_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(1)
    });
    let alive = Alive::default();
    let watched = alive.clone();
    for threads in [2, 4] {
        let alive = alive.clone();
        let ended = on_threads(threads, async move {
            let mut numbers = Numbers(seed | 1);
            for _ in 0..300 {
                let mut crowd: Vec<Task<usize>> = Vec::new();
                for _ in 0..20 {
                    let mut before = Vec::new();
                    for _ in 0..numbers.below(4).min(crowd.len()) {
                        before.push(crowd[numbers.below(crowd.len())].clone());
                    }
                    crowd.push(create_task(member(before, numbers.below(8), alive.one())));
                }
                let mut requests = Vec::new();
                for _ in 0..4 {
                    let victim = crowd[numbers.below(crowd.len())].clone();
                    let turns = numbers.below(3);
                    requests.push(create_task(async move {
                        for _ in 0..turns {
                            sleep(0).await?;
                        }
                        Ok(victim.cancel())
                    }));
                }
                for request in requests {
                    request.await?;
                }
                for task in crowd {
                    match task.await {
                        Ok(_) => {}
                        Err(error) => assert!(error.is_cancelled(), "{error:?}"),
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = ended {
            panic!("with ASYNCIO_SEED={seed}: {error:?}");
        }
    }
    assert_eq!(watched.count(), 0, "with ASYNCIO_SEED={seed}");
    Ok(())
}

/// A value that is copied by one thread at a time, which takes a while.
struct Slow<'a> {
    copying: &'a AtomicBool,
    copies: &'a AtomicUsize,
    panics: bool,
}

impl Clone for Slow<'_> {
    fn clone(&self) -> Self {
        assert!(
            !self.copying.swap(true, Ordering::SeqCst),
            "two copy at once"
        );
        std::thread::sleep(Duration::from_micros(50));
        self.copies.fetch_add(1, Ordering::SeqCst);
        self.copying.store(false, Ordering::SeqCst);
        assert!(!self.panics, "this one cannot be copied");
        Self { ..*self }
    }
}

/// Several threads ask for the result of one task at the same time, and each of them gets it.
#[test]
fn a_value_is_copied_for_everybody_who_asks_at_once() -> Result<()> {
    static COPYING: AtomicBool = AtomicBool::new(false);
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    on_threads(4, async {
        for _ in 0..200 {
            COPIES.store(0, Ordering::SeqCst);
            let task = create_task(async {
                Ok(Slow {
                    copying: &COPYING,
                    copies: &COPIES,
                    panics: false,
                })
            });
            let asks: Vec<Task<()>> = (0..8)
                .map(|_| {
                    let theirs = task.clone();
                    create_task(async move { theirs.await.map(drop) })
                })
                .collect();
            for ask in asks {
                ask.await?;
            }
            assert_eq!(COPIES.load(Ordering::SeqCst), 8);
        }
        Ok(())
    })
}

/// A copy that panics is the panic of who asked, and the value stays for the others who ask.
#[test]
fn a_value_whose_copying_panics_is_there_for_others() -> Result<()> {
    static COPYING: AtomicBool = AtomicBool::new(false);
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    on_threads(4, async {
        let task = create_task(async {
            Ok(Slow {
                copying: &COPYING,
                copies: &COPIES,
                panics: true,
            })
        });
        let asks: Vec<Task<()>> = (0..8)
            .map(|_| {
                let theirs = task.clone();
                create_task(async move { theirs.await.map(drop) })
            })
            .collect();
        for ask in asks {
            let error = error_of(ask.await);
            assert!(error.is_panic(), "{error:?}");
        }
        assert_eq!(COPIES.load(Ordering::SeqCst), 8);
        Ok(())
    })
}

/// Those who wait for the next result are dropped just as they are told of one: whoever is left gets it.
#[test]
fn a_result_is_passed_on_when_who_was_told_of_it_goes() -> Result<()> {
    const CROWD: usize = 24;
    on_tokio(|| async {
        for _ in 0..2_000 {
            let (release, released) = tokio::sync::oneshot::channel::<()>();
            let one = create_task(async move {
                released.await?;
                Ok(())
            });
            let never: Vec<Task<()>> = (0..CROWD)
                .map(|_| create_task(async { sleep(3600).await }))
                .collect();
            let tasks = never.iter().cloned().chain([one]);
            let mut nexts: Vec<_> = as_completed(tasks).into_iter().map(Box::pin).collect();
            for next in &mut nexts {
                assert!(::futures::poll!(next).is_pending());
            }
            let last = nexts.pop().expect("there are several");
            let drops = create_task(async move {
                nexts.into_iter().for_each(drop);
                Ok(())
            });
            let _ = release.send(());
            last.await?;
            drops.await?;
            for task in never {
                task.cancel();
            }
        }
        Ok(())
    })
}
