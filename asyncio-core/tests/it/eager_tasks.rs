//! Eager tasks (`test_eager_task_factory.py`, `Task(eager_start=True)`).

use std::cell::Cell;
use std::rc::Rc;

use asyncio_core::{
    ContextVar, KeyboardInterrupt, Result, Runner, Task, TaskHandle, all_tasks, create_task,
    current_task, eager_task_factory, gather_local, get_running_loop, new_event_loop, sleep,
    task_group,
};

use crate::support::{Log, cancel_message, error_of, run_virtual, turns};

fn eager<T: 'static>(future: impl Future<Output = Result<T>> + 'static) -> Task<T> {
    Task::builder().eager_start(true).spawn_local(future)
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_eager_task_factory_set`
#[test]
fn a_factory_that_is_set_is_the_one_that_is_used() -> Result<()> {
    let event_loop = new_event_loop()?;
    assert!(event_loop.get_task_factory().is_none());
    event_loop.set_task_factory(Some(Box::new(eager_task_factory)))?;
    assert!(event_loop.get_task_factory().is_some());
    event_loop.run_until_complete(async {
        assert!(create_task(async { Ok(()) }).done());
        let event_loop = get_running_loop()?;
        assert!(event_loop.create_task(async { Ok(()) }).done());
        let factory = event_loop.get_task_factory();
        event_loop.set_task_factory(None)?;
        assert!(event_loop.get_task_factory().is_none());
        assert!(!create_task(async { Ok(()) }).done());
        event_loop.set_task_factory(factory)?;
        assert!(create_task(async { Ok(()) }).done(), "as it was before");
        Ok(())
    })?;
    let elsewhere = event_loop.clone();
    let none = std::thread::spawn(move || elsewhere.get_task_factory().is_none());
    assert!(none.join().expect("no panic"));
    event_loop.close()?;
    assert!(event_loop.get_task_factory().is_none());
    Ok(())
}

async fn awaitable_chain(depth: u32) -> Result<u32> {
    if depth == 0 {
        return Ok(0);
    }
    Ok(1 + Box::pin(awaitable_chain(depth - 1)).await?)
}

async fn recursive_taskgroups(width: u32, depth: u32) -> Result<()> {
    if depth == 0 {
        return Ok(());
    }
    task_group(async move |group| {
        for _ in 0..width {
            drop(group.create_local_task(Box::pin(recursive_taskgroups(width, depth - 1))));
        }
        Ok(())
    })
    .await
}

async fn recursive_gather(width: u32, depth: u32) -> Result<()> {
    if depth == 0 {
        return Ok(());
    }
    let children =
        (0..width).map(|_| -> LocalBoxFuture { Box::pin(recursive_gather(width, depth - 1)) });
    gather_local(children.collect::<Vec<_>>()).await.map(drop)
}

type LocalBoxFuture = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// How many tasks a program is made of, itself included, and how many of them were not done when they
/// had been made.
fn tasks_of<T: 'static>(
    eager: bool,
    program: impl Future<Output = Result<T>> + 'static,
) -> Result<(T, u32, bool)> {
    let event_loop = new_event_loop()?;
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    event_loop.set_task_factory(Some(Box::new(move |builder| {
        counted.set(counted.get() + 1);
        builder.eager_start(eager)
    })))?;
    let (value, turned) = event_loop.run_until_complete(async {
        let turned = Rc::new(Cell::new(false));
        let turn = Rc::clone(&turned);
        get_running_loop()?.call_soon(move || turn.set(true))?;
        let value = program.await?;
        Ok((value, turned.get()))
    })?;
    event_loop.close()?;
    Ok((value, count.get(), turned))
}

/// `test_eager_task_factory.BaseTaskCountingTests.test_awaitables_chain`
#[test]
fn awaiting_coroutines_makes_no_tasks() -> Result<()> {
    for eager in [false, true] {
        assert_eq!(tasks_of(eager, awaitable_chain(100))?, (100, 1, false));
    }
    Ok(())
}

/// `test_eager_task_factory.BaseTaskCountingTests.test_recursive_taskgroups`; eagerly all of them run
/// to their end without a turn of the loop, which CPython counts as no task.
#[test]
fn nested_groups_are_as_many_tasks_as_children() -> Result<()> {
    for eager in [false, true] {
        assert_eq!(
            tasks_of(eager, recursive_taskgroups(5, 4))?,
            ((), 781, !eager)
        );
    }
    Ok(())
}

/// `test_eager_task_factory.BaseTaskCountingTests.test_recursive_gather`
#[test]
fn nested_gathers_are_as_many_tasks_as_children() -> Result<()> {
    for eager in [false, true] {
        assert_eq!(tasks_of(eager, recursive_gather(5, 4))?, ((), 781, !eager));
    }
    Ok(())
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_eager_completion`
#[test]
fn a_coroutine_that_never_waits_is_done_at_once() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let callback = log.clone();
        get_running_loop()?.call_soon(move || callback.add("turn"))?;
        let task = eager(async { Ok("hello") });
        assert!(task.done());
        assert_eq!(task.await?, "hello");
        assert!(log.take().is_empty(), "no turn has passed");
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_await_future_during_eager_step`
#[test]
fn a_future_may_be_set_during_the_eager_step() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let setter = future.clone();
        let task = eager(async move { Ok(setter.set_result("value")?) });
        assert_eq!(future.await?, "value");
        task.await
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_block_after_eager_step`
#[test]
fn a_coroutine_that_waits_goes_on_as_any_other_task() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = eager(async move {
            theirs.add("first");
            sleep(0).await?;
            theirs.add("second");
            Ok(())
        });
        assert_eq!(log.take(), ["first"]);
        turns(1).await?;
        assert_eq!(log.take(), ["second"]);
        assert!(task.done());
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_cancellation_after_eager_completion`
#[test]
fn cancelling_after_the_eager_end_does_nothing() -> Result<()> {
    run_virtual(async {
        let task = eager(async { Ok("done") });
        assert!(!task.cancel());
        assert!(!task.cancelled());
        assert_eq!(task.await?, "done");
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_cancellation_after_eager_step_blocks`
#[test]
fn cancelling_an_eager_task_that_waits_raises_with_the_message() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = eager(async move {
            theirs.add("started");
            sleep(1000).await
        });
        assert_eq!(log.take(), ["started"]);
        assert!(task.cancel_with_message("cancel message"));
        assert_eq!(task.cancelling(), 1);
        let error = error_of(task.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("cancel message"));
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_current_task`
#[test]
fn the_current_task_is_the_eager_one_during_its_step_and_then_as_before() -> Result<()> {
    run_virtual(async {
        let outer = current_task();
        let task = eager(async {
            let first = current_task();
            let inner = eager(async { Ok(current_task()) });
            assert_eq!(inner.handle(), inner.await?);
            assert_eq!(current_task(), first);
            sleep(0).await?;
            assert_eq!(current_task(), first);
            Ok(first)
        });
        assert_eq!(current_task(), outer);
        let handle = task.handle();
        assert_eq!(task.await?, handle);
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_all_tasks_with_eager_completion`
#[test]
fn an_eager_task_is_among_all_tasks_only_while_it_runs() -> Result<()> {
    run_virtual(async {
        let task = eager(async {
            let me = current_task().expect("a task");
            Ok(all_tasks().contains(&me))
        });
        let handle = task.handle().expect("it is a task");
        assert!(!all_tasks().contains(&handle));
        assert!(task.await?);
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_all_tasks_with_blocking`
#[test]
fn an_eager_task_that_waits_stays_among_all_tasks() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let task = eager(async move { waited.await });
        let handle = task.handle().expect("it is a task");
        assert_eq!(
            all_tasks().iter().filter(|task| **task == handle).count(),
            1
        );
        future.set_result(3)?;
        assert_eq!(task.await?, 3);
        assert!(!all_tasks().contains(&handle));
        Ok(())
    })
}

/// `test_eager_task_factory.EagerTaskFactoryLoopTests.test_context_vars`
#[test]
fn an_eager_step_runs_in_a_copy_of_the_context() -> Result<()> {
    static VAR: ContextVar<u32> = ContextVar::with_default("eager", 0);
    run_virtual(async {
        let _ = VAR.set(1)?;
        let task = eager(async {
            assert_eq!(VAR.get(), Some(1));
            let _ = VAR.set(2)?;
            sleep(0).await?;
            assert_eq!(VAR.get(), Some(2));
            Ok(())
        });
        assert_eq!(VAR.get(), Some(1));
        task.await?;
        assert_eq!(VAR.get(), Some(1));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_current_task`, eagerly.
#[test]
fn an_eager_task_that_cancels_itself_is_cancelled_at_its_next_wait() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = eager(async move {
            current_task().expect("a task").cancel();
            theirs.add("runs on");
            sleep(1000).await?;
            theirs.add("never here");
            Ok(())
        });
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(log.take(), ["runs on"]);
        let task = eager(async {
            current_task().expect("a task").cancel();
            Ok(1)
        });
        assert!(task.cancelled(), "cancelled in its very last stretch");
        Ok(())
    })
}

#[test]
fn where_the_loop_does_not_run_the_start_is_not_eager() -> Result<()> {
    let event_loop = new_event_loop()?;
    let log = Log::default();
    let theirs = log.clone();
    let task = event_loop.create_task(async move {
        theirs.add("ran");
        Ok(())
    });
    assert!(log.take().is_empty());
    event_loop.run_until_complete(task)?;
    assert_eq!(log.take(), ["ran"]);
    event_loop.close()?;
    Ok(())
}

#[test]
fn a_panic_in_the_eager_step_stays_in_the_task() -> Result<()> {
    run_virtual(async {
        let task = eager::<()>(async { panic!("eager") });
        assert!(task.done());
        assert!(error_of(task.await).is_panic());
        assert_eq!(
            current_task().map(|task| task.get_name()).as_deref(),
            Some("Task-1")
        );
        Ok(())
    })
}

#[test]
fn a_keyboard_interrupt_in_the_eager_step_leaves_the_loop() -> Result<()> {
    let runner = Runner::new()?;
    let left = runner.run::<(), _>(async {
        let task = eager::<()>(async { Err(KeyboardInterrupt::new().into()) });
        assert!(task.done());
        sleep(1000).await
    });
    assert!(error_of(left).is::<KeyboardInterrupt>());
    runner.close()?;
    Ok(())
}

#[test]
fn eager_tasks_count_and_are_named_as_others() -> Result<()> {
    run_virtual(async {
        let first = eager(async { Ok(()) });
        let second = eager(async { sleep(1).await });
        assert_eq!(
            (first.get_name(), second.get_name()),
            ("Task-2".into(), "Task-3".into())
        );
        let names: Vec<String> = all_tasks().iter().map(TaskHandle::get_name).collect();
        assert_eq!(names, ["Task-1", "Task-3"]);
        second.await
    })
}

#[test]
fn eager_tasks_nested_a_hundred_deep_all_finish() -> Result<()> {
    fn nested(depth: u32, held: Rc<()>) -> Task<u32> {
        eager(async move {
            if depth == 0 {
                return Ok(0);
            }
            let below = nested(depth - 1, Rc::clone(&held)).await?;
            Ok(below + 1)
        })
    }
    run_virtual(async {
        let held = Rc::new(());
        let task = nested(100, Rc::clone(&held));
        assert!(task.done());
        assert_eq!(task.await?, 100);
        assert_eq!(Rc::strong_count(&held), 1);
        Ok(())
    })
}
