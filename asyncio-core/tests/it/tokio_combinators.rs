//! What combines tasks, on tokio runtimes with several threads, ours and not ours.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::futures::future::BoxFuture;
use ::futures::{FutureExt as _, StreamExt as _};
use asyncio_core::{
    CancelledError, Exception, FIRST_COMPLETED, FIRST_EXCEPTION, Result, Task, TaskGroup,
    TaskGroupCancelled, TimeoutError, ValueError, as_completed, create_task, current_task, gather,
    gather_iter, scope, shield, sleep, staggered_race, task_group, timeout, timeout_with, wait,
    wait_for,
};

use crate::support::{
    Alive, Counted, begun, cancel_message, error_of, fails_with, on_many_threads, until,
};

/// Far longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);

async fn after<T>(seconds: f64, value: T) -> Result<T> {
    sleep(seconds).await?;
    Ok(value)
}

async fn fails_after(seconds: f64, text: &str) -> Result<u32> {
    sleep(seconds).await?;
    Err(ValueError::new(text.to_owned()).into())
}

/// A task that gives its value once it is let.
fn gated<T: Send + 'static>(value: T) -> (tokio::sync::oneshot::Sender<()>, Task<T>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = create_task(async move {
        receiver.await?;
        Ok(value)
    });
    (sender, task)
}

/// Sleeps until it is cancelled, cleans up with an await, and passes the error on.
async fn cleans_up(held: Counted) -> Result<()> {
    let slept = sleep(3600).await;
    sleep(0.001).await?;
    held.touch();
    slept
}

fn texts(error: &Exception) -> Vec<String> {
    let group = error.as_group().expect("a group");
    let mut texts: Vec<String> = group.exceptions().iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

fn requests() -> Option<u32> {
    current_task().map(|me| me.cancelling())
}

#[test]
fn a_gather_gives_all_values_in_the_order_of_its_arguments() -> Result<()> {
    on_many_threads(|| async {
        let mixed = gather((
            after(0.002, 1),
            after(0.001, "two"),
            create_task(after(0.0, 3.0)),
        ));
        assert_eq!(mixed.await?, (1, "two", 3.0));
        let many =
            gather_iter((0..100).map(|number| after(0.0001 * f64::from(number % 7), number)));
        assert_eq!(many.await?, (0..100).collect::<Vec<_>>());
        let none: Vec<Task<u32>> = Vec::new();
        assert_eq!(gather(none).await?, [0; 0]);
        // The same one twice.
        let task = create_task(after(0.001, 7));
        assert_eq!(gather([task.clone(), task]).await?, [7, 7]);
        Ok(())
    })
}

#[test]
fn the_first_failure_ends_a_gather_and_cancels_nobody() -> Result<()> {
    on_many_threads(|| async {
        let (release, goes_on) = gated(7);
        let failed = gather((goes_on.clone(), fails_after(0.001, "odd"))).await;
        assert!(fails_with::<ValueError, _>(failed));
        assert!(!goes_on.done());
        let _ = release.send(());
        assert_eq!(goes_on.await?, 7);
        let (good, bad) = gather((after(0.001, 1), fails_after(0.0, "odd")))
            .return_exceptions()
            .await?;
        assert_eq!(good?, 1);
        assert!(fails_with::<ValueError, _>(bad));
        Ok(())
    })
}

#[test]
fn cancelling_a_gather_cancels_its_children_and_waits_for_them() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let children: Vec<Task<()>> = (0..10)
            .map(|_| create_task(cleans_up(alive.one())))
            .collect();
        let theirs = children.clone();
        let gathers = begun(|| async move { gather(theirs).await }).await?;
        gathers.cancel_with_message("enough");
        let error = error_of(gathers.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
        until(|| children.iter().all(Task::cancelled)).await?;
        assert_eq!(alive.count(), 0);
        // One child of it: for the gather that is a failure.
        let child: Task<()> = create_task(async { sleep(3600).await });
        let other = create_task(after(0.01, 1));
        let gathers =
            create_task(async move { gather((child.clone(), other, cancels(child))).await });
        assert!(error_of(gathers.await).is_cancelled());
        Ok(())
    })
}

async fn cancels<T>(task: Task<T>) -> Result<bool> {
    sleep(0.002).await?;
    Ok(task.cancel())
}

#[test]
fn a_wait_ends_when_it_is_told_to() -> Result<()> {
    on_many_threads(|| async {
        let fast = create_task(after(0.001, 1));
        let slow = create_task(after(3600.0, 2));
        let (done, pending) = wait([&fast, &slow]).return_when(FIRST_COMPLETED).await?;
        assert!(done.len() == 1 && done[0].same_as(&fast));
        assert!(pending.len() == 1 && pending[0].same_as(&slow));
        let fails = create_task(fails_after(0.001, "odd"));
        let (done, pending) = wait([&slow, &fails]).return_when(FIRST_EXCEPTION).await?;
        assert!(done[0].same_as(&fails) && pending[0].same_as(&slow));
        let (done, pending) = wait([&fast, &slow]).timeout(0.005).await?;
        assert_eq!((done.len(), pending.len()), (1, 1));
        let crowd: Vec<Task<u32>> = (0..200)
            .map(|number| create_task(after(0.0, number)))
            .collect();
        let (done, pending) = wait(&crowd).await?;
        assert_eq!((done.len(), pending.len()), (200, 0));
        slow.cancel();
        // Cancelled itself, it leaves what it waits for alone.
        let slow = create_task(after(3600.0, ()));
        let awaited = slow.clone();
        let waits = create_task(async move { wait([&awaited]).await.map(|_| ()) });
        sleep(0.005).await?;
        waits.cancel();
        assert!(error_of(waits.await).is_cancelled());
        assert!(!slow.done());
        slow.cancel();
        Ok(())
    })
}

#[test]
fn a_future_is_waited_for_so_long_and_then_cancelled() -> Result<()> {
    on_many_threads(|| async {
        assert_eq!(wait_for(after(0.001, 7), 30).await?, 7);
        assert_eq!(wait_for(after(0.001, 7), None).await?, 7);
        let alive = Alive::default();
        let task = create_task(cleans_up(alive.one()));
        let late = wait_for(task.clone(), 0.005).await;
        assert!(fails_with::<TimeoutError, _>(late));
        assert!(
            task.cancelled() && alive.count() == 0,
            "its end was waited for"
        );
        let late = wait_for(cleans_up(alive.one()), 0).await;
        assert!(fails_with::<TimeoutError, _>(late));
        assert_eq!(alive.count(), 0);
        let refuses = begun(|| async {
            let _ = sleep(3600).await;
            after(0.001, "late, and yet").await
        })
        .await?;
        assert_eq!(wait_for(refuses, 0.005).await?, "late, and yet");
        let foreign = async {
            tokio::time::sleep(FOREVER).await;
            Ok(())
        };
        assert!(fails_with::<TimeoutError, _>(
            wait_for(foreign, 0.005).await
        ));
        assert_eq!(requests(), Some(0));
        Ok(())
    })
}

#[test]
fn a_shield_keeps_a_request_from_what_is_inside() -> Result<()> {
    on_many_threads(|| async {
        let (release, save) = gated("saved");
        let shielded = save.clone();
        let request = begun(|| async move { shield(shielded).await }).await?;
        request.cancel();
        assert!(error_of(request.await).is_cancelled());
        let _ = release.send(());
        assert_eq!(save.await?, "saved");
        let inner: Task<()> = create_task(async { sleep(3600).await });
        let outer = shield(inner.clone());
        inner.cancel();
        assert!(error_of(outer.await).is_cancelled());
        assert_eq!(shield(after(0.001, 1)).await?, 1);
        assert!(fails_with::<ValueError, _>(
            shield(fails_after(0.0, "odd")).await
        ));
        Ok(())
    })
}

#[test]
fn tasks_come_as_they_are_completed() -> Result<()> {
    on_many_threads(|| async {
        let (mut releases, tasks): (Vec<_>, Vec<_>) = (0..3).map(gated).unzip();
        let mut streamed = as_completed(tasks.clone());
        let mut nexts = as_completed(tasks).into_iter();
        for place in [1, 1, 0] {
            // The second, then the third, then the first.
            let _ = releases.remove(place).send(());
            let next = nexts.next().expect("there is another").await?;
            let same = streamed.next().await.expect("there is another")?;
            assert_eq!(same.result()?, next);
            assert_eq!(releases.len() as u32, if next == 0 { 0 } else { 3 - next });
        }
        assert!(nexts.next().is_none() && streamed.next().await.is_none());
        let mut late = as_completed([after(0.001, 1), after(3600.0, 2)])
            .timeout(0.05)
            .into_iter();
        let first = late.next().expect("the first").await?;
        assert_eq!(first, 1);
        let second = late.next().expect("the second").await;
        assert!(fails_with::<TimeoutError, _>(second));
        assert!(late.next().is_none());
        // Far more than there are threads, and each of them once.
        let crowd = as_completed((0..500).map(|number| async move { Ok(number) }));
        let mut numbers: Vec<i32> = Vec::new();
        for next in crowd {
            numbers.push(next.await?);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        Ok(())
    })
}

#[test]
fn a_time_limit_holds_for_everything() -> Result<()> {
    on_many_threads(|| async {
        let begun = Instant::now();
        assert!(fails_with::<TimeoutError, _>(
            timeout(0.005, sleep(3600)).await
        ));
        let alive = Alive::default();
        let held = alive.one();
        let foreign = async move {
            tokio::time::sleep(FOREVER).await;
            held.touch();
            Ok(())
        };
        assert!(fails_with::<TimeoutError, _>(timeout(0.005, foreign).await));
        assert_eq!(alive.count(), 0);
        // Of two the one whose time is over.
        let nested = timeout(0.005, timeout(3600, sleep(3600))).await;
        assert!(fails_with::<TimeoutError, _>(nested));
        let inner_first = timeout(3600, async {
            let inner = timeout(0.005, sleep(3600)).await;
            assert!(fails_with::<TimeoutError, _>(inner));
            Ok("goes on")
        });
        assert_eq!(inner_first.await?, "goes on");
        let rescheduled = timeout_with(3600, async |limit| {
            limit.reschedule(Some(0.005))?;
            sleep(3600).await
        });
        assert!(fails_with::<TimeoutError, _>(rescheduled.await));
        assert_eq!(requests(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(60));
        // Somebody else's request stays one.
        let task: Task<()> = create_task(async { timeout(3600, sleep(3600)).await });
        sleep(0.005).await?;
        task.cancel();
        assert!(fails_with::<CancelledError, _>(task.await));
        Ok(())
    })
}

#[test]
fn a_group_ends_with_its_tasks_and_all_their_errors() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let ended = task_group(async |group| {
            for _ in 0..20 {
                group.create_task(cleans_up(alive.one()));
            }
            group.create_task(async {
                receiver.await?;
                fails_after(0.0, "first").await
            });
            group.create_task(async {
                let _ = sender.send(());
                // In its clean-up another one fails.
                let _ = sleep(3600).await;
                fails_after(0.001, "second").await
            });
            sleep(3600).await
        })
        .await;
        assert_eq!(alive.count(), 0, "all have cleaned up");
        assert_eq!(texts(&error_of(ended)), ["first", "second"]);
        assert_eq!(requests(), Some(0));
        sleep(0).await?;
        let body = task_group(async |group| {
            group.create_task(cleans_up(alive.one()));
            sleep(0.002).await?;
            Err::<(), _>(ValueError::new("the body's").into())
        });
        assert_eq!(texts(&error_of(body.await)), ["the body's"]);
        let panics = task_group(async |group| {
            group.create_task::<(), _>(async { panic!("in a task") });
            sleep(3600).await
        });
        let error = error_of(panics.await);
        assert!(
            error
                .as_group()
                .is_some_and(|group| group.exceptions()[0].is_panic())
        );
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}

#[test]
fn a_group_is_cancelled_from_outside_from_inside_and_with_its_task() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let (first, second) = (alive.one(), alive.one());
        let outside: Task<()> = create_task(async move {
            task_group(async |group| {
                group.create_task(cleans_up(first));
                group.create_task(cleans_up(second));
                Ok(())
            })
            .await
        });
        sleep(0.01).await?;
        outside.cancel_with_message("enough");
        assert!(fails_with::<CancelledError, _>(outside.await));
        assert_eq!(alive.count(), 0);
        // Group::cancel, by its function and by one of its tasks.
        let cancelled = task_group(async |group| {
            group.create_task(cleans_up(alive.one()));
            sleep(0.002).await?;
            group.cancel();
            sleep(3600).await
        });
        assert!(fails_with::<TaskGroupCancelled, _>(cancelled.await));
        let by_a_task = task_group(async |group| {
            let theirs = group.clone();
            group.create_task(cleans_up(alive.one()));
            group.create_task(async move {
                sleep(0.002).await?;
                theirs.cancel();
                Ok(())
            });
            Ok("the function had returned")
        });
        assert_eq!(by_a_task.await?, "the function had returned");
        assert_eq!((alive.count(), requests()), (0, Some(0)));
        // An error and a request from outside: neither is lost.
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let both: Task<(bool, bool)> = create_task(async {
            let ended = task_group(async |group| {
                group.create_task(async {
                    let _ = sender.send(());
                    let _ = sleep(3600).await;
                    fails_after(0.0, "on the way out").await
                });
                sleep(3600).await
            })
            .await;
            let failed = ended.is_err_and(|error| error.as_group().is_some());
            Ok((failed, sleep(1).await.is_err()))
        });
        receiver.await?;
        both.cancel();
        assert_eq!(both.await?, (true, true));
        Ok(())
    })
}

#[test]
fn groups_are_nested_and_shared() -> Result<()> {
    fn tree(
        group: TaskGroup,
        depth: u32,
        count: Arc<AtomicUsize>,
    ) -> BoxFuture<'static, Result<()>> {
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            if depth > 0 {
                for _ in 0..3 {
                    group.create_task(tree(group.clone(), depth - 1, Arc::clone(&count)));
                }
            }
            Ok(())
        }
        .boxed()
    }
    on_many_threads(|| async {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        task_group(async |group| tree(group, 5, counted).await).await?;
        assert_eq!(count.load(Ordering::SeqCst), 364, "3^0 + … + 3^5");
        let error = task_group(async |outer| {
            outer.create_task(async {
                task_group(async |inner| {
                    inner.create_task(fails_after(0.002, "deep"));
                    sleep(3600).await
                })
                .await
            });
            sleep(3600).await
        });
        let error = error_of(error.await);
        let inner = error.as_group().map(|group| group.exceptions()[0].clone());
        assert_eq!(inner.as_ref().map(texts), Some(vec!["deep".to_owned()]));
        Ok(())
    })
}

#[test]
fn a_group_that_is_dropped_takes_its_tasks_along() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        for _ in 0..50 {
            let (first, second) = (alive.one(), alive.one());
            let group = task_group(async move |group| {
                group.create_task(cleans_up(first));
                group.create_task::<(), _>(async move {
                    loop {
                        second.touch();
                        sleep(0).await?;
                    }
                });
                sleep(3600).await
            });
            let dropped = tokio::time::timeout(Duration::from_millis(1), group).await;
            assert!(dropped.is_err());
        }
        until(|| alive.count() == 0).await?;
        assert_eq!(requests(), Some(0));
        Ok(())
    })
}

#[test]
fn tasks_of_a_scope_borrow() -> Result<()> {
    on_many_threads(|| async {
        let words = ["one".to_owned(), "two".to_owned()];
        let lengths = Mutex::new(Vec::new());
        let total = scope(async |scope| {
            let first = scope.spawn(async {
                sleep(0.002).await?;
                Ok(words[0].len())
            });
            let second = scope.spawn(async {
                lengths.lock().expect("not poisoned").push(words[1].len());
                Ok(words[1].len())
            });
            Ok(first.await? + second.await?)
        })
        .await?;
        assert_eq!((total, lengths.into_inner().ok()), (6, Some(vec![3])));
        let failed = scope(async |scope| {
            drop(scope.spawn(async { sleep(3600).await.map(|()| words.len()) }));
            drop(scope.spawn(async { fails_after(0.002, words[0].as_str()).await }));
            sleep(3600).await
        });
        assert_eq!(texts(&error_of(failed.await)), ["one"]);
        let outside: Task<()> = create_task(async {
            let local = "borrowed".to_owned();
            scope(async |scope| {
                drop(scope.spawn(async {
                    let slept = sleep(3600).await;
                    sleep(0.001).await?;
                    assert_eq!(local, "borrowed");
                    slept
                }));
                Ok(())
            })
            .await
        });
        sleep(0.01).await?;
        outside.cancel();
        assert!(fails_with::<CancelledError, _>(outside.await));
        assert_eq!(requests(), Some(0));
        Ok(())
    })
}

#[test]
fn attempts_are_staggered() -> Result<()> {
    on_many_threads(|| async {
        let attempts = [3600.0, 0.001].map(|seconds| move || after(seconds, seconds));
        let race = staggered_race(attempts, 0.01).await?;
        assert_eq!(race.winner(), Some((1, &0.001)));
        let begun = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&begun);
        let first = || after(0.001, 1).boxed();
        let second = move || {
            theirs.store(true, Ordering::SeqCst);
            after(0.001, 2).boxed()
        };
        type Attempt = Box<dyn FnOnce() -> BoxFuture<'static, Result<i32>> + Send>;
        let attempts: [Attempt; 2] = [Box::new(first), Box::new(second)];
        let race = staggered_race(attempts, 3600).await?;
        assert_eq!(race.winner(), Some((0, &1)));
        assert!(!begun.load(Ordering::SeqCst));
        Ok(())
    })
}
