//! What the exception handler is told, and what it is not (`loop.call_exception_handler`).

use std::cell::RefCell;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::rc::Rc;

use asyncio_core::{
    Context, ContextVar, EventLoop, Exception, ExceptionContext, Future, KeyboardInterrupt, Result,
    Runner, RuntimeError, SystemExit, Task, ValueError, create_local_task, create_task,
    get_running_loop, new_event_loop, run, sleep,
};

use crate::support::{Alive, Log, Reports, error_of, run_virtual, turns};

fn boom() -> Exception {
    ValueError::new("boom").into()
}

/// `test_base_events.BaseEventLoopTests.test_default_exc_handler_coro`
#[test]
fn a_task_exception_nobody_retrieves_is_reported_once() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let task = Task::builder()
            .name("lost")
            .spawn::<(), _>(async { Err(boom()) });
        turns(2).await?;
        assert!(reports.take().is_empty(), "a handle is left that may ask");
        let handle = task.handle();
        drop(task);
        assert!(reports.take().is_empty(), "an untyped one too");
        drop(handle);
        let told = reports.take();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].message(), "Task exception was never retrieved");
        assert_eq!(told[0].task_name(), Some("lost"));
        assert!(told[0].exception().is_some_and(Exception::is::<ValueError>));
        drop(create_task::<(), _>(async { Err(boom()) }));
        turns(1).await?;
        assert_eq!(
            reports.take_lines(),
            ["Task exception was never retrieved: boom"]
        );
        Ok(())
    })
}

/// Every way to look at it retrieves it; `test_tasks.BaseTaskTests.test_tb_logger_not_called_after_cancel`
#[test]
fn an_exception_that_was_seen_is_not_reported() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        type Look = fn(&Task<()>);
        let looks: [Look; 4] = [
            |task| assert!(task.result().is_err()),
            |task| assert!(task.exception().is_ok_and(|error| error.is_some())),
            |task| assert!(!task.cancel()),
            |task| {
                let handle = task.handle().expect("a task");
                assert!(handle.exception().is_ok_and(|error| error.is_some()));
            },
        ];
        for look in looks {
            let task = create_task(async { Err(boom()) });
            turns(2).await?;
            look(&task);
            drop(task);
        }
        assert!(create_task::<(), _>(async { Err(boom()) }).await.is_err());
        let awaited = create_task::<(), _>(async { Err(boom()) });
        let awaiter = create_task(async move { awaited.await });
        assert!(awaiter.await.is_err());
        assert!(reports.take().is_empty());
        Ok(())
    })
}

/// `test_base_events.BaseEventLoopTests.test_default_exc_handler_callback`,
/// `test_events.HandleTests.test_callback_with_exception`
#[test]
fn an_exception_in_a_callback_is_reported_and_the_loop_goes_on() -> Result<()> {
    run_virtual(async {
        let (reports, log) = (Reports::of_running()?, Log::default());
        let event_loop = get_running_loop()?;
        event_loop.call_soon(|| Err::<(), _>(boom()))?;
        let after = log.clone();
        event_loop.call_soon(move || after.add("after"))?;
        event_loop.call_later(1, || -> Result<()> { panic!("in a timer") })?;
        event_loop.call_soon_threadsafe(|| Err::<(), _>(boom()))?;
        let done = create_task(async { Ok(()) });
        done.add_local_done_callback(|_| Err::<(), _>(boom()))?;
        done.add_local_done_callback(|_| -> () { panic!("in a done callback") })?;
        sleep(2).await?;
        assert_eq!(log.take(), ["after"]);
        assert_eq!(
            reports.take_lines(),
            [
                "Exception in callback: boom",
                "Exception in callback: boom",
                "Exception in callback: boom",
                "Exception in callback: task panicked: in a done callback",
                "Exception in callback: task panicked: in a timer",
            ]
        );
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_log_destroyed_pending_task`
#[test]
fn a_task_that_is_pending_when_its_loop_is_closed_is_reported_once() -> Result<()> {
    let event_loop = new_event_loop()?;
    let reports = Reports::of(&event_loop)?;
    let waiting = event_loop.create_task(async { sleep(1000).await });
    event_loop.run_until_complete(turns(2))?;
    drop(event_loop.create_task(async { Ok(()) }));
    event_loop.close()?;
    drop(event_loop);
    let told = reports.take();
    let names: Vec<_> = told
        .iter()
        .map(|context| (context.message(), context.task_name()))
        .collect();
    assert_eq!(
        names,
        [
            ("Task was destroyed but it is pending!", Some("Task-1")),
            ("Task was destroyed but it is pending!", Some("Task-3")),
        ]
    );
    assert!(waiting.cancelled());
    Ok(())
}

/// An error that comes to light only while the loop is being closed still finds its handler.
#[test]
fn an_exception_that_is_lost_with_the_loop_is_reported_to_its_handler() -> Result<()> {
    let event_loop = new_event_loop()?;
    let reports = Reports::of(&event_loop)?;
    event_loop.run_until_complete(async {
        let failed = create_task::<(), _>(async { Err(boom()) });
        turns(2).await?;
        // Held by something that goes only with the runtime: a task of tokio's.
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(failed);
        });
        turns(1).await
    })?;
    event_loop.close()?;
    assert_eq!(
        reports.take_lines(),
        ["Task exception was never retrieved: boom"]
    );
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_exc_handler_custom`
#[test]
fn the_handler_may_be_set_replaced_and_taken_away() -> Result<()> {
    let event_loop = new_event_loop()?;
    let first = Reports::of(&event_loop)?;
    event_loop.call_exception_handler(&ExceptionContext::new("one", None));
    let second = Reports::of(&event_loop)?;
    event_loop.call_exception_handler(&ExceptionContext::new("two", Some(boom())));
    assert_eq!(
        (first.take_lines(), second.take_lines()),
        (vec!["one".into()], vec!["two: boom".into()])
    );
    event_loop.set_exception_handler(None)?;
    assert!(first.take().is_empty() && second.take().is_empty());
    event_loop.close()?;
    Ok(())
}

#[test]
fn the_handler_is_given_its_loop_and_may_use_it() -> Result<()> {
    let event_loop = new_event_loop()?;
    let log = Log::default();
    let told = log.clone();
    event_loop.set_exception_handler(Some(Box::new(move |event_loop: &EventLoop, context| {
        told.add(context.message());
        let again = told.clone();
        event_loop
            .call_soon(move || again.add("scheduled by the handler"))
            .expect("the loop is open");
        // A handler may even replace itself.
        event_loop
            .set_exception_handler(None)
            .expect("the loop is open");
    })))?;
    event_loop.run_until_complete(async {
        get_running_loop()?.call_soon(|| Err::<(), _>(boom()))?;
        turns(3).await
    })?;
    assert_eq!(
        log.take(),
        ["Exception in callback", "scheduled by the handler"]
    );
    event_loop.close()?;
    Ok(())
}

static NAME: ContextVar<&str> = ContextVar::with_default("name", "foo");

/// What `NAME` was whenever the running loop's handler was called, and the task that was current.
fn names_in_the_handler() -> Result<Rc<RefCell<Vec<String>>>> {
    let names = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&names);
    get_running_loop()?.set_exception_handler(Some(Box::new(move |_, context| {
        let name = NAME.get().unwrap_or("unset");
        told.borrow_mut()
            .push(format!("{name}: {}", context.message()));
        // What it changes there is kept, for it is no copy.
        let _ = NAME.set("handled");
    })))?;
    Ok(names)
}

/// `test_futures2.FutureTests.test_task_exc_handler_correct_context`
#[test]
fn the_handler_runs_in_the_context_of_the_failed_task() -> Result<()> {
    run(async {
        let names = names_in_the_handler()?;
        drop(create_task::<(), _>(async {
            let _ = NAME.set("bar")?;
            Err(boom())
        }));
        sleep(0).await?;
        assert_eq!(names.take(), ["bar: Task exception was never retrieved"]);
        assert_eq!(NAME.get(), Some("foo"), "nobody else's is changed");
        let context = Context::new();
        context.run(|| NAME.set("given").map(drop))??;
        let task = Task::builder().context(context.clone());
        drop(task.spawn::<(), _>(async { Err(boom()) }));
        sleep(0).await?;
        assert_eq!(names.take(), ["given: Task exception was never retrieved"]);
        assert_eq!(context.get(&NAME), Some("handled"));
        Ok(())
    })
}

/// `test_futures2.FutureTests.test_handle_exc_handler_correct_context`
#[test]
fn the_handler_runs_in_the_context_of_the_failed_callback() -> Result<()> {
    run(async {
        let names = names_in_the_handler()?;
        let event_loop = get_running_loop()?;
        let fail = || {
            let _ = NAME.set("bar")?;
            Err::<(), _>(boom())
        };
        let message = "bar: Exception in callback";
        event_loop.call_soon(fail)?;
        sleep(0).await?;
        assert_eq!(names.take(), [message]);
        event_loop.call_soon(move || -> () {
            let _ = fail();
            panic!("in a callback");
        })?;
        event_loop.call_later(0, fail)?;
        turns(2).await?;
        assert_eq!(names.take(), [message; 2]);
        let future = event_loop.create_future();
        future.add_done_callback(move |_| fail());
        future.set_result(())?;
        sleep(0).await?;
        assert_eq!(names.take(), [message]);
        Ok(())
    })
}

#[test]
fn on_many_threads_the_handler_has_the_context_of_what_failed() -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let runner = Runner::builder().worker_threads(2);
    let runner = runner.exception_handler(move |context| {
        // Nobody listens once the test has failed.
        let _ = sender.send(format!(
            "{}: {}",
            NAME.get().unwrap_or(""),
            context.message()
        ));
    });
    let runner = runner.build()?;
    runner.run(async {
        drop(create_task::<(), _>(async {
            let _ = NAME.set("bar")?;
            Err(boom())
        }));
        let task = create_task(async { Ok(()) });
        let _ = NAME.set("spam")?;
        task.add_done_callback(|_| Err::<(), _>(boom()));
        task.await
    })?;
    // The threads go on until the runner is closed.
    let minute = std::time::Duration::from_secs(60);
    let mut told = [
        receiver.recv_timeout(minute)?,
        receiver.recv_timeout(minute)?,
    ];
    runner.close()?;
    told.sort_unstable();
    let expected = [
        "bar: Task exception was never retrieved",
        "spam: Exception in callback",
    ];
    assert_eq!(told, expected);
    Ok(())
}

/// A future has no context, and neither has what a program reports by itself.
#[test]
fn the_handler_runs_in_the_current_context_where_there_is_no_other() -> Result<()> {
    run(async {
        let names = names_in_the_handler()?;
        let _ = NAME.set("mine")?;
        let event_loop = get_running_loop()?;
        event_loop.create_future::<()>().set_exception(boom())?;
        let lost = "Future exception was never retrieved";
        assert_eq!(names.take(), [format!("mine: {lost}")]);
        assert_eq!(NAME.get(), Some("handled"));
        let context = ExceptionContext::new("told", None);
        event_loop.call_exception_handler(&context);
        assert_eq!(names.take(), ["handled: told"]);
        let other = create_task(async {
            let _ = NAME.set("other")?;
            sleep(1).await
        });
        sleep(0).await?;
        let of_other = context.with_task(&other.handle().expect("a task"));
        assert_eq!(of_other.task_name(), Some("Task-2"));
        event_loop.call_exception_handler(&of_other);
        assert_eq!(names.take(), ["other: told"]);
        other.cancel();
        Ok(())
    })
}

#[test]
fn what_is_reported_of_a_task_at_the_end_has_its_context() -> Result<()> {
    let event_loop = new_event_loop()?;
    let names = event_loop.run_until_complete(async {
        let names = names_in_the_handler()?;
        drop(create_task(async {
            let _ = NAME.set("left")?;
            sleep(1).await
        }));
        sleep(0).await?;
        Ok(names)
    })?;
    event_loop.close()?;
    assert_eq!(
        names.take(),
        ["left: Task was destroyed but it is pending!"]
    );
    let runner = Runner::new()?;
    let names = runner.run(async {
        let names = names_in_the_handler()?;
        drop(create_task(async {
            let _ = NAME.set("hangs")?;
            sleep(60).await.map_err(|_| boom())
        }));
        sleep(0).await?;
        Ok(names)
    })?;
    runner.close()?;
    let message = "hangs: unhandled exception during asyncio.run() shutdown";
    assert_eq!(names.take(), [message]);
    Ok(())
}

#[test]
fn the_handler_is_told_of_the_message_the_exception_and_the_task() {
    let context = ExceptionContext::new("message", Some(boom()));
    assert_eq!(context.to_string(), "message\nValueError(\"boom\")");
    assert_eq!((context.message(), context.task_name()), ("message", None));
    assert_eq!(ExceptionContext::new("alone", None).to_string(), "alone");
}

/// `test_base_events.BaseEventLoopTests.test_run_forever_keyboard_interrupt`
#[test]
fn exceptions_that_leave_the_loop_are_not_reported() -> Result<()> {
    let event_loop = new_event_loop()?;
    let reports = Reports::of(&event_loop)?;
    event_loop.call_soon(|| Err::<(), Exception>(KeyboardInterrupt::new().into()))?;
    let left = error_of(event_loop.run_forever());
    assert!(left.is::<KeyboardInterrupt>());
    event_loop.call_soon(|| Err::<(), Exception>(SystemExit::new(4).into()))?;
    let left = error_of(event_loop.run_forever());
    assert!(left.is::<SystemExit>());
    let result = event_loop.run_until_complete::<(), _>(async { Err(SystemExit::new(5).into()) });
    assert!(error_of(result).is::<SystemExit>());
    event_loop.close()?;
    assert!(reports.take().is_empty());
    Ok(())
}

#[test]
fn a_panic_in_a_task_is_an_exception_at_its_awaiter() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let alive = Alive::default();
        for formatted in [false, true] {
            let held = alive.one();
            let task = create_task::<(), _>(async move {
                sleep(0).await?;
                held.touch();
                if formatted {
                    panic!("number {}", 7);
                }
                panic!("plain");
            });
            let error = error_of((&task).await);
            assert!(error.is_panic() && !error.is_cancelled());
            let message = if formatted { "number 7" } else { "plain" };
            assert_eq!(error.to_string(), format!("task panicked: {message}"));
            let panic = error.downcast_ref::<asyncio_core::PanicError>();
            assert_eq!(panic.map(asyncio_core::PanicError::message), Some(message));
            assert_eq!(alive.count(), 0);
        }
        let task = create_task::<(), _>(async { std::panic::panic_any(5_u8) });
        assert_eq!(
            error_of(task.await).to_string(),
            "task panicked: a panic without a message"
        );
        drop(create_task::<(), _>(async { panic!("unseen") }));
        turns(2).await?;
        assert_eq!(
            reports.take_lines(),
            ["Task exception was never retrieved: task panicked: unseen"]
        );
        Ok(())
    })
}

struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

#[test]
fn a_panic_in_a_destructor_of_a_coroutine_is_the_tasks_exception() -> Result<()> {
    run_virtual(async {
        let at_the_end = create_local_task(async {
            let _guard = PanicsOnDrop("at the end");
            sleep(0).await
        });
        assert!(error_of(at_the_end.await).is_panic());
        let cancelled = create_local_task(async {
            let _guard = PanicsOnDrop("when dropped");
            std::future::pending::<()>().await;
            Ok(())
        });
        turns(1).await?;
        cancelled.cancel();
        let error = error_of(cancelled.await);
        assert_eq!(error.to_string(), "task panicked: when dropped");
        Ok(())
    })
}

#[test]
fn a_panic_in_a_destructor_of_a_result_is_reported() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let task = create_local_task(async { Ok(PanicsOnDrop("a result")) });
        turns(2).await?;
        drop(task);
        assert_eq!(
            reports.take_lines(),
            ["Panic while a result was dropped: task panicked: a result"]
        );
        Ok(())
    })
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_stays_in_its_task() -> Result<()> {
    run_virtual(async {
        let task = create_task::<(), _>(async { std::panic::panic_any(PanicsOnDrop("payload")) });
        assert!(error_of(task.await).is_panic());
        Ok(())
    })
}

#[test]
fn a_result_that_is_dropped_may_drop_the_handles_of_others() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let failed = create_task::<(), _>(async { Err(boom()) });
        turns(2).await?;
        let outer: Future<Task<()>> = get_running_loop()?.create_future();
        outer.set_result(failed)?;
        drop(outer);
        assert_eq!(
            reports.take_lines(),
            ["Task exception was never retrieved: boom"]
        );
        Ok(())
    })
}

static VAR: ContextVar<u32> = ContextVar::with_default("reports", 0);

/// A handler that is called from a destructor, deep in something else, sees a loop in good order.
#[test]
fn the_handler_may_do_anything_a_callback_may() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let made: Rc<RefCell<Vec<Task<u32>>>> = Rc::default();
        let place = Rc::clone(&made);
        event_loop.set_exception_handler(Some(Box::new(move |_, _| {
            let context = Context::new();
            let task = context.run(|| {
                let _ = VAR.set(1);
                create_task(async { Ok(VAR.get().unwrap_or_default()) })
            });
            place.borrow_mut().extend(task);
        })))?;
        drop(create_task::<(), _>(async { Err(boom()) }));
        turns(2).await?;
        let task = made.borrow_mut().pop().expect("the handler was called");
        assert_eq!(task.await?, 1);
        Ok(())
    })
}

/// Names the scenario that a child process is to run instead of the tests.
const SCENARIO: &str = "ASYNCIO_CORE_REPORTS_SCENARIO";

/// Runs one of this module's tests again in a process of its own, and returns its standard error.
fn standard_error_of(test: &str) -> Result<String> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, "1")
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    assert!(child.wait()?.success(), "{text}");
    Ok(text)
}

fn is_child() -> bool {
    std::env::var_os(SCENARIO).is_some()
}

#[test]
fn without_a_handler_and_a_subscriber_errors_go_to_standard_error() -> Result<()> {
    if is_child() {
        return run(async {
            drop(create_task::<(), _>(async { Err(boom()) }));
            turns(2).await
        });
    }
    let name = "reports::without_a_handler_and_a_subscriber_errors_go_to_standard_error";
    let text = standard_error_of(name)?;
    assert!(
        text.contains("Task exception was never retrieved\ntask: Task-2\nValueError(\"boom\")"),
        "{text}"
    );
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_exc_handler_broken`
#[test]
fn a_handler_that_fails_is_reported_by_the_default_one_with_what_it_was_told() -> Result<()> {
    if is_child() {
        return run(async {
            let event_loop = get_running_loop()?;
            event_loop.set_exception_handler(Some(Box::new(|_, _| panic!("the handler"))))?;
            event_loop.call_soon(|| Err::<(), _>(RuntimeError::new("the callback")))?;
            turns(3).await
        });
    }
    let name = "reports::a_handler_that_fails_is_reported_by_the_default_one_with_what_it_was_told";
    let text = standard_error_of(name)?;
    let first = text
        .find("Unhandled error in exception handler")
        .expect("it is told");
    let second = text
        .find("Exception in callback")
        .expect("the original too");
    assert!(first < second, "{text}");
    assert!(text.contains("the callback"), "{text}");
    assert_eq!(text.matches("Exception in callback").count(), 1);
    Ok(())
}

/// A subscriber elsewhere is no subscriber here: what nobody hears still goes to standard error.
/// `test_base_events.BaseEventLoopTests.test_default_exc_handler_broken`
#[test]
fn a_default_handler_that_fails_harms_nobody() -> Result<()> {
    struct Broken;
    impl tracing::Subscriber for Broken {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            panic!("spam");
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    if is_child() {
        return tracing::subscriber::with_default(Broken, || {
            run(async {
                let event_loop = get_running_loop()?;
                event_loop.call_soon(|| Err::<(), _>(boom()))?;
                sleep(0).await?;
                event_loop.set_exception_handler(Some(Box::new(|_, _| panic!("ham"))))?;
                event_loop.call_soon(|| Err::<(), _>(ValueError::new("eggs")))?;
                sleep(0).await
            })
        });
    }
    let text = standard_error_of("reports::a_default_handler_that_fails_harms_nobody")?;
    assert_eq!(
        text.matches("Exception in default exception handler")
            .count(),
        3,
        "{text}"
    );
    for told in [
        "ValueError(\"boom\")",
        "PanicError { message: \"ham\" }",
        "ValueError(\"eggs\")",
    ] {
        assert_eq!(text.matches(told).count(), 1, "{text}");
    }
    Ok(())
}

#[test]
fn an_error_is_not_lost_to_a_subscriber_of_another_thread() -> Result<()> {
    if is_child() {
        tracing::subscriber::with_default(Deaf, || ());
        return run(async {
            drop(create_task::<(), _>(async { Err(boom()) }));
            turns(2).await
        });
    }
    let name = "reports::an_error_is_not_lost_to_a_subscriber_of_another_thread";
    let text = standard_error_of(name)?;
    assert!(
        text.contains("Task exception was never retrieved"),
        "{text}"
    );
    Ok(())
}

/// Collects nothing.
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

/// Where a subscriber collects, the error is an event of the target `asyncio`.
#[test]
fn with_a_subscriber_errors_are_events() -> Result<()> {
    #[derive(Clone, Default)]
    struct Collects(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
    struct Text<'a>(&'a mut String);
    impl tracing::field::Visit for Text<'_> {
        fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{value:?}"));
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
            if event.metadata().target() == "asyncio" {
                let mut text = format!("{} ", event.metadata().level());
                event.record(&mut Text(&mut text));
                self.0.lock().expect("not poisoned").push(text);
            }
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    if !is_child() {
        // In a process of its own: that anything collects at all is known to the whole process.
        let text = standard_error_of("reports::with_a_subscriber_errors_are_events")?;
        assert!(!text.contains("never retrieved"), "{text}");
        return Ok(());
    }
    let collects = Collects::default();
    tracing::subscriber::with_default(collects.clone(), || {
        run(async {
            drop(create_task::<(), _>(async { Err(boom()) }));
            turns(2).await
        })
    })?;
    let events = collects.0.lock().expect("not poisoned").clone();
    assert_eq!(
        events,
        ["ERROR Task exception was never retrieved\ntask: Task-2\nValueError(\"boom\")"]
    );
    Ok(())
}
