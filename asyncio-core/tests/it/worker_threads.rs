//! `Runner::builder().worker_threads(n)`: what `Runner` promises, on many threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{
    Context, ContextVar, Exception, ExceptionContext, KeyboardInterrupt, MultiThreadRunner, Result,
    Runner, RuntimeError, SystemExit, Task, ValueError, all_tasks, create_local_task, create_task,
    current_task, gather, get_running_loop, run, sleep, task_group, timeout, timeout_at, to_thread,
    try_all_tasks,
};

use crate::support::{Alive, begun, error_of, fails_with, until};

fn runner(threads: usize) -> Result<MultiThreadRunner> {
    Runner::builder().worker_threads(threads).build()
}

/// Runs a program on two and on four threads, to the end of the clean-up.
fn on_runner<F>(program: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    for threads in [2, 4] {
        let runner = runner(threads)?;
        let result = runner.run(program());
        runner.close()?;
        result?;
    }
    Ok(())
}

/// What a runner's exception handler was told.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn runner(&self, threads: usize) -> Result<MultiThreadRunner> {
        let told = Arc::clone(&self.0);
        let builder = Runner::builder().worker_threads(threads);
        builder
            .exception_handler(move |context| Self::add(&told, context))
            .build()
    }

    fn add(told: &Mutex<Vec<String>>, context: &ExceptionContext) {
        let exception = context.exception().map(ToString::to_string);
        let line = format!(
            "{}: {} ({})",
            context.message(),
            exception.unwrap_or_default(),
            context.task_name().unwrap_or("no task")
        );
        told.lock().expect("not poisoned").push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

#[test]
fn run_gives_what_main_ends_with() -> Result<()> {
    let runner = runner(2)?;
    assert_eq!(runner.run(async { Ok(42) })?, 42);
    let failed = runner.run(async { Err::<(), _>(ValueError::new("spam").into()) });
    assert_eq!(error_of(failed).to_string(), "spam");
    let panicked = runner.run::<(), _>(async { panic!("in main") });
    assert!(error_of(panicked).is_panic());
    let cancelled = runner.run(async {
        current_task().expect("main is a task").cancel();
        sleep(0).await
    });
    assert!(error_of(cancelled).is_cancelled());
    runner.close()
}

#[test]
fn main_and_its_tasks_run_on_the_runners_threads_and_know_each_other() -> Result<()> {
    on_runner(|| async {
        let main = current_task().expect("main is a task");
        assert_eq!(main.get_name(), "Task-1");
        assert_eq!(thread::current().name(), Some("asyncio-worker"));
        assert_eq!(try_all_tasks()?, std::slice::from_ref(&main));
        let hours: Vec<Task<()>> = (0..10)
            .map(|_| create_task(async { sleep(3600).await }))
            .collect();
        let named = Task::builder().name("short").spawn(async { Ok(()) });
        named.await?;
        let names: Vec<String> = all_tasks().iter().map(|task| task.get_name()).collect();
        let expected: Vec<String> = (1..=11).map(|number| format!("Task-{number}")).collect();
        assert_eq!(names, expected, "in the order of their making");
        for hour in hours {
            assert!(hour.cancel());
            assert!(error_of(hour.await).is_cancelled());
        }
        assert_eq!(all_tasks(), [main]);
        Ok(())
    })
}

#[test]
fn tasks_run_on_several_threads_at_once() -> Result<()> {
    on_runner(|| async {
        // Each waits, without an await, for the other: on one thread they would never end.
        let meeting = Arc::new(std::sync::Barrier::new(2));
        let waits = [Arc::clone(&meeting), meeting].map(|meeting| {
            create_task(async move {
                meeting.wait();
                Ok(thread::current().id())
            })
        });
        let threads: HashSet<_> = gather(waits).await?.into_iter().collect();
        assert_eq!(threads.len(), 2);
        Ok(())
    })
}

/// What runs on the runner's threads and is no task of ours starts tasks of the runner's as well.
#[test]
fn tasks_that_a_tokio_task_starts_are_the_runners_too() -> Result<()> {
    let alive = Alive::default();
    let runner = runner(2)?;
    let held = alive.one();
    let left = runner.run(async {
        let started = tokio::spawn(async move {
            let task = create_task(async move {
                let slept = sleep(3600).await;
                sleep(0.01).await?;
                held.touch();
                slept
            });
            Some(task)
        });
        let left = started.await?;
        assert_eq!(all_tasks().len(), 2);
        let blocking = tokio::task::spawn_blocking(|| all_tasks().len());
        assert_eq!(blocking.await?, 2);
        sleep(0.01).await?;
        Ok(left)
    })?;
    runner.close()?;
    let ended = left.is_some_and(|left| left.cancelled());
    assert!(ended, "it was asked to end, and has cleaned up");
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_cancels_hanging_tasks`
#[test]
fn tasks_that_are_left_are_cancelled_and_awaited() -> Result<()> {
    for threads in [1, 2, 4] {
        let alive = Alive::default();
        let cleaned = Arc::new(AtomicUsize::new(0));
        let runner = runner(threads)?;
        for _ in 0..50 {
            let (held, cleaned) = (alive.one(), Arc::clone(&cleaned));
            runner.run(async {
                let left = begun(|| async move {
                    let slept = sleep(3600).await;
                    sleep(0.001).await?;
                    cleaned.fetch_add(1, Ordering::SeqCst);
                    held.touch();
                    slept
                });
                left.await.map(drop)
            })?;
        }
        assert_eq!(alive.count(), 50, "they live on from run to run");
        runner.close()?;
        assert_eq!((alive.count(), cleaned.load(Ordering::SeqCst)), (0, 50));
    }
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_reports_hanging_tasks_errors`
#[test]
fn errors_of_what_is_left_are_reported() -> Result<()> {
    let reports = Reports::default();
    let runner = reports.runner(2)?;
    let left = runner.run(async {
        let left = begun(|| async {
            let _ = sleep(3600).await;
            Err::<(), _>(ValueError::new("on the way out").into())
        });
        left.await
    })?;
    runner.close()?;
    assert_eq!(
        reports.take(),
        ["unhandled exception during asyncio.run() shutdown: on the way out (Task-2)"]
    );
    assert!(fails_with::<ValueError, _>(left.result()));
    Ok(())
}

#[test]
fn what_nobody_else_can_be_told_is_told_to_the_runners_handler() -> Result<()> {
    let reports = Reports::default();
    for threads in [1, 4] {
        let runner = reports.runner(threads)?;
        let told = reports.clone();
        runner.run(async move {
            drop(create_task::<(), _>(async {
                Err(ValueError::new("odd").into())
            }));
            let mut seen = Vec::new();
            until(|| {
                seen.extend(told.take());
                !seen.is_empty()
            })
            .await?;
            assert_eq!(seen, ["Task exception was never retrieved: odd (Task-2)"]);
            let task = create_task(async { Ok(()) });
            task.add_done_callback(|_| Err(ValueError::new("in a callback")));
            let mut seen = Vec::new();
            until(|| {
                seen.extend(told.take());
                !seen.is_empty()
            })
            .await?;
            assert_eq!(seen, ["Exception in callback: in a callback (no task)"]);
            task.add_done_callback(|task| assert!(!task.done(), "in a callback"));
            let mut seen = Vec::new();
            until(|| {
                seen.extend(told.take());
                !seen.is_empty()
            })
            .await?;
            assert!(
                seen[0].starts_with("Exception in callback: task panicked"),
                "{seen:?}"
            );
            Ok(())
        })?;
        runner.close()?;
    }
    assert_eq!(reports.take(), [""; 0]);
    Ok(())
}

/// Dropped, a runner awaits nothing and says what it has dropped.
#[test]
fn dropping_a_runner_drops_its_tasks_and_says_so() -> Result<()> {
    let (alive, reports) = (Alive::default(), Reports::default());
    let runner = reports.runner(2)?;
    let held = alive.one();
    let left = runner.run(async {
        let left = create_task(async move {
            let slept = sleep(3600).await;
            held.touch();
            slept
        });
        sleep(0.005).await?;
        Ok(left)
    })?;
    drop(runner);
    let begun = Instant::now();
    while !left.done() || alive.count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        thread::yield_now();
    }
    assert!(left.cancelled());
    assert_eq!(
        reports.take(),
        ["Task was destroyed but it is pending!:  (Task-2)"]
    );
    Ok(())
}

static USER: ContextVar<&str> = ContextVar::new("user");

/// `test_runners.RunnerTests.test_run_keeps_context`
#[test]
fn the_context_is_kept_from_run_to_run() -> Result<()> {
    let runner = runner(2)?;
    runner.run(async {
        let _ = USER.set("ada")?;
        let seen = create_task(async { Ok(USER.get()) });
        assert_eq!(seen.await?, Some("ada"));
        Ok(())
    })?;
    let seen = runner.run(async { Ok(USER.get()) })?;
    assert_eq!(seen, Some("ada"));
    let other = Context::new();
    let seen = runner.run_in(&other, async { Ok(USER.get()) })?;
    assert_eq!(seen, None);
    runner.close()
}

#[test]
fn context_variables_follow_tasks_and_threads() -> Result<()> {
    on_runner(|| async {
        let _ = USER.set("main")?;
        let child = create_task(async {
            assert_eq!(USER.get(), Some("main"));
            let _ = USER.set("child")?;
            sleep(0.001).await?;
            assert_eq!(USER.get(), Some("child"));
            Ok(())
        });
        child.await?;
        assert_eq!(USER.get(), Some("main"));
        let seen = to_thread(|| Ok(USER.get())).await?;
        assert_eq!(seen, Some("main"));
        Ok(())
    })
}

/// A `KeyboardInterrupt` or a `SystemExit` leaves the runner at once, whoever raises it.
#[test]
fn an_exit_leaves_the_runner_at_once() -> Result<()> {
    let runner = runner(2)?;
    let main_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&main_ended);
    let left = runner.run::<(), _>(async move {
        drop(create_task::<(), _>(async {
            Err(SystemExit::new(3).into())
        }));
        let slept = sleep(3600).await;
        ended.store(true, Ordering::SeqCst);
        slept
    });
    assert!(error_of(left).is::<SystemExit>());
    assert!(!main_ended.load(Ordering::SeqCst), "it is pending");
    let left = runner.run::<(), _>(async {
        let task = create_task(async { Ok(()) });
        task.add_done_callback(|_| Err(KeyboardInterrupt::new()));
        sleep(3600).await
    });
    assert!(error_of(left).is::<KeyboardInterrupt>());
    // Of main itself, once and not again.
    let own = runner.run::<(), _>(async { Err(SystemExit::new(4).into()) });
    assert!(error_of(own).is::<SystemExit>());
    assert_eq!(runner.run(async { Ok(1) })?, 1);
    runner.close()?;
    assert!(
        main_ended.load(Ordering::SeqCst),
        "it was cancelled at the end"
    );
    Ok(())
}

#[test]
fn misuse_is_an_error() -> Result<()> {
    for count in [0, usize::MAX] {
        let built = Runner::builder().worker_threads(count).build();
        assert!(fails_with::<ValueError, _>(built));
    }
    let built = Runner::builder()
        .virtual_clock(true)
        .worker_threads(2)
        .build();
    assert!(fails_with::<ValueError, _>(built));
    let named = Runner::builder()
        .worker_threads(1)
        .thread_name("no\0name")
        .build();
    assert!(fails_with::<RuntimeError, _>(named));
    let runner = runner(1)?;
    runner.close()?;
    runner.close()?;
    let alive = Alive::default();
    let held = alive.one();
    let refused = runner.run(async move {
        held.touch();
        Ok(())
    });
    assert_eq!(error_of(refused).to_string(), "Runner is closed");
    assert_eq!(alive.count(), 0);
    assert!(fails_with::<RuntimeError, _>(runner.handle()));
    assert!(format!("{runner:?}").contains("closed: true"));
    Ok(())
}

/// `test_runners.RunnerTests.test_recursive_run`
#[test]
fn a_runner_is_not_run_where_a_loop_or_a_runtime_runs() -> Result<()> {
    let alive = Alive::default();
    let refuses = |runner: &MultiThreadRunner| {
        let held = alive.one();
        let refused = runner.run(async move {
            held.touch();
            Ok(())
        });
        assert!(fails_with::<RuntimeError, _>(refused));
        assert_eq!(alive.count(), 0);
        assert!(fails_with::<RuntimeError, _>(runner.close()));
    };
    let one = runner(1)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async { refuses(&one) });
    let event_loop = asyncio_core::new_event_loop()?;
    let (sender, receiver) = mpsc::channel();
    event_loop.call_soon(move || {
        let refused = one.run(async { Ok(()) });
        let _ = sender.send((refused.is_err(), one.close().is_err()));
        // Dropping it there is fine.
        drop(one);
    })?;
    event_loop.run_until_complete(sleep(0))?;
    assert_eq!(receiver.recv()?, (true, true));
    event_loop.close()?;
    // And one inside the other.
    on_runner(|| async {
        let inner = runner(1)?;
        assert!(fails_with::<RuntimeError, _>(inner.run(async { Ok(()) })));
        drop(inner);
        assert!(fails_with::<RuntimeError, _>(run(async { Ok(()) })));
        // A loop of its own runs in a thread that may block.
        let there = to_thread(|| run(async { Ok(all_tasks().len()) })).await?;
        assert_eq!(there, 1);
        Ok(())
    })
}

#[test]
fn what_needs_a_loop_says_so() -> Result<()> {
    on_runner(|| async {
        assert!(fails_with::<RuntimeError, _>(get_running_loop()));
        assert!(fails_with::<RuntimeError, _>(
            create_local_task(async { Ok(()) }).result()
        ));
        assert!(fails_with::<RuntimeError, _>(
            timeout_at(1.0, async { Ok(()) }).await
        ));
        Ok(())
    })
}

#[test]
fn functions_in_threads_are_waited_for_at_the_end() -> Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&ended);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let runner = runner(2)?;
    runner.run(async move {
        let there = create_task(to_thread(move || {
            let _ = begun.send(());
            thread::sleep(Duration::from_millis(30));
            theirs.store(true, Ordering::SeqCst);
            Ok(())
        }));
        let _ = has_begun.await;
        drop(there);
        Ok(())
    })?;
    runner.close()?;
    assert!(ended.load(Ordering::SeqCst));
    Ok(())
}

#[test]
fn groups_limits_and_gathers_do_on_threads_what_they_do_on_a_loop() -> Result<()> {
    on_runner(|| async {
        let sum = task_group(async |group| {
            let tasks: Vec<Task<usize>> = (0..100)
                .map(|number| {
                    group.create_task(async move {
                        sleep(0.001).await?;
                        Ok(number)
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            Ok(sum)
        })
        .await?;
        assert_eq!(sum, 4950);
        let late = timeout(0.005, sleep(3600)).await;
        assert!(fails_with::<asyncio_core::TimeoutError, _>(late));
        Ok(())
    })
}

#[test]
fn a_runner_is_not_closed_from_its_own_threads() -> Result<()> {
    let runner = runner(1)?;
    let handle = runner.handle()?;
    let (sender, receiver) = mpsc::channel();
    handle.spawn_blocking(move || {
        let _ = sender.send(runner.close());
        // Dropped it may be.
        drop(runner);
    });
    assert!(fails_with::<RuntimeError, _>(receiver.recv()?));
    Ok(())
}

/// Two runners know nothing of each other.
#[test]
fn the_tasks_of_another_runner_are_not_counted() -> Result<()> {
    let (first, second) = (runner(2)?, runner(2)?);
    let there = first.handle()?;
    second.run(async move {
        // Entered here, another runtime is still another's.
        let hour: Task<()> = {
            let _inside = there.enter();
            create_task(async { sleep(3600).await })
        };
        assert_eq!(all_tasks().len(), 1);
        hour.cancel();
        assert!(error_of(hour.await).is_cancelled());
        let spawned = there.spawn(async {
            let hour = create_task(async { sleep(3600).await });
            (all_tasks().len(), hour)
        });
        let (count, _hour) = spawned.await?;
        assert_eq!(count, 1);
        assert_eq!(all_tasks().len(), 1);
        Ok(())
    })?;
    second.close()?;
    first.close()
}

#[test]
fn eager_tasks_are_counted_while_they_run() -> Result<()> {
    on_runner(|| async {
        let (release, released) = tokio::sync::oneshot::channel();
        let eager = Task::builder().eager_start(true).spawn(async {
            let counted = all_tasks().len();
            released.await?;
            Ok(counted)
        });
        assert_eq!(all_tasks().len(), 2);
        let _ = release.send(());
        assert_eq!(eager.await?, 2);
        let at_once = Task::builder().eager_start(true).spawn(async { Ok(()) });
        assert!(at_once.done());
        assert_eq!(all_tasks().len(), 1);
        Ok(())
    })
}

#[test]
fn many_tasks_come_and_go_and_none_is_forgotten() -> Result<()> {
    on_runner(|| async {
        for _ in 0..20 {
            let crowd: Vec<Task<()>> = (0..500)
                .map(|number| {
                    create_task(async move {
                        for _ in 0..number % 4 {
                            sleep(0).await?;
                        }
                        Ok(())
                    })
                })
                .collect();
            for (number, task) in crowd.into_iter().enumerate() {
                if number % 3 == 0 {
                    task.cancel();
                }
                match task.await {
                    Ok(()) => {}
                    Err(error) => assert!(error.is_cancelled()),
                }
            }
        }
        until(|| all_tasks().len() == 1).await
    })
}

#[test]
fn a_handler_that_panics_harms_nobody() -> Result<()> {
    let builder = Runner::builder().worker_threads(2);
    let runner = builder
        .exception_handler(|context| assert!(context.exception().is_none(), "in the handler"))
        .build()?;
    runner.run(async {
        drop(create_task::<(), _>(async {
            Err(ValueError::new("odd").into())
        }));
        sleep(0.01).await?;
        Ok::<(), Exception>(())
    })?;
    runner.close()
}

/// `gather(…).return_exceptions()` is a second future: what its children end with while it is made is no
/// failure of the first one, which nobody will ask.
#[test]
fn a_gather_that_lists_exceptions_leaves_none_unretrieved() -> Result<()> {
    let reports = Reports::default();
    let runner = reports.runner(2)?;
    runner.run(async {
        for round in 0..40_000 {
            let children = (0..=round % 3).map(|_| create_task(sleep(3600)));
            let children: Vec<Task<()>> = children.collect();
            sleep(0).await?;
            for child in &children {
                child.cancel();
            }
            let count = children.len();
            let outcomes = gather(children).return_exceptions().await?;
            assert_eq!(outcomes.iter().filter(|one| one.is_err()).count(), count);
        }
        Ok(())
    })?;
    runner.close()?;
    assert_eq!(reports.take(), [""; 0]);
    Ok(())
}
