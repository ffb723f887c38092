//! `staggered_race`: CPython's `test_staggered`.

use asyncio_core::{Result, ValueError, create_task, get_running_loop, sleep, staggered_race};

use crate::support::{run_virtual, turns};

type Attempt =
    Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<u32>> + Send>> + Send>;

fn succeeds(after: f64, value: u32) -> Attempt {
    Box::new(move || {
        Box::pin(async move {
            sleep(after).await?;
            Ok(value)
        })
    })
}

fn fails(after: f64) -> Attempt {
    Box::new(move || {
        Box::pin(async move {
            sleep(after).await?;
            Err(ValueError::new("odd").into())
        })
    })
}

/// `test_staggered.StaggeredTests.test_empty`.
#[test]
fn nobody_wins_an_empty_race() -> Result<()> {
    run_virtual(async {
        let race = staggered_race(Vec::<Attempt>::new(), None).await?;
        assert!(race.winner().is_none() && race.exceptions().is_empty());
        Ok(())
    })
}

/// `test_staggered.StaggeredTests.test_one_successful` and `test_first_error_second_successful`.
#[test]
fn a_failure_starts_the_next_one() -> Result<()> {
    run_virtual(async {
        let race = staggered_race(vec![fails(1.0), succeeds(1.0, 7)], None).await?;
        assert_eq!(race.winner(), Some((1, &7)));
        assert!(
            race.exceptions()[0]
                .as_ref()
                .is_some_and(|error| error.is::<ValueError>())
        );
        assert!(race.exceptions()[1].is_none());
        assert_eq!(get_running_loop()?.time(), 2.0);
        Ok(())
    })
}

/// `test_staggered.StaggeredTests.test_first_timeout_second_successful`.
#[test]
fn the_delay_starts_the_next_one_and_losers_are_cancelled() -> Result<()> {
    run_virtual(async {
        let race = staggered_race(vec![succeeds(9.0, 1), succeeds(1.0, 2)], 0.5).await?;
        assert_eq!(race.winner(), Some((1, &2)));
        assert!(
            race.exceptions()[0]
                .as_ref()
                .is_some_and(|error| error.is_cancelled())
        );
        assert_eq!(get_running_loop()?.time(), 1.5);
        Ok(())
    })
}

/// `test_staggered.StaggeredTests.test_none_successful`.
#[test]
fn all_may_fail() -> Result<()> {
    run_virtual(async {
        let race = staggered_race(vec![fails(0.0), fails(0.0)], 1).await?;
        assert!(race.winner().is_none());
        assert_eq!(race.exceptions().iter().flatten().count(), 2);
        Ok(())
    })
}

/// `test_staggered.StaggeredTests.test_cancelled` (3.14): nothing runs on.
#[test]
fn a_cancelled_race_cancels_its_attempts() -> Result<()> {
    run_virtual(async {
        let race = create_task(staggered_race(
            vec![succeeds(9.0, 1), succeeds(9.0, 2)],
            0.1,
        ));
        sleep(1).await?;
        race.cancel();
        assert!(race.await.is_err_and(|error| error.is_cancelled()));
        turns(3).await?;
        assert_eq!(asyncio_core::all_tasks().len(), 1);
        Ok(())
    })
}
