//! Debug mode: what is warned of, in which words, and that nothing is where it is off.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use asyncio_core::{
    ExceptionContext, FutureExt, Result, Runner, RuntimeError, Task, Timeout, ValueError,
    as_completed, create_task, current_task, ensure_future, gather, get_running_loop,
    new_event_loop, run, shield, sleep, staggered_race, timeout, timeout_at, timeout_with,
    to_thread, wait_for, wait_for_local,
};

use crate::support::{Reports, error_of, fails_with, turns};

/// Runs a function and returns what it logged on this thread, as "LEVEL target: message".
fn logged(function: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
    let collects = Collects::default();
    tracing::subscriber::with_default(collects.clone(), function)?;
    let mut lines = collects.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *lines))
}

fn runner(debug: bool) -> Result<Runner> {
    let runner = Runner::builder().debug(debug).build()?;
    runner.get_loop()?.set_slow_callback_duration(0.02)?;
    Ok(runner)
}

fn block(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Without the time that something took.
fn untimed(line: &str) -> String {
    match (line.find(" took "), line.find(" seconds")) {
        (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
        _ => line.to_owned(),
    }
}

/// `test_base_events.BaseEventLoopWithSelectorTests.test_log_slow_callbacks`
#[test]
fn slow_steps_and_callbacks_are_named() -> Result<()> {
    let mut place = 0;
    let lines = logged(|| {
        let runner = runner(true)?;
        place = line!() + 2;
        runner.run(async {
            let task = Task::builder().name("slow").spawn(async {
                block(25);
                sleep(0).await?;
                block(25);
                Ok(())
            });
            task.add_done_callback(|_| block(25));
            task.await?;
            get_running_loop()?.call_soon(|| block(25))?;
            turns(2).await
        })?;
        runner.close()
    })?;
    let untimed: Vec<String> = lines.iter().map(|line| untimed(line)).collect();
    let place = format!("asyncio-core/tests/it/debug.rs:{place}:24");
    let slow = |state| format!("<Task {state} name=\"slow\" spawned at {place}>");
    assert_eq!(untimed.len(), 4, "{lines:#?}");
    let executing = |what: &str| format!("WARN asyncio: Executing {what} seconds");
    assert_eq!(untimed[0], executing(&slow("pending")));
    assert_eq!(untimed[1], executing(&slow("finished")));
    assert_eq!(
        untimed[2],
        executing(&format!("<done callback of {}>", slow("finished")))
    );
    assert!(untimed[3].starts_with("WARN asyncio: Executing <Handle it::debug::slow_steps"));
    for line in &lines {
        let seconds = line
            .split(" took ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let seconds: f64 = seconds.expect("the time").parse()?;
        assert!((0.025..10.0).contains(&seconds), "{line}");
    }
    Ok(())
}

#[test]
fn nothing_is_said_while_debug_mode_is_off() -> Result<()> {
    let lines = logged(|| {
        let runner = runner(false)?;
        runner.run(async {
            block(25);
            sleep(0).await?;
            drop(timeout(1, sleep(1)));
            let task = create_task(async {
                assert!(sleep(60).await.is_err());
                Ok(())
            });
            turns(1).await?;
            task.cancel();
            task.await
        })?;
        let event_loop = runner.get_loop()?;
        assert!(
            thread::spawn(move || event_loop.call_soon(|| ()).is_err())
                .join()
                .is_ok()
        );
        runner.close()
    })?;
    assert!(lines.is_empty(), "{lines:#?}");
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_debug`
#[test]
fn debug_mode_is_switched_while_the_loop_runs() -> Result<()> {
    let lines = logged(|| {
        let runner = runner(false)?;
        runner.run(async {
            let event_loop = get_running_loop()?;
            for enabled in [false, true, false] {
                event_loop.set_debug(enabled);
                assert_eq!(event_loop.get_debug(), enabled);
                sleep(0).await?;
                block(25);
                sleep(0).await?;
            }
            Ok(())
        })?;
        runner.close()
    })?;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    Ok(())
}

#[test]
fn the_limit_of_what_is_slow_can_be_set() -> Result<()> {
    let event_loop = new_event_loop()?;
    assert_eq!(
        event_loop.slow_callback_duration(),
        Duration::from_millis(100)
    );
    event_loop.set_slow_callback_duration(1)?;
    assert_eq!(event_loop.slow_callback_duration(), Duration::from_secs(1));
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(fails_with::<ValueError, _>(
            event_loop.set_slow_callback_duration(wrong)
        ));
    }
    let theirs = event_loop.clone();
    let elsewhere = move || {
        assert_eq!(theirs.slow_callback_duration(), Duration::ZERO);
        fails_with::<RuntimeError, _>(theirs.set_slow_callback_duration(1))
    };
    assert!(thread::spawn(elsewhere).join().expect("no panic"));
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_check_thread`
#[test]
fn a_call_on_another_thread_fails_and_is_said() -> Result<()> {
    for debug in [false, true] {
        let runner = runner(debug)?;
        let event_loop = runner.get_loop()?;
        let elsewhere = move || {
            logged(|| {
                let later = event_loop.call_later(1, || ());
                for error in [
                    error_of(event_loop.call_soon(|| ())),
                    error_of(later),
                    error_of(event_loop.call_at(1.0, || ())),
                ] {
                    assert!(error.is::<RuntimeError>());
                    assert!(
                        error
                            .to_string()
                            .starts_with("Non-thread-safe operation invoked")
                    );
                }
                assert_eq!(event_loop.get_debug(), debug);
                event_loop.call_soon_threadsafe(|| ())?;
                Ok(())
            })
            .map_err(|error| error.to_string())
        };
        let named = thread::Builder::new().name("stranger".to_owned());
        let lines = named.spawn(elsewhere)?.join().expect("no panic");
        let line = "WARN asyncio: Non-thread-safe operation invoked on an event loop other than \
                    the current one, on thread stranger";
        assert_eq!(lines, Ok(vec![line.to_owned(); if debug { 3 } else { 0 }]));
        runner.close()?;
    }
    Ok(())
}

#[test]
fn a_swallowed_cancellation_is_said() -> Result<()> {
    let lines = logged(|| {
        let runner = runner(true)?;
        runner.run(async {
            let swallows = Task::builder().name("swallows").spawn(async {
                assert!(sleep(60).await.is_err());
                Ok(())
            });
            let answers = create_task(async {
                assert!(sleep(60).await.is_err());
                current_task().expect("a task").uncancel();
                Ok(())
            });
            let raises = create_task(async { sleep(60).await });
            let limited = create_task(async {
                assert!(timeout(0.001, sleep(60)).await.is_err());
                Ok(())
            });
            turns(1).await?;
            let _ = (swallows.cancel(), answers.cancel(), raises.cancel());
            swallows.await?;
            answers.await?;
            assert!(raises.await.is_err());
            limited.await
        })?;
        runner.close()
    })?;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("WARN asyncio: <Task finished name=\"swallows\" spawned at "));
    assert!(lines[0].contains(" swallowed a CancelledError"));
    Ok(())
}

#[test]
fn a_coroutine_that_is_never_awaited_is_said() -> Result<()> {
    let lines = logged(|| {
        let runner = runner(true)?;
        let event_loop = runner.get_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        runner.run(async {
            drop(timeout(1, sleep(1)));
            timeout(1, sleep(0)).await?;
            let mut left = Box::pin(timeout(1, sleep(1)));
            assert!(futures::poll!(&mut left).is_pending());
            Ok(())
        })?;
        runner.close()?;
        let event_loop = new_event_loop()?;
        event_loop.set_debug(true);
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let begun = event_loop.create_task(sleep(60));
        event_loop.run_until_complete(turns(1))?;
        let never = event_loop.create_task(sleep(60));
        event_loop.close()?;
        drop((begun, never));
        Ok(())
    })?;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let dropped =
        "WARN asyncio: coroutine 'timeout' was never awaited, in <Task pending name=\"Task-1\"";
    assert!(lines[0].starts_with(dropped), "{}", lines[0]);
    assert!(
        lines[1].starts_with("WARN asyncio: coroutine of <Task "),
        "{}",
        lines[1]
    );
    assert!(lines[1].ends_with(" was never awaited"));
    Ok(())
}

/// Each function that takes a coroutine and returns another one.
#[test]
fn every_coroutine_that_is_dropped_unawaited_is_named() -> Result<()> {
    let mut place = 0;
    let lines = logged(|| {
        let runner = runner(true)?;
        place = line!() + 2;
        runner.run(async {
            drop(wait_for(sleep(1), 1));
            drop(wait_for_local(sleep(1), 1));
            drop(to_thread(|| Ok(())));
            drop(staggered_race([async || Ok(())], None));
            drop(sleep(1).cancellable());
            drop(timeout(1, sleep(1)));
            drop(timeout_at(1.0, sleep(1)));
            drop(timeout_with(1, async |_| sleep(1).await));
            drop(Timeout::new(1).run(sleep(1)));
            assert!(run(sleep(1)).is_err(), "a loop is running");
            assert!(new_event_loop()?.run_until_complete(sleep(1)).is_err());
            // Those that are awaited, and a handle, which runs by itself.
            wait_for(sleep(0), 1).await?;
            to_thread(|| Ok(())).await?;
            sleep(0).cancellable().await??;
            drop(staggered_race([async || Ok(())], None).await?);
            let task = create_task(sleep(0));
            assert!(new_event_loop()?.run_until_complete(task.clone()).is_err());
            task.await
        })?;
        runner.close()
    })?;
    let mut expected = Vec::new();
    for (name, located) in [
        ("wait_for", true),
        ("wait_for_local", true),
        ("to_thread", true),
        ("staggered_race", true),
        ("cancellable", false),
        ("timeout", false),
        ("timeout", false),
        ("timeout", false),
        ("timeout", false),
        ("asyncio_core::tasks::sleep::Sleep", true),
        ("asyncio_core::tasks::sleep::Sleep", true),
    ] {
        let mut line = format!("WARN asyncio: coroutine '{name}' was never awaited");
        if located {
            let at = place + expected.len() as u32;
            line += &format!(", created at asyncio-core/tests/it/debug.rs:{at}");
        } else {
            line += ", in <Task pending";
        }
        expected.push(line);
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line} instead of {expected}");
        assert!(line.contains(", in <Task pending name=\"Task-1\" spawned at "));
    }
    Ok(())
}

#[test]
fn on_many_threads_too_what_is_never_awaited_is_named() -> Result<()> {
    for debug in [true, false] {
        let runner = Runner::builder().debug(debug).worker_threads(1).build()?;
        let lines = runner.run(async {
            let lines = logged(|| {
                drop((wait_for(sleep(1), 1), timeout(1, sleep(1))));
                Ok(())
            })?;
            let context = ExceptionContext::new("told", None);
            let context = context.with_task(&current_task().expect("a task"));
            Ok((lines, context.created_at().is_some()))
        })?;
        runner.close()?;
        let names = lines.0.iter().filter_map(|line| line.split('\'').nth(1));
        let expected: &[&str] = if debug { &["wait_for", "timeout"] } else { &[] };
        assert_eq!(names.collect::<Vec<_>>(), expected);
        assert_eq!(lines.1, debug);
    }
    Ok(())
}

/// What is started at once is a task, which is named when it never begins.
#[test]
fn a_task_that_never_begins_is_named() -> Result<()> {
    let lines = logged(|| {
        let event_loop = new_event_loop()?;
        event_loop.set_debug(true);
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let (setter, mut left) = (event_loop.clone(), Vec::new());
        let left = event_loop.run_until_complete(async move {
            left.push(ensure_future(sleep(1)).handle());
            let gathering = gather((sleep(1), sleep(1)));
            let shielded = shield(sleep(1));
            let completed = as_completed([sleep(1)]);
            // Nothing has a turn after this one.
            setter.stop();
            drop((gathering, shielded, completed));
            std::future::pending::<()>().await;
            Ok(left)
        });
        assert!(left.is_err());
        Ok(event_loop.close()?)
    })?;
    let never = lines
        .iter()
        .filter(|line| line.ends_with(" was never awaited"));
    assert_eq!(never.count(), 5, "{lines:#?}");
    Ok(())
}

/// The key `source_traceback` of Python's contexts.
#[test]
fn reports_tell_where_a_task_was_spawned() -> Result<()> {
    async fn odd() -> Result<()> {
        Err(ValueError::new("odd").into())
    }
    for debug in [true, false] {
        let runner = runner(debug)?;
        let reports = Reports::of(&runner.get_loop()?)?;
        let place = line!() + 2;
        let left = runner.run(async {
            drop(create_task(odd()));
            turns(1).await?;
            Ok(create_task(sleep(60)))
        })?;
        runner.get_loop()?.close()?;
        drop(left);
        let reports = reports.take();
        assert_eq!(reports.len(), 2);
        for (number, context) in (0..).zip(&reports) {
            let line = context.created_at().map(std::panic::Location::line);
            assert_eq!(line, debug.then_some(place + 2 * number));
            let text = format!(
                "\ncreated at: asyncio-core/tests/it/debug.rs:{}",
                place + 2 * number
            );
            assert_eq!(context.to_string().contains(&text), debug, "{context}");
        }
    }
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_shutdown_default_executor_timeout`: the warning.
#[test]
fn an_executor_that_is_given_up_is_said() -> Result<()> {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let lines = logged(|| {
        let runner = runner(false)?;
        runner.run(async move {
            let job = create_task(to_thread(move || {
                // Either way it is over.
                let _ = released.recv();
                Ok(())
            }));
            turns(1).await?;
            get_running_loop()?.shutdown_default_executor(0.01).await?;
            drop(release);
            job.await
        })?;
        runner.close()
    })?;
    let line = "WARN asyncio: The executor did not finishing joining its threads within 0.01 \
                seconds.";
    assert_eq!(lines, [line]);
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_env_var_debug`: the variable is read when a loop is made.
#[test]
fn the_environment_turns_debug_mode_on() -> Result<()> {
    const CHILD: &str = "ASYNCIO_CORE_DEBUG_CHILD";
    if let Some(expected) = std::env::var_os(CHILD) {
        let seen = run(async { Ok(get_running_loop()?.get_debug()) })?;
        assert_eq!(seen, expected == "on");
        let runner = Runner::builder().debug(false).build()?;
        assert!(!runner.get_loop()?.get_debug());
        return runner.close();
    }
    for (value, expected) in [(None, "off"), (Some(""), "off"), (Some("1"), "on")] {
        let mut child = std::process::Command::new(std::env::current_exe()?);
        child.args(["debug::the_environment_turns_debug_mode_on", "--exact"]);
        child.env(CHILD, expected).env_remove("ASYNCIO_DEBUG");
        if let Some(value) = value {
            child.env("ASYNCIO_DEBUG", value);
        }
        let output = child.output()?;
        assert!(output.status.success(), "{value:?}: {output:?}");
    }
    Ok(())
}

/// A collector of events.
#[derive(Clone, Default)]
struct Collects(Arc<Mutex<Vec<String>>>);

struct Text<'a>(&'a mut String);

impl tracing::field::Visit for Text<'_> {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{value:?}");
    }
}

impl tracing::Subscriber for Collects {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        if metadata.target() != "asyncio" {
            return;
        }
        let mut text = format!("{} asyncio: ", metadata.level());
        event.record(&mut Text(&mut text));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// On many threads steps are watched as well.
#[test]
fn slow_steps_on_many_threads_are_named() -> Result<()> {
    for debug in [true, false] {
        let collects = Collects::default();
        let lines = Arc::clone(&collects.0);
        let runner = Runner::builder().debug(debug).worker_threads(1).build()?;
        runner.run(async move {
            // For the one thread there is, for as long as it lives.
            std::mem::forget(tracing::subscriber::set_default(collects));
            let slow = Task::builder().name("slow").spawn(async {
                block(110);
                Ok(())
            });
            slow.await?;
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let swallows = Task::builder().name("swallows").spawn(async {
                let _ = sender.send(());
                let _ = sleep(3600).await;
                Ok(())
            });
            receiver.await?;
            swallows.cancel();
            swallows.await
        })?;
        runner.close()?;
        let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
        let named = |name: &str, what: &str| {
            let of_task = |line: &&String| line.contains(name) && line.contains(what);
            lines.iter().filter(of_task).count()
        };
        let expected = usize::from(debug);
        assert_eq!(named("\"slow\"", "Executing"), expected, "{lines:?}");
        assert_eq!(named("\"swallows\"", "swallowed"), expected, "{lines:?}");
    }
    Ok(())
}
