//! Trying again, and not too often.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{
    CancelledError, Result, Runner, RuntimeError, TimeoutError, ValueError, create_task,
    get_running_loop, sleep,
};
use asyncio_net::{RateLimiter, Retry, retry};

use crate::support::everywhere;

fn virtually(test: impl Future<Output = Result<()>> + 'static) -> Result<()> {
    Runner::builder().virtual_clock(true).build()?.run(test)
}

fn now() -> Result<f64> {
    Ok(get_running_loop()?.time())
}

#[test]
fn pauses_grow_up_to_a_limit() -> Result<()> {
    virtually(async {
        let times = Arc::new(Mutex::new(Vec::new()));
        let policy = Retry::new()
            .attempts(6)
            .base(1)
            .factor(2.0)
            .longest(5)
            .jitter(false);
        let kept = Arc::clone(&times);
        let result = retry(policy, async |attempt| {
            kept.lock().expect("no panic").push((attempt, now()?));
            Err::<(), _>(RuntimeError::new("no").into())
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.is::<RuntimeError>());
        assert_eq!(error.notes(), ["tried 6 times"]);
        let times = times.lock().expect("no panic").clone();
        assert_eq!(
            times,
            [(1, 0.0), (2, 1.0), (3, 3.0), (4, 7.0), (5, 12.0), (6, 17.0)]
        );
        Ok(())
    })
}

#[test]
fn a_random_part_is_at_most_the_pause() -> Result<()> {
    virtually(async {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let began = now()?;
            let policy = Retry::new().attempts(2).base(1);
            let _ = retry(policy, async |_| {
                Err::<(), _>(RuntimeError::new("no").into())
            })
            .await;
            seen.push(now()? - began);
        }
        assert!(seen.iter().all(|it| (1.0..=2.0).contains(it)), "{seen:?}");
        assert!(seen.iter().any(|it| *it != seen[0]));
        Ok(())
    })
}

#[test]
fn what_is_not_worth_it_is_not_tried_again() -> Result<()> {
    everywhere(|| async {
        let count = AtomicUsize::new(0);
        let policy = || Retry::new().attempts(5).base(0.001);
        let cancelled = retry(policy(), async |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(CancelledError::new().into())
        });
        assert!(cancelled.await.is_err_and(|error| error.is_cancelled()));
        let chosen = policy().when(|error| !error.is::<ValueError>());
        let chosen = retry(chosen, async |attempt| {
            count.fetch_add(1, Ordering::SeqCst);
            if attempt == 2 {
                return Err::<(), _>(ValueError::new("stop").into());
            }
            Err(RuntimeError::new("go on").into())
        });
        assert!(chosen.await.is_err_and(|error| error.is::<ValueError>()));
        assert_eq!(count.load(Ordering::SeqCst), 3);
        Ok(())
    })
}

#[test]
fn a_cancel_ends_a_pause() -> Result<()> {
    everywhere(|| async {
        let (begun, wait) = (asyncio_sync::Event::new(), asyncio_sync::Event::new());
        let told = begun.clone();
        let task = create_task(async move {
            retry(Retry::new().base(3600), async |_| {
                told.set();
                Err::<(), _>(RuntimeError::new("no").into())
            })
            .await
        });
        begun.wait().await?;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        drop(wait);
        Ok(())
    })
}

#[test]
fn a_deadline_holds_for_all_of_it() -> Result<()> {
    virtually(async {
        // In a pause: the next one would end too late.
        let policy = Retry::new().attempts(9).base(4).jitter(false).deadline(10);
        let result = retry(policy, async |_| {
            Err::<(), _>(RuntimeError::new("no").into())
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.is::<RuntimeError>());
        assert_eq!(
            error.notes(),
            ["tried 2 times, and there is no time for more"]
        );
        assert_eq!(now()?, 4.0);
        // In an attempt.
        let policy = Retry::new().base(1).jitter(false).deadline(10);
        let result = retry(policy, async |attempt| {
            sleep(if attempt == 1 { 1 } else { 3600 }).await?;
            Err::<(), _>(RuntimeError::new("no").into())
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.is::<TimeoutError>());
        assert_eq!(error.notes(), ["the attempt before failed: no"]);
        assert_eq!(now()?, 14.0);
        // The error says itself how long to wait.
        let policy = Retry::new().pause(|_| Some(Duration::from_secs(30)));
        retry(policy, async |attempt| match attempt {
            1 => Err(RuntimeError::new("busy").into()),
            _ => Ok(()),
        })
        .await?;
        assert_eq!(now()?, 44.0);
        Ok(())
    })
}

#[test]
fn a_rate_is_kept_in_order() -> Result<()> {
    virtually(async {
        let limiter = RateLimiter::new(5, 2)?.burst(3)?;
        let times = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let (limiter, times) = (limiter.clone(), Arc::clone(&times));
                create_task(async move {
                    limiter.acquire().await?;
                    let tenths = (now()? * 10.0).round() as u32;
                    times.lock().expect("no panic").push((number, tenths));
                    Ok(())
                })
            })
            .collect();
        sleep(0.5).await?;
        assert!(!limiter.try_acquire(), "others wait");
        tasks[5].cancel();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.is_err(), number == 5);
        }
        let times = times.lock().expect("no panic").clone();
        let expected = [(0, 0), (1, 0), (2, 0), (3, 4), (4, 8), (6, 12), (7, 16)];
        assert_eq!(times, expected);
        // Each key by itself.
        let began = now()?;
        let hosts = RateLimiter::per_second(1)?;
        for _ in 0..3 {
            hosts.acquire_key("a").await?;
            hosts.acquire_key("b").await?;
        }
        assert!((now()? - began - 2.0).abs() < 0.01);
        for key in 0..5000 {
            hosts.acquire_key(&key.to_string()).await?;
        }
        assert!(
            RateLimiter::per_second(0).is_err() && RateLimiter::per_second(1)?.burst(0).is_err()
        );
        Ok(())
    })
}
