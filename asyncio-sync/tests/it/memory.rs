//! What is allocated: nothing where nobody waits, and nothing again where somebody has waited before.
#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use asyncio_core::{Result, Task, create_local_task, create_task, sleep};
use asyncio_sync::{
    BoundedSemaphore, Condition, Event, LifoQueue, Lock, PriorityQueue, Queue, Semaphore,
};

use crate::support::run_virtual;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on; it came from the same allocator.
        unsafe { System.dealloc(memory, layout) };
    }
}

/// How often this thread allocates in a future.
async fn allocations(future: impl Future<Output = Result<()>>) -> Result<usize> {
    let before = ALLOCATIONS.get();
    future.await?;
    Ok(ALLOCATIONS.get() - before)
}

#[test]
fn the_counter_counts() -> Result<()> {
    run_virtual(async {
        let boxed = allocations(async {
            drop(std::hint::black_box(Box::new(7)));
            Ok(())
        });
        assert_eq!(boxed.await?, 1);
        Ok(())
    })
}

#[test]
fn what_needs_no_wait_allocates_nothing() -> Result<()> {
    run_virtual(async {
        let lock = Lock::with_value(0_u64);
        let (plain, condition) = (Lock::new(), Condition::new());
        let (semaphore, bounded) = (Semaphore::new(2), BoundedSemaphore::new(2));
        let event = Event::new();
        let counted = allocations(async {
            for _ in 0..10 {
                *lock.guard().await? += 1;
                plain.acquire().await?;
                plain.release()?;
                *lock.guard_owned().await? += 1;
                let guard = condition.guard().await?;
                condition.notify_all()?;
                drop(guard);
                drop(condition.guard_owned().await?);
                drop(bounded.guard_owned().await?);
                let permit = semaphore.guard_owned().await?;
                semaphore.acquire().await?;
                semaphore.release();
                drop(permit);
                bounded.acquire().await?;
                bounded.release()?;
                event.set();
                event.wait().await?;
            }
            Ok(())
        });
        assert_eq!(counted.await?, 0);
        Ok(())
    })
}

#[test]
fn a_queue_allocates_only_to_hold_more_items_than_before() -> Result<()> {
    run_virtual(async {
        let lifo = LifoQueue::new(4);
        let priority = PriorityQueue::new(4);
        for queue in [Queue::new(4), Queue::clone(&lifo), Queue::clone(&priority)] {
            let round = async || -> Result<()> {
                for item in 0..4 {
                    queue.put(item).await?;
                }
                for _ in 0..2 {
                    queue.get().await?;
                    queue.get_nowait()?;
                }
                (0..4).try_for_each(|_| queue.task_done())?;
                Ok(queue.join().await?)
            };
            round().await?;
            assert_eq!(allocations(round()).await?, 0, "{queue}");
        }
        Ok(())
    })
}

/// One who waits costs nothing either, once the line has been as long before.
#[test]
fn a_wait_in_a_task_allocates_nothing_the_second_time() -> Result<()> {
    run_virtual(async {
        let (there, back) = (Queue::new(1), Queue::new(1));
        let semaphore = Semaphore::new(0);
        let (theirs, answers, permits) = (there.clone(), back.clone(), semaphore.clone());
        let echo = create_task(async move {
            loop {
                let item: u32 = theirs.get().await?;
                if item == 0 {
                    return Ok(());
                }
                permits.release();
                answers.put(item).await?;
            }
        });
        let round = async || -> Result<()> {
            for item in 1..10 {
                there.put(item).await?;
                semaphore.acquire().await?;
                assert_eq!(back.get().await?, item);
            }
            Ok(())
        };
        round().await?;
        sleep(0).await?;
        assert_eq!(allocations(round()).await?, 0);
        there.put(0).await?;
        echo.await
    })
}

/// However many are woken at once, and whatever they wait for.
#[test]
fn waking_many_allocates_nothing_the_second_time() -> Result<()> {
    const MANY: usize = 20;
    run_virtual(async {
        let (event, condition) = (Event::new(), Condition::new());
        let woken = Rc::new(Cell::new(0));
        for _ in 0..MANY {
            let (event, condition, woken) = (event.clone(), condition.clone(), woken.clone());
            create_local_task(async move {
                loop {
                    event.wait().await?;
                    let guard = condition.guard().await?;
                    condition.wait().await?;
                    woken.set(woken.get() + 1);
                    drop(guard);
                }
                #[expect(unreachable_code, reason = "names the type")]
                Ok(())
            });
        }
        let round = async || -> Result<()> {
            woken.set(0);
            // All of them wait for the event, then for the lock one after the other, then to be notified.
            sleep(1).await?;
            event.set();
            event.clear();
            sleep(1).await?;
            let guard = condition.guard().await?;
            condition.notify_all()?;
            drop(guard);
            sleep(1).await?;
            assert_eq!(woken.get(), MANY);
            Ok(())
        };
        round().await?;
        assert_eq!(allocations(round()).await?, 0);
        Ok(())
    })
}

/// A task on a tokio runtime counts references to itself in advance, for its waits, and gives up what is
/// left of them when it ends: its cell goes with the last handle, and its value with the cell.
#[test]
fn a_task_that_has_waited_on_a_tokio_runtime_is_freed() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let value = Arc::new(());
        for eager in [false, true] {
            for items in [0, 1, 2, 20] {
                let queue = Queue::new(1);
                let (to, value_of_task) = (queue.clone(), Arc::clone(&value));
                let task = Task::builder().eager_start(eager).spawn(async move {
                    for item in 0..items {
                        to.put(item).await?;
                    }
                    to.put(items).await?;
                    // One that is begun and given up, and one that is cancelled.
                    let mut given_up = to.put(0);
                    poll_fn(|cx| Poll::Ready(Pin::new(&mut given_up).poll(cx).is_pending())).await;
                    drop(given_up);
                    let cancelled = items > 1 && to.put(0).await.is_err();
                    assert_eq!(cancelled, items > 1);
                    Ok(value_of_task)
                });
                for item in 0..items {
                    assert_eq!(queue.get().await?, item);
                }
                tokio::task::yield_now().await;
                task.cancel();
                while !task.done() {
                    tokio::task::yield_now().await;
                }
                assert!(!task.cancelled());
                assert_eq!(Arc::strong_count(&value), 2, "nobody has taken it");
                drop(task);
                // What polled it is gone by now as well.
                tokio::task::yield_now().await;
                assert_eq!(Arc::strong_count(&value), 1);
            }
        }
        Ok(())
    })
}
