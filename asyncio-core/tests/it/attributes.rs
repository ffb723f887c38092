//! `#[asyncio_core::main]` and `#[asyncio_core::test]`: what they make of a function, and what they
//! say of a mistake.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Barrier};

use asyncio_core::{
    Result, Runner, ValueError, all_tasks, create_local_task, create_task, current_task, gather,
    gather_local, get_running_loop, sleep,
};

#[asyncio_core::test]
async fn a_test_runs_in_a_task_on_a_loop() -> Result<()> {
    assert_eq!(
        current_task().map(|task| task.get_name()).as_deref(),
        Some("Task-1")
    );
    assert_eq!(all_tasks().len(), 1);
    sleep(0).await
}

#[asyncio_core::test]
async fn a_test_may_return_nothing() {
    assert!(get_running_loop().is_ok_and(|event_loop| !event_loop.get_debug()));
}

#[asyncio_core::test(virtual_clock = true, debug)]
async fn a_test_may_have_a_clock_that_jumps_and_debug_mode() -> Result<(), ValueError> {
    let event_loop = get_running_loop().map_err(|_| ValueError::new("no loop"))?;
    sleep(3600)
        .await
        .map_err(|_| ValueError::new("cancelled"))?;
    assert_eq!(event_loop.time(), 3600.0);
    assert!(event_loop.get_debug());
    Ok(())
}

/// Two tasks that count, and how far one got while the other did: in turns, where nothing was said.
async fn leads() -> Result<u32> {
    let (mine, theirs) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0)));
    let lead = Rc::new(Cell::new(0));
    let tasks = [(mine.clone(), theirs.clone()), (theirs, mine)].map(|(me, other)| {
        let lead = Rc::clone(&lead);
        create_local_task(async move {
            for _ in 0..50 {
                me.set(me.get() + 1);
                lead.set(lead.get().max(me.get().saturating_sub(other.get())));
                sleep(0).await?;
            }
            Ok(())
        })
    });
    gather_local(tasks).await?;
    Ok(lead.get())
}

#[asyncio_core::test]
async fn the_order_is_the_loops() -> Result<()> {
    assert_eq!(leads().await?, 1);
    Ok(())
}

#[asyncio_core::test(seed = 1_7, virtual_clock)]
async fn a_test_may_have_an_order_that_chance_decides() -> Result<()> {
    let lead = leads().await?;
    assert!(lead > 1);
    let runner = Runner::builder().shuffle(17).virtual_clock(true);
    let runner = std::thread::spawn(|| {
        let runner = runner.build()?;
        let lead = runner.run(leads())?;
        runner.close().map(|()| lead)
    });
    let same = runner.join().expect("no panic");
    assert_eq!(same.ok(), Some(lead), "the same seed, the same order");
    Ok(())
}

#[asyncio_core::test(flavor = "loop")]
async fn a_test_may_say_that_it_has_a_loop() {
    assert!(get_running_loop().is_ok());
}

#[asyncio_core::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_may_have_many_threads() -> Result<()> {
    assert!(get_running_loop().is_err());
    assert_eq!(
        current_task().map(|me| me.get_name()).as_deref(),
        Some("Task-1")
    );
    let barrier = Arc::new(Barrier::new(2));
    let meet = || {
        let barrier = Arc::clone(&barrier);
        create_task(async move { Ok(barrier.wait().is_leader()) })
    };
    let (one, other) = gather((meet(), meet())).await?;
    assert!(one != other, "they have met, each on a thread of its own");
    Ok(())
}

#[asyncio_core::test(worker_threads = 1)]
#[should_panic(expected = "number 7")]
async fn a_panic_on_another_thread_is_the_tests() {
    panic!("number {}", 3 + 4);
}

#[asyncio_core::test(flavor = "multi_thread", debug = false)]
async fn a_test_on_many_threads_may_return_nothing() {
    assert_eq!(all_tasks().len(), 1);
}

#[asyncio_core::test]
#[should_panic(expected = "number 7")]
async fn a_panic_is_the_tests() {
    panic!("number {}", 3 + 4);
}

mod renamed {
    pub(super) use asyncio_core as asyncio;
}

#[asyncio_core::test(crate = crate::attributes::renamed::asyncio)]
pub(crate) async fn the_crate_may_have_another_name() -> Result<()> {
    sleep(0).await
}

/// A function that fails is a test that fails.
#[test]
fn what_a_test_returns_is_its_result() {
    #[asyncio_core::main]
    async fn program() -> Result<()> {
        Ok(())
    }
    #[asyncio_core::main(flavor = "multi_thread")]
    async fn on_threads() {}
    for ended in [program(), on_threads()] {
        let success = std::process::ExitCode::SUCCESS;
        assert_eq!(format!("{ended:?}"), format!("{success:?}"));
    }
}

/// The words of the compiler's own errors change from version to version, so that only those of ours
/// are compared.
#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
