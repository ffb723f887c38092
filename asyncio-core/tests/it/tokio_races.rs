//! What may happen at the same time on a tokio runtime, and never on a loop: tasks that end while
//! somebody begins to wait for them, requests that meet a task half-way.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use asyncio_core::{
    Exception, Result, Task, TaskGroupCancelled, ValueError, create_task, current_task, gather,
    gather_iter, sleep, staggered_race, task_group,
};

use crate::support::{error_of, on_threads, on_tokio};

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
