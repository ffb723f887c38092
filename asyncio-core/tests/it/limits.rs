//! Depth, number and memory: chains of 100,000, a million tasks, and what is left afterwards.
#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use asyncio_core::{
    Future, Result, Runner, Task, create_local_task, create_task, get_running_loop, new_event_loop,
    run, sleep,
};

use crate::support::{on_small_stack, run_virtual, turns};

/// The system's allocator, counting for each thread what it has allocated and not given back.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: isize) {
    // A thread that is ending has no place to count any more, and nobody who asks.
    let _ = LIVE.try_with(|live| live.set(live.get() + sign * bytes.cast_signed()));
}

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> isize {
    LIVE.get()
}

const DEEP: usize = 100_000;

/// Tasks of which each awaits the one before; the first awaits the future.
fn chain(first: Future<u8>) -> Vec<Task<u8>> {
    let mut tasks: Vec<Task<u8>> = vec![create_local_task(async move { first.await })];
    for _ in 1..DEEP {
        let below = tasks[tasks.len() - 1].clone();
        tasks.push(create_task(async move { below.await }));
    }
    tasks
}

#[test]
fn a_chain_of_100_000_tasks_is_cancelled_from_its_end() -> Result<()> {
    on_small_stack(|| {
        run_virtual(async {
            let future = get_running_loop()?.create_future();
            let tasks = chain(future.clone());
            turns(2).await?;
            let last = &tasks[DEEP - 1];
            assert!(last.cancel());
            assert!(future.cancelled(), "at once, through all of them");
            assert!(!format!("{last:?}").is_empty());
            assert!(last.await.is_err_and(|error| error.is_cancelled()));
            assert!(tasks.iter().all(Task::cancelled));
            Ok(())
        })
    })
}

#[test]
fn a_chain_of_100_000_tasks_finishes() -> Result<()> {
    on_small_stack(|| {
        run_virtual(async {
            let future = get_running_loop()?.create_future();
            let tasks = chain(future.clone());
            turns(2).await?;
            future.set_result(7)?;
            assert_eq!((&tasks[DEEP - 1]).await?, 7);
            Ok(())
        })
    })
}

#[test]
fn a_chain_of_100_000_tasks_is_dropped_with_its_loop() -> Result<()> {
    on_small_stack(|| {
        for keep in [true, false] {
            let event_loop = new_event_loop()?;
            event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
            let tasks = event_loop.run_until_complete(async {
                let tasks = chain(get_running_loop()?.create_future());
                turns(2).await?;
                Ok(tasks)
            })?;
            let last = keep.then(|| tasks[DEEP - 1].clone());
            drop(tasks);
            event_loop.close()?;
            drop(last);
        }
        Ok(())
    })
}

#[test]
fn a_chain_that_never_started_is_cancelled_and_dropped() -> Result<()> {
    on_small_stack(|| {
        run_virtual(async {
            let tasks = chain(get_running_loop()?.create_future());
            tasks[DEEP - 1].cancel();
            tasks[0].cancel();
            assert!(tasks[DEEP - 1].clone().await.is_err());
            drop(tasks);
            Ok(())
        })
    })
}

#[test]
fn a_circle_of_tasks_is_cancelled_and_dropped() -> Result<()> {
    on_small_stack(|| {
        for cancel in [true, false] {
            let event_loop = new_event_loop()?;
            event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
            event_loop.run_until_complete(async move {
                let place: Rc<Cell<Option<Task<u8>>>> = Rc::default();
                let theirs = Rc::clone(&place);
                let first = create_local_task(async move {
                    let last = theirs.take().expect("it was put there");
                    last.await
                });
                let mut last = first.clone();
                for _ in 1..1000 {
                    last = create_task(async move { last.await });
                }
                place.set(Some(last.clone()));
                turns(3).await?;
                if cancel {
                    first.cancel();
                    assert!(last.await.is_err_and(|error| error.is_cancelled()));
                }
                Ok(())
            })?;
            event_loop.close()?;
        }
        Ok(())
    })
}

/// A result that holds a future whose result holds a future, and so on.
struct Nested {
    inner: Mutex<Option<Future<Self>>>,
}

fn nested() -> Result<Future<Nested>> {
    let event_loop = get_running_loop()?;
    let mut outer: Option<Future<Nested>> = None;
    for _ in 0..DEEP {
        let future = event_loop.create_future();
        future.set_result(Nested {
            inner: Mutex::new(outer.take()),
        })?;
        outer = Some(future);
    }
    outer.ok_or_else(|| asyncio_core::RuntimeError::new("the chain is not empty").into())
}

#[test]
fn results_that_hold_results_100_000_deep_are_dropped() -> Result<()> {
    on_small_stack(|| {
        run_virtual(async {
            drop(nested()?);
            // And where the last reference goes on another thread.
            let chain = nested()?;
            on_small_stack(move || drop(chain));
            turns(2).await?;
            // And one by one, each taken out of the one around it.
            let value = nested()?.await?;
            let inner = value.inner.lock().expect("not poisoned").take();
            assert!(inner.is_some());
            Ok(())
        })
    })
}

#[test]
fn results_that_hold_results_outlive_their_loop() -> Result<()> {
    on_small_stack(|| {
        let here = run(async { nested() })?;
        drop(here);
        let abroad = run(async { nested() })?;
        on_small_stack(move || drop(abroad));
        Ok(())
    })
}

#[test]
fn done_callbacks_that_hold_futures_100_000_deep_are_dropped() -> Result<()> {
    on_small_stack(|| {
        run_virtual(async {
            let event_loop = get_running_loop()?;
            let mut outer = event_loop.create_future::<()>();
            for _ in 0..DEEP {
                let inner = std::mem::replace(&mut outer, event_loop.create_future());
                outer.add_local_done_callback(move |_| drop(inner))?;
            }
            drop(outer);
            Ok(())
        })
    })
}

#[test]
fn one_future_may_have_100_000_waiters() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let waiters: Vec<Task<u32>> = (0..100_000)
            .map(|_| {
                let future = future.clone();
                create_local_task(async move { future.await })
            })
            .collect();
        turns(1).await?;
        for waiter in waiters.iter().step_by(2) {
            // Cancelling a waiter cancels the future, so half of them only give up the wait.
            drop(waiter.clone());
        }
        future.set_result(3)?;
        let mut sum = 0;
        for waiter in waiters {
            sum += waiter.await?;
        }
        assert_eq!(sum, 300_000);
        Ok(())
    })
}

#[test]
fn one_task_may_have_10_000_waits() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            let sleeps = (0..10_000).map(|_| sleep(10));
            let results = ::futures::future::join_all(sleeps).await;
            Ok(results.iter().filter(|result| result.is_err()).count())
        });
        turns(1).await?;
        task.cancel();
        assert_eq!(task.await?, 10_000);
        Ok(())
    })
}

/// How much is alive after a loop has done some work, compared with before it was made.
fn left_by(work: impl FnOnce(&Runner) -> Result<()>) -> Result<isize> {
    let before = live();
    let runner = Runner::builder().virtual_clock(true).build()?;
    work(&runner)?;
    runner.close()?;
    drop(runner);
    Ok(live() - before)
}

async fn hundred_thousand_tasks() -> Result<()> {
    for _ in 0..100 {
        let tasks: Vec<Task<usize>> = (0..1000)
            .map(|number| {
                create_task(async move {
                    sleep(0).await?;
                    Ok(number)
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await?, number);
        }
    }
    Ok(())
}

#[test]
fn a_million_tasks_leave_no_memory_behind() -> Result<()> {
    // Once to have everything allocated that is allocated once a thread.
    left_by(|runner| runner.run(hundred_thousand_tasks()))?;
    let left = left_by(|runner| {
        runner.run(hundred_thousand_tasks())?;
        let after_one = live();
        for _ in 0..9 {
            runner.run(hundred_thousand_tasks())?;
        }
        let grown = live() - after_one;
        assert!(
            grown <= 1024,
            "{grown} bytes more after ten rounds than after one"
        );
        Ok(())
    })?;
    assert!(left.abs() <= 256, "{left} bytes are left of a closed loop");
    Ok(())
}

#[test]
fn everything_a_loop_can_be_left_with_is_given_back_when_it_is_closed() -> Result<()> {
    let work = |runner: &Runner| {
        let event_loop = runner.get_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        runner.run(async {
            let event_loop = get_running_loop()?;
            let shared = Arc::new([0_u8; 1000]);
            for number in 0..100 {
                let held = [(); 6].map(|()| Arc::clone(&shared));
                let [first, second, third, fourth, fifth, sixth] = held;
                let future = event_loop.create_future::<u8>();
                let waited = future.clone();
                drop(create_local_task(async move {
                    let _ = (waited.await, first);
                    sleep(1000).await
                }));
                drop(create_task(async move {
                    let result = sleep(1000 + number).await;
                    drop(second);
                    result
                }));
                drop(create_task(async move {
                    std::future::pending::<()>().await;
                    drop(third);
                    Ok(())
                }));
                event_loop.call_later(1000, move || drop(fourth))?;
                future.add_local_done_callback(move |_| drop(fifth))?;
                drop(create_task::<(), _>(async {
                    Err(asyncio_core::ValueError::new("unseen").into())
                }));
                event_loop.call_soon(move || drop(sixth))?;
                turns(1).await?;
            }
            Ok(())
        })
    };
    left_by(work)?;
    let left = left_by(work)?;
    assert!(left.abs() <= 256, "{left} bytes are left");
    // And a loop that is merely dropped.
    let before = live();
    let runner = Runner::new()?;
    work(&runner)?;
    drop(runner);
    let left = live() - before;
    assert!(left.abs() <= 256, "{left} bytes are left of a dropped loop");
    Ok(())
}

#[test]
fn waits_that_come_and_go_leave_nothing_on_what_they_waited_for() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let future = event_loop.create_future::<u8>();
        let round = async || -> Result<()> {
            for _ in 0..1000 {
                let mut waits = [future.clone(), future.clone()];
                for wait in &mut waits {
                    assert!(::futures::poll!(wait).is_pending());
                }
                assert!(::futures::poll!(Box::pin(sleep(1000))).is_pending());
                event_loop.call_later(1000, || ())?.cancel();
                let id = future.add_local_done_callback(|_| ())?;
                assert_eq!(future.remove_done_callback(id), 1);
            }
            Ok(())
        };
        round().await?;
        let before = live();
        for _ in 0..10 {
            round().await?;
        }
        let grown = live() - before;
        assert!(grown.abs() <= 1024, "{grown} bytes");
        Ok(())
    })
}

#[test]
fn loops_that_come_and_go_leave_nothing_behind() -> Result<()> {
    let round = || run(async { create_task(async { sleep(0).await }).await });
    round()?;
    let before = live();
    for _ in 0..200 {
        round()?;
    }
    let grown = live() - before;
    assert!(grown.abs() <= 1024, "{grown} bytes");
    Ok(())
}
