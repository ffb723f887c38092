//! `contextvars`, and which context runs what (`test_tasks.py`, `test_base_events.py`, PEP 567).

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_core::{
    Context, ContextVar, Result, Runner, RuntimeError, Task, ValueError, copy_context,
    create_local_task, create_task, current_task, get_running_loop, new_event_loop, sleep,
};

use crate::support::{Log, fails_with, run_virtual, turns};

static VAR: ContextVar<u32> = ContextVar::with_default("var", 0);

#[test]
fn a_variable_has_its_default_until_it_is_set() -> Result<()> {
    static BARE: ContextVar<String> = ContextVar::new("bare");
    run_virtual(async {
        assert_eq!((BARE.name(), BARE.get()), ("bare", None));
        assert_eq!(VAR.get(), Some(0));
        let token = BARE.set("one".to_owned())?;
        assert_eq!(token.old_value(), None);
        let second = BARE.set("two".to_owned())?;
        assert_eq!(second.old_value().map(String::as_str), Some("one"));
        assert_eq!(BARE.get().as_deref(), Some("two"));
        BARE.reset(second)?;
        assert_eq!(BARE.get().as_deref(), Some("one"));
        BARE.reset(token)?;
        assert_eq!(BARE.get(), None);
        Ok(())
    })
}

#[test]
fn setting_a_variable_outside_of_any_context_is_an_error() {
    assert_eq!(VAR.get(), Some(0));
    assert!(fails_with::<RuntimeError, _>(VAR.set(1)));
    assert_eq!(VAR.get(), Some(0));
    assert!(copy_context().is_empty());
}

/// `test_context.ContextTest.test_context_var_new_2` and its neighbours: a token is its variable's.
#[test]
fn a_token_of_another_variable_is_refused() -> Result<()> {
    static OTHER: ContextVar<u32> = ContextVar::new("other");
    run_virtual(async {
        let token = OTHER.set(1)?;
        assert!(fails_with::<ValueError, _>(VAR.reset(token)));
        assert_eq!((OTHER.get(), VAR.get()), (Some(1), Some(0)));
        Ok(())
    })
}

#[test]
fn a_token_outside_of_any_context_is_refused() -> Result<()> {
    let token = run_virtual(async { Ok(VAR.set(1)?) })?;
    assert!(fails_with::<ValueError, _>(VAR.reset(token)));
    Ok(())
}

/// `test_context.ContextTest.test_context_getset_4`
#[test]
fn a_token_of_another_context_is_refused() -> Result<()> {
    run_virtual(async {
        let refused = |token| {
            let error = VAR.reset(token).expect_err("it is another's");
            assert_eq!(
                error.message(),
                "the token was created in a different Context"
            );
        };
        let context = Context::new();
        let token = context.run(|| VAR.set(1))??;
        refused(token);
        assert_eq!(context.get(&VAR), Some(1), "and nothing is changed");
        // A task has another context than its maker, however alike they are.
        let mine = VAR.set(2)?;
        let child = create_task(async move {
            assert_eq!(VAR.get(), Some(2));
            let theirs = VAR.set(3)?;
            Ok((VAR.reset(mine).is_err(), theirs))
        });
        let (is_err, theirs) = child.await?;
        assert!(is_err);
        refused(theirs);
        // So have two callbacks, even when they are called one right after the other.
        let event_loop = get_running_loop()?;
        let kept = Rc::new(RefCell::new(None));
        let (setter, getter) = (Rc::clone(&kept), kept);
        event_loop.call_soon(move || {
            let token = VAR.set(4)?;
            *setter.borrow_mut() = Some(token);
            Ok::<(), RuntimeError>(())
        })?;
        let refused_too = event_loop.create_future();
        let setter = refused_too.clone();
        event_loop.call_soon(move || {
            let token = getter.borrow_mut().take().expect("the token");
            setter.set_result(VAR.reset(token).is_err())
        })?;
        assert!(refused_too.await?);
        Ok(())
    })
}

#[test]
fn a_token_is_good_wherever_its_context_is_current() -> Result<()> {
    run_virtual(async {
        let _ = VAR.set(1)?;
        let token = VAR.set(2)?;
        sleep(0).await?;
        VAR.reset(token)?;
        assert_eq!(VAR.get(), Some(1), "in a later step");
        let token = VAR.set(3)?;
        let context = current_task().and_then(|me| me.get_context());
        let context = context.expect("a task has one");
        let helper = async move { Ok(VAR.reset(token)?) };
        Task::builder().context(context).spawn(helper).await?;
        assert_eq!(VAR.get(), Some(1), "in a task that shares the context");
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_context_1`
#[test]
fn a_task_has_a_copy_of_the_context_in_which_it_was_made() -> Result<()> {
    run_virtual(async {
        let _ = VAR.set(1)?;
        let child = create_task(async {
            assert_eq!(VAR.get(), Some(1), "as it was when the task was made");
            let _ = VAR.set(10)?;
            sleep(0).await?;
            assert_eq!(VAR.get(), Some(10), "kept from step to step");
            Ok(())
        });
        let _ = VAR.set(2)?;
        sleep(0).await?;
        assert_eq!(VAR.get(), Some(2));
        child.await?;
        assert_eq!(VAR.get(), Some(2));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_context_2`
#[test]
fn done_callbacks_run_in_a_copy_of_the_context_in_which_they_were_added() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let child = create_task(async {
            let _ = VAR.set(7)?;
            Ok(())
        });
        let _ = VAR.set(1)?;
        child.add_local_done_callback(move |_| {
            theirs.add(format!("{:?}", VAR.get()));
            VAR.set(99).map(drop)
        })?;
        let _ = VAR.set(2)?;
        child.await?;
        turns(1).await?;
        assert_eq!(log.take(), ["Some(1)"]);
        assert_eq!(VAR.get(), Some(2));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_context_3`
#[test]
fn a_hundred_tasks_keep_their_contexts_apart() -> Result<()> {
    run_virtual(async {
        let tasks: Vec<Task<()>> = (0..100)
            .map(|name| {
                create_task(async move {
                    for step in 0..10 {
                        let _ = VAR.set(name * 100 + step)?;
                        sleep(0.001 * f64::from(name % 7)).await?;
                        assert_eq!(VAR.get(), Some(name * 100 + step));
                    }
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        assert_eq!(VAR.get(), Some(0));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_context_4`, `test_tasks.BaseTaskTests.test_context_5`,
/// `test_tasks.BaseTaskTests.test_context_6`
#[test]
fn a_context_that_is_given_is_shared_not_copied() -> Result<()> {
    run_virtual(async {
        let context = Context::new();
        context.run(|| VAR.set(1).map(drop))??;
        let task = Task::builder().context(context.clone()).spawn(async {
            let before = VAR.get();
            let _ = VAR.set(2)?;
            sleep(0).await?;
            Ok((before, VAR.get()))
        });
        turns(1).await?;
        assert_eq!(
            context.get(&VAR),
            Some(2),
            "seen from outside while it runs"
        );
        context.run(|| VAR.set(3).map(drop))??;
        assert_eq!(task.await?, (Some(1), Some(3)));
        assert_eq!(VAR.get(), Some(0));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_get_context`
#[test]
fn a_task_tells_its_context() -> Result<()> {
    run_virtual(async {
        let context = Context::new();
        let task = Task::builder()
            .context(context.clone())
            .spawn(async { Ok(()) });
        assert!(task.get_context().is_some_and(|its| its.same_as(&context)));
        let own = create_task(async { sleep(0).await });
        let first = own.get_context().expect("here");
        assert!(own.get_context().is_some_and(|its| its.same_as(&first)));
        assert!(!first.same_as(&context));
        let mine = current_task()
            .and_then(|task| task.get_context())
            .expect("mine");
        let _ = VAR.set(5)?;
        assert_eq!(mine.get(&VAR), Some(5), "it is the context itself");
        task.await?;
        own.await
    })
}

/// `test_base_events.BaseEventLoopTests.test_call_soon`, with the contexts of PEP 567.
#[test]
fn callbacks_run_in_copies_and_their_changes_are_lost() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        let seen = |name: &'static str| {
            let log = log.clone();
            move || {
                log.add(format!("{name} {:?}", VAR.get()));
                VAR.set(99).map(drop)
            }
        };
        let _ = VAR.set(1)?;
        event_loop.call_soon(seen("soon"))?;
        event_loop.call_later(1, seen("later"))?;
        event_loop.call_at(2.0, seen("at"))?;
        let _ = VAR.set(2)?;
        let given = Context::new();
        event_loop.call_soon_in(&given, seen("given"))?;
        sleep(3).await?;
        assert_eq!(
            log.take(),
            [
                "soon Some(1)",
                "given Some(0)",
                "later Some(1)",
                "at Some(1)"
            ]
        );
        assert_eq!((VAR.get(), given.get(&VAR)), (Some(2), Some(99)));
        Ok(())
    })
}

#[test]
fn a_callback_from_another_thread_brings_that_threads_context() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let hold = event_loop.hold_clock()?;
        let future = event_loop.create_future();
        let setter = future.clone();
        let remote = event_loop.clone();
        let thread = std::thread::spawn(move || -> Result<()> {
            Context::new().run(|| -> Result<()> {
                let _ = VAR.set(77)?;
                remote.call_soon_threadsafe(move || setter.set_result(VAR.get()))?;
                Ok(())
            })?
        });
        assert_eq!(future.await?, Some(77));
        drop(hold);
        thread.join().expect("the thread does not panic")
    })
}

#[test]
fn a_context_can_be_entered_once_at_a_time() -> Result<()> {
    let context = Context::new();
    let inner = context.run(|| context.run(|| ()))?;
    assert!(fails_with::<RuntimeError, _>(inner));
    context.run(|| ())?;
    // Another thread is no better.
    let other = context.clone();
    let elsewhere = context.run(|| {
        std::thread::spawn(move || other.run(|| ()))
            .join()
            .expect("no panic")
    })?;
    assert!(fails_with::<RuntimeError, _>(elsewhere));
    Ok(())
}

/// `test_context.ContextTest.test_context_run_7`, and who has entered a context without `run`
#[test]
fn a_context_in_which_something_runs_cannot_be_entered() -> Result<()> {
    run_virtual(async {
        let mine = || current_task().and_then(|me| me.get_context());
        let context = mine().expect("a task has one");
        let refused = |context: &Context| {
            let error = context.run(|| ()).expect_err("it is entered");
            assert_eq!(
                error.message(),
                "cannot enter context: it is already entered"
            );
        };
        refused(&context);
        let other = Context::new();
        other.run(|| refused(&context))?;
        other.run(|| refused(&mine().expect("the task's still")))?;
        let inner = context.clone();
        let child = Task::builder().eager_start(true);
        child
            .spawn(async move {
                refused(&inner);
                Ok(())
            })
            .await?;
        let event_loop = get_running_loop()?;
        let (theirs, done) = (Context::new(), event_loop.create_future());
        let (inside, setter) = (theirs.clone(), done.clone());
        event_loop.call_soon_in(&theirs, move || {
            refused(&inside);
            let nested = Context::new().run(|| refused(&inside));
            assert!(nested.is_ok());
            setter.set_result(())
        })?;
        done.await?;
        // Between the steps nobody is in it.
        let left = context.copy();
        theirs.run(|| left.run(|| ()))??;
        Ok(())
    })
}

#[test]
fn a_context_is_left_when_the_function_panics() -> Result<()> {
    let context = Context::new();
    let entered = context.clone();
    let panicked = std::thread::spawn(move || {
        let _ = entered.run(|| panic!("inside"));
    })
    .join();
    assert!(panicked.is_err());
    context.run(|| ())?;
    run_virtual(async move {
        let _ = VAR.set(3)?;
        let other = Context::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = other.run(|| panic!("inside"));
        }));
        assert!(caught.is_err());
        assert_eq!(VAR.get(), Some(3), "the task's own context is back");
        Ok(())
    })
}

#[test]
fn run_keeps_what_it_changes_and_copies_do_not_see_it() -> Result<()> {
    let context = Context::new();
    assert_eq!((context.len(), context.is_empty()), (0, true));
    context.run(|| VAR.set(1).map(drop))??;
    let copy = context.copy();
    context.run(|| VAR.set(2).map(drop))??;
    assert_eq!((context.get(&VAR), copy.get(&VAR)), (Some(2), Some(1)));
    assert_eq!((context.len(), copy.len()), (1, 1));
    assert!(!context.same_as(&copy) && context.same_as(&context.clone()));
    Ok(())
}

#[test]
fn inside_run_a_task_is_still_the_current_one_and_may_be_polled() -> Result<()> {
    run_virtual(async {
        let me = current_task();
        let context = Context::new();
        let mut nap = Box::pin(sleep(1));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let pending = context.run(|| {
            assert_eq!(current_task(), me);
            let _ = VAR.set(8);
            nap.as_mut().poll(&mut cx).is_pending()
        })?;
        assert!(pending);
        assert_eq!(VAR.get(), Some(0));
        let child = context.run(|| create_task(async { Ok(VAR.get()) }))?;
        assert_eq!(child.await?, Some(8));
        nap.await
    })
}

#[test]
fn the_copy_of_a_context_is_taken_when_asked_for() -> Result<()> {
    run_virtual(async {
        let _ = VAR.set(1)?;
        let copy = copy_context();
        let _ = VAR.set(2)?;
        assert_eq!(copy.get(&VAR), Some(1));
        Ok(())
    })
}

/// `test_runners.RunnerTests.test_run_keeps_context`
#[test]
fn a_runner_keeps_one_context_from_run_to_run() -> Result<()> {
    let runner = Runner::new()?;
    let get_and_set = |value| async move {
        let old = VAR.get();
        let _ = VAR.set(value)?;
        Ok(old)
    };
    assert_eq!(runner.run(get_and_set(1))?, Some(0));
    assert_eq!(runner.run(get_and_set(2))?, Some(1));
    let given = Context::new();
    assert_eq!(runner.run_in(&given, get_and_set(3))?, Some(0));
    assert_eq!(runner.run(get_and_set(4))?, Some(2));
    assert_eq!(given.get(&VAR), Some(3));
    runner.close()
}

#[test]
fn a_runner_starts_with_a_copy_of_the_context_it_was_made_in() -> Result<()> {
    let context = Context::new();
    context.run(|| VAR.set(6).map(drop))??;
    let runner = context.run(Runner::new)??;
    assert_eq!(runner.run(async { Ok(VAR.get()) })?, Some(6));
    runner.close()
}

/// Values are compared, cloned and dropped by user code, which may look at the context meanwhile.
#[test]
fn a_value_that_looks_at_the_context_while_it_is_dropped_finds_it_whole() -> Result<()> {
    #[derive(Clone)]
    struct Looks(Option<std::sync::Arc<std::sync::Mutex<Vec<Option<u32>>>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            if let Some(seen) = self.0.take()
                && std::sync::Arc::strong_count(&seen) == 2
            {
                seen.lock().expect("not poisoned").push(VAR.get());
            }
        }
    }
    static LOOKS: ContextVar<Looks> = ContextVar::new("looks");
    run_virtual(async {
        let seen = std::sync::Arc::default();
        let _ = VAR.set(5)?;
        let _ = LOOKS.set(Looks(Some(std::sync::Arc::clone(&seen))))?;
        let _ = LOOKS.set(Looks(None))?;
        let seen = seen.lock().expect("not poisoned").clone();
        assert_eq!(seen, [Some(5)]);
        Ok(())
    })
}

#[test]
fn a_context_may_be_shared_by_tasks_that_take_turns() -> Result<()> {
    run_virtual(async {
        let context = Context::new();
        let tasks: Vec<Task<()>> = (0..3)
            .map(|_| {
                Task::builder().context(context.clone()).spawn(async {
                    for _ in 0..3 {
                        let _ = VAR.set(VAR.get().unwrap_or_default() + 1)?;
                        sleep(0).await?;
                    }
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        assert_eq!(context.get(&VAR), Some(9));
        Ok(())
    })
}

#[test]
fn a_task_made_before_the_loop_runs_has_the_context_of_its_maker() -> Result<()> {
    let event_loop = new_event_loop()?;
    let context = Context::new();
    context.run(|| VAR.set(4).map(drop))??;
    let task = context.run(|| event_loop.create_task(async { Ok(VAR.get()) }))?;
    let without = event_loop.create_task(async { Ok(VAR.get()) });
    assert_eq!(event_loop.run_until_complete(task)?, Some(4));
    assert_eq!(event_loop.run_until_complete(without)?, Some(0));
    event_loop.close()?;
    Ok(())
}

#[test]
fn the_values_of_a_context_go_with_its_last_user() -> Result<()> {
    static HELD: ContextVar<std::sync::Arc<()>> = ContextVar::new("held");
    let value = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&value);
    run_virtual(async move {
        let _ = HELD.set(held)?;
        drop(create_local_task(async { sleep(1000).await }));
        get_running_loop()?.call_later(1000, || ())?;
        let rc = Rc::new(());
        let theirs = Rc::clone(&rc);
        get_running_loop()?.call_soon(move || drop(theirs))?;
        sleep(0).await?;
        assert_eq!(Rc::strong_count(&rc), 1);
        Ok(())
    })?;
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
    Ok(())
}
