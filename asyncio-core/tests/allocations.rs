//! What the loop allocates: each task and each future that somebody holds once, from memory that the
//! ones before have left, so that nothing at all is allocated when a program has been through a
//! moment like this before.
#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;

use asyncio_core::{
    Result, create_task, gather, run, shield, sleep, task_group, timeout, wait_for,
};

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

/// How often this thread allocates while a future runs that was made just now.
async fn allocations<F: Future<Output = Result<()>>>(make: impl Fn() -> F) -> Result<usize> {
    let before = ALLOCATIONS.get();
    make().await?;
    Ok(ALLOCATIONS.get() - before)
}

/// How often it does when the same has happened some times before.
async fn again<F: Future<Output = Result<()>>>(make: impl Fn() -> F) -> Result<usize> {
    for _ in 0..3 {
        make().await?;
    }
    allocations(make).await
}

#[test]
fn the_counter_counts() -> Result<()> {
    run(async {
        let boxed = allocations(|| async {
            drop(std::hint::black_box(Box::new(7)));
            Ok(())
        });
        assert_eq!(boxed.await?, 1);
        Ok(())
    })
}

#[test]
fn waits_of_one_task_allocate_nothing() -> Result<()> {
    run(async {
        assert_eq!(again(|| sleep(0)).await?, 0);
        assert_eq!(again(|| sleep(0.000_1)).await?, 0);
        assert_eq!(again(|| timeout(60, sleep(0))).await?, 0);
        assert_eq!(again(|| wait_for(sleep(0), 60)).await?, 0);
        Ok(())
    })
}

#[test]
fn tasks_live_in_memory_that_others_have_left() -> Result<()> {
    run(async {
        let one = || async { create_task(async { Ok(()) }).await };
        assert_eq!(again(one).await?, 0);
        let two = || async {
            gather((sleep(0), sleep(0))).await?;
            Ok(())
        };
        assert_eq!(again(two).await?, 0);
        let shielded = || async { shield(sleep(0)).await };
        assert_eq!(again(shielded).await?, 0);
        Ok(())
    })
}

/// The list of its tasks is all that a group owns beside its cell.
#[test]
fn a_group_allocates_one_list() -> Result<()> {
    run(async {
        let group = || async {
            task_group(async |group| {
                for _ in 0..4 {
                    group.create_task(sleep(0));
                }
                Ok(())
            })
            .await
        };
        assert!(
            again(group).await? <= 2,
            "the list, and that of free places"
        );
        Ok(())
    })
}

#[test]
fn on_a_tokio_runtime_only_tokios_part_of_a_task_is_allocated() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let one = || async { create_task(async { Ok(()) }).await };
        assert_eq!(again(one).await?, 1);
        Ok(())
    })
}
