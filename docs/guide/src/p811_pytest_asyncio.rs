//! Coroutines are tested, with a fixture, gather and expected errors.
//!
//! # Instead
//!
//! A test is a function with the attribute `#[asyncio::test]`, which runs it on a loop of its own, and
//! `cargo test` finds it. A fixture is a function that is given the test. One of these tests fails on
//! purpose, so that they are called here by hand; the record is Python's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use asyncio_compat as asyncio;

struct Pressing {
    state: &'static str,
    litres: i32,
}

async fn press(apples: i32) -> asyncio::Result<Pressing> {
    asyncio::sleep(0.01).await?;
    if apples < 0 {
        return Err(asyncio::ValueError::new("no apples to press").into());
    }
    Ok(Pressing {
        state: "ok",
        litres: apples / 4,
    })
}

async fn with_cellar(
    test: impl AsyncFnOnce(&asyncio::Queue<&'static str>) -> asyncio::Result<()>,
) -> asyncio::Result<()> {
    let barrels = asyncio::Queue::new(0);
    barrels.put("old cider").await?;
    test(&barrels).await?;
    Ok(barrels.join().await?)
}

// Each with `#[asyncio::test]`, in a program's tests.

async fn test_one_pressing() -> asyncio::Result<()> {
    assert_eq!(press(9).await?.state, "ok");
    Ok(())
}

async fn test_pressings_together() -> asyncio::Result<()> {
    let results = asyncio::gather([press(8), press(40)]).await?;
    assert_eq!(results.map(|result| result.litres), [2, 10]);
    Ok(())
}

async fn test_error() -> asyncio::Result<()> {
    let error = press(-1).await.map(drop).expect_err("there are none");
    assert!(error.is::<asyncio::ValueError>());
    Ok(())
}

async fn test_fixture() -> asyncio::Result<()> {
    with_cellar(async |cellar| {
        assert_eq!(cellar.get().await?, "old cider");
        Ok(cellar.task_done()?)
    })
    .await
}

async fn test_wrong_on_purpose() -> asyncio::Result<()> {
    assert_eq!(press(4).await?.litres, 7);
    Ok(())
}

fn outcome(name: &str, test: impl Future<Output = asyncio::Result<()>> + 'static) -> bool {
    let ran = catch_unwind(AssertUnwindSafe(|| asyncio::run(test)));
    let passed = matches!(ran, Ok(Ok(())));
    println!("{name} {}", if passed { "passed" } else { "failed" });
    passed
}

pub(crate) fn main() -> asyncio::Result<()> {
    std::panic::set_hook(Box::new(|_| {})); // one is expected
    let outcomes = [
        outcome("test_one_pressing", test_one_pressing()),
        outcome("test_pressings_together", test_pressings_together()),
        outcome("test_error", test_error()),
        outcome("test_fixture", test_fixture()),
        outcome("test_wrong_on_purpose", test_wrong_on_purpose()),
    ];
    let passed = outcomes.iter().filter(|passed| **passed).count();
    println!("passed {passed} of {}", outcomes.len());
    Ok(())
}
