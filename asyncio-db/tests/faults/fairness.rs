//! Who waits for a connection has it in the order of arrival.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, sleep};
use asyncio_db::pg::create_pool;

use crate::support::{extent, on_a_loop, report, told};

#[derive(Default)]
struct Log {
    arrived: usize,
    /// The numbers of arrival, as connections were granted.
    granted: Vec<usize>,
    waits: Vec<Duration>,
}

#[test]
fn grants_are_in_the_order_of_arrival() -> Result<()> {
    on_a_loop(|cluster| async move {
        let pool = create_pool(cluster.dsn()).min_size(10).max_size(10).await?;
        let log = Arc::new(Mutex::new(Log::default()));
        let end = Instant::now() + Duration::from_secs(extent(2, 60) as u64);
        let mut workers = Vec::new();
        for _ in 0..100 {
            let (pool, log) = (pool.clone(), Arc::clone(&log));
            workers.push(create_task(async move {
                while Instant::now() < end {
                    let number = {
                        let mut log = log.lock().expect("no panic");
                        log.arrived += 1;
                        log.arrived - 1
                    };
                    let began = Instant::now();
                    let connection = pool.acquire().await?;
                    {
                        let mut log = log.lock().expect("no panic");
                        log.granted.push(number);
                        log.waits.push(began.elapsed());
                    }
                    sleep(0.002).await?;
                    drop(connection);
                }
                Ok(())
            }));
        }
        for worker in workers {
            worker.await?;
        }
        let mut log = log.lock().expect("no panic");
        assert!(log.granted.is_sorted(), "somebody was overtaken");
        assert!(log.granted.len() >= 100, "{}", log.granted.len());
        let count = log.granted.len();
        let mean = log.waits.iter().sum::<Duration>() / u32::try_from(count).unwrap_or(1);
        let waits = told(&mut log.waits);
        report(
            "R6",
            format!(
                "{count} grants in the order of arrival; waits of {mean:.1?} on average, {waits}"
            ),
        );
        Ok(())
    })
}
