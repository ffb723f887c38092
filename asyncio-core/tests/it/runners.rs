//! `asyncio/runners.py`; Ctrl-C has a test binary of its own, `tests/sigint.rs`.

use std::io::ErrorKind;

use asyncio_core::{
    CancelledError, Exception, KeyboardInterrupt, Result, Runner, RuntimeError, SystemExit,
    ValueError, all_tasks, create_local_task, create_task, current_task, get_running_loop, run,
    sleep,
};

use crate::support::{Alive, Log, Reports, error_of, turns};

/// `test_runners.RunTests.test_asyncio_run_return`
#[test]
fn run_returns_what_main_returns() -> Result<()> {
    assert_eq!(
        run(async {
            sleep(0).await?;
            Ok(42)
        })?,
        42
    );
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_raises`
#[test]
fn run_fails_with_what_main_fails_with() {
    let result = run::<(), _>(async {
        sleep(0).await?;
        Err(ValueError::new("spam").into())
    });
    assert_eq!(error_of(result).to_string(), "spam");
}

#[test]
fn run_fails_with_a_cancellation_when_main_is_cancelled() {
    let result = run::<(), _>(async {
        current_task().expect("main is a task").cancel();
        sleep(0).await
    });
    assert!(error_of(result).is_cancelled());
}

#[test]
fn a_panic_in_main_is_the_error_of_run() {
    let error = error_of(run::<(), _>(async { panic!("in main") }));
    assert!(error.is_panic());
    assert_eq!(error.to_string(), "task panicked: in main");
}

/// `test_runners.RunTests.test_asyncio_run_debug`, `test_runners.RunnerTests.test_debug`,
/// `test_runners.RunnerTests.test_non_debug`
#[test]
fn debug_mode_is_what_the_runner_was_told() -> Result<()> {
    for enabled in [true, false] {
        let runner = Runner::builder().debug(enabled).build()?;
        let seen = runner.run(async { Ok(get_running_loop()?.get_debug()) })?;
        assert_eq!(seen, enabled);
        runner.close()?;
    }
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_from_running_loop`,
/// `test_runners.RunnerTests.test_recursive_run`
#[test]
fn run_inside_run_is_an_error_and_drops_its_main() -> Result<()> {
    let alive = Alive::default();
    let held = alive.one();
    let watched = alive.clone();
    run(async move {
        let inner = async move {
            held.touch();
            Ok(())
        };
        let refused = run(inner).expect_err("a loop is running");
        assert_eq!(
            refused.to_string(),
            "asyncio.run() cannot be called from a running event loop"
        );
        assert_eq!(watched.count(), 0);
        let refused = Runner::new()?.run(async { Ok(()) });
        assert_eq!(
            refused.expect_err("a loop is running").to_string(),
            "Runner.run() cannot be called from a running event loop"
        );
        sleep(0).await
    })?;
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_cancels_hanging_tasks`
#[test]
fn tasks_that_are_left_are_cancelled_in_the_order_of_their_making_and_awaited() -> Result<()> {
    let log = Log::default();
    let theirs = log.clone();
    run(async move {
        for name in 0..3 {
            let log = theirs.clone();
            drop(create_local_task(async move {
                let result = sleep(1000).await;
                log.add(format!("cancelled {name}"));
                turns(3 - name).await?;
                log.add(format!("gone {name}"));
                result
            }));
        }
        turns(1).await
    })?;
    assert_eq!(
        log.take(),
        [
            "cancelled 0",
            "cancelled 1",
            "cancelled 2",
            "gone 2",
            "gone 1",
            "gone 0"
        ]
    );
    Ok(())
}

/// `test_runners.RunTests.test_asyncio_run_reports_hanging_tasks_errors`
#[test]
fn errors_of_tasks_that_are_left_are_reported() -> Result<()> {
    let runner = Runner::new()?;
    let reports = Reports::of(&runner.get_loop()?)?;
    let result = runner.run(async {
        drop(create_task(async {
            if sleep(1000).await.is_err() {
                Err(ValueError::new("during clean-up").into())
            } else {
                Ok(())
            }
        }));
        turns(1).await?;
        Ok(123)
    });
    assert_eq!(result?, 123);
    runner.close()?;
    let told = reports.take();
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].message(),
        "unhandled exception during asyncio.run() shutdown"
    );
    assert_eq!(told[0].task_name(), Some("Task-2"));
    assert!(told[0].exception().is_some_and(Exception::is::<ValueError>));
    Ok(())
}

#[test]
fn a_task_that_refuses_its_cancellation_is_still_awaited() -> Result<()> {
    let log = Log::default();
    let theirs = log.clone();
    run(async move {
        drop(create_local_task(async move {
            assert!(sleep(1000).await.is_err());
            sleep(0.002).await?;
            theirs.add("finished");
            Ok(())
        }));
        turns(1).await
    })?;
    assert_eq!(log.take(), ["finished"]);
    Ok(())
}

/// Tasks that are made during the clean-up are not cancelled; they go with the loop.
#[test]
fn a_task_that_is_made_during_the_clean_up_goes_with_the_loop() -> Result<()> {
    let runner = Runner::new()?;
    let reports = Reports::of(&runner.get_loop()?)?;
    let alive = Alive::default();
    let held = alive.one();
    runner.run(async move {
        drop(create_local_task(async move {
            let result = sleep(1000).await;
            drop(create_task(async move {
                sleep(1000).await?;
                held.touch();
                Ok(())
            }));
            result
        }));
        turns(1).await
    })?;
    runner.close()?;
    assert_eq!(
        reports.take_lines(),
        ["Task was destroyed but it is pending!"]
    );
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// `test_runners.RunnerTests.test_run`, `test_runners.RunnerTests.test_explicit_close`,
/// `test_runners.RunnerTests.test_double_close`,
/// `test_runners.RunnerTests.test_second_with_block_raises`
#[test]
fn a_closed_runner_runs_nothing() -> Result<()> {
    let runner = Runner::new()?;
    assert_eq!(runner.run(async { Ok("done") })?, "done");
    let event_loop = runner.get_loop()?;
    assert!(!event_loop.is_running() && !event_loop.is_closed());
    runner.close()?;
    runner.close()?;
    assert!(event_loop.is_closed());
    assert_eq!(error_of(runner.get_loop()).to_string(), "Runner is closed");
    let error = error_of(runner.run(async { Ok(()) }));
    assert!(error.is::<RuntimeError>());
    assert_eq!(error.to_string(), "Runner is closed");
    Ok(())
}

#[test]
fn one_runner_runs_several_programs_on_one_loop() -> Result<()> {
    let runner = Runner::new()?;
    let first = runner.run(async { Ok(get_running_loop()?) })?;
    let left = runner.run(async { Ok(create_task(async { sleep(0.001).await })) })?;
    assert!(!left.done(), "nothing is cancelled between two runs");
    let second = runner.run(async {
        left.await?;
        Ok(get_running_loop()?)
    })?;
    assert!(first == second);
    runner.close()
}

#[test]
fn a_keyboard_interrupt_raised_by_main_leaves_run() -> Result<()> {
    let log = Log::default();
    let theirs = log.clone();
    let result = run::<(), _>(async move {
        let log = theirs.clone();
        drop(create_local_task(async move {
            let result = sleep(1000).await;
            log.add("cleaned up");
            result
        }));
        turns(1).await?;
        Err(KeyboardInterrupt::new().into())
    });
    assert!(error_of(result).is::<KeyboardInterrupt>());
    assert_eq!(log.take(), ["cleaned up"]);
    Ok(())
}

#[test]
fn a_system_exit_of_any_task_leaves_run_with_its_code() -> Result<()> {
    let result = run::<(), _>(async {
        drop(create_task::<(), _>(async {
            Err(SystemExit::new(3).into())
        }));
        sleep(1000).await
    });
    let error = error_of(result);
    assert_eq!(
        error.downcast_ref::<SystemExit>().map(SystemExit::code),
        Some(3)
    );
    Ok(())
}

#[test]
fn main_need_not_be_send_and_may_borrow_nothing() -> Result<()> {
    let shared = std::rc::Rc::new(std::cell::Cell::new(1));
    let theirs = std::rc::Rc::clone(&shared);
    run(async move {
        theirs.set(2);
        sleep(0).await
    })?;
    assert_eq!(shared.get(), 2);
    Ok(())
}

#[test]
fn dropping_a_runner_drops_what_is_left_without_running_it() -> Result<()> {
    let (alive, log) = (Alive::default(), Log::default());
    let (held, theirs) = (alive.one(), log.clone());
    let runner = Runner::new()?;
    let task = runner.run(async move {
        let task = create_local_task(async move {
            let result = sleep(1000).await;
            theirs.add("clean-up must not run");
            held.touch();
            result
        });
        turns(1).await?;
        Ok(task)
    })?;
    drop(Reports::of(&runner.get_loop()?)?);
    drop(runner);
    assert_eq!(alive.count(), 0);
    assert!(task.done() && task.cancelled());
    assert!(log.take().is_empty());
    Ok(())
}

#[test]
fn loops_may_follow_each_other_and_live_side_by_side() -> Result<()> {
    for _ in 0..50 {
        run(async { sleep(0).await })?;
    }
    let runners = [Runner::new()?, Runner::new()?];
    for _ in 0..3 {
        for runner in &runners {
            runner.run(async { sleep(0.0001).await })?;
        }
    }
    let threads: Vec<_> = (0..8)
        .map(|name| {
            std::thread::spawn(move || {
                run(async move {
                    assert_eq!(all_tasks().len(), 1);
                    sleep(0.002).await?;
                    Ok(name)
                })
            })
        })
        .collect();
    for (name, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().expect("no panic")?, name);
    }
    for runner in &runners {
        runner.close()?;
    }
    Ok(())
}

#[test]
fn a_loop_runs_in_a_blocking_thread_of_tokio() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        tokio::task::spawn_blocking(|| run(async { sleep(0.001).await.map(|()| 5) })).await
    });
    assert_eq!(answer??, 5);
    Ok(())
}

#[test]
fn an_io_error_keeps_its_kind_on_the_way_out_of_run() {
    let result = run::<(), _>(async {
        tokio::net::TcpStream::connect("127.0.0.1:1").await?;
        Ok(())
    });
    let error = error_of(result);
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionRefused));
    assert!(!error.is::<CancelledError>());
}
