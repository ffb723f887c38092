//! Servers that crash, and sessions that are ended by others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, sleep, timeout, to_thread};
use asyncio_db::pg::create_pool;
use asyncio_db::testing::StopMode;

use crate::support::{Numbers, at_rest, everywhere, extent, promised, report, told};

/// What a writer knows: the rows that the server has acknowledged.
type Acknowledged = Arc<Mutex<Vec<(i32, i32)>>>;

/// Writers write while the server crashes again and again. Every call ends, what was acknowledged is
/// there, and nothing is there twice.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_crashes() -> Result<()> {
    everywhere(|cluster| async move {
        cluster.query("DROP TABLE IF EXISTS log; CREATE TABLE log (writer int, number int)")?;
        let pool = create_pool(cluster.dsn()).min_size(0).max_size(10).await?;
        let (over, written) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (mut writers, mut waits) = (Vec::new(), Vec::new());
        for writer in 0..20 {
            let (pool, over, written) = (pool.clone(), Arc::clone(&over), Arc::clone(&written));
            let calls = Arc::clone(&calls);
            writers.push(create_task(async move {
                let mut number = 0;
                // SeqCst: a test can afford it.
                while !over.load(Ordering::SeqCst) {
                    number += 1;
                    let began = Instant::now();
                    let insert = "INSERT INTO log VALUES ($1, $2)";
                    match pool.execute(insert, (writer, number)).await {
                        Ok(_) => written.lock().expect("no panic").push((writer, number)),
                        Err(_) => sleep(0.002).await?,
                    }
                    calls.lock().expect("no panic").push(began.elapsed());
                }
                Ok(())
            }));
        }
        for _ in 0..extent(3, 100) {
            sleep(0.1).await?;
            let restarted = Arc::clone(&cluster);
            to_thread(move || Ok(restarted.restart(StopMode::Immediate)?)).await?;
            let up = Instant::now();
            let answer = timeout(promised(Duration::from_secs(5)), async {
                loop {
                    if let Ok(answer) = pool.fetchval("SELECT 5", ()).await {
                        return Ok(answer);
                    }
                    sleep(0.001).await?;
                }
            });
            assert_eq!(answer.await?, Some(5));
            waits.push(up.elapsed());
        }
        over.store(true, Ordering::SeqCst);
        for writer in writers {
            timeout(promised(Duration::from_secs(10)), writer).await?;
        }
        at_rest(&pool).await?;
        let calls = told(&mut calls.lock().expect("no panic"));
        let waits = told(&mut waits);
        let mut there: BTreeMap<(i32, i32), usize> = BTreeMap::new();
        for row in pool.fetch("SELECT writer, number FROM log", ()).await? {
            *there.entry((row.get(0)?, row.get(1)?)).or_default() += 1;
        }
        assert!(
            there.values().all(|count| *count == 1),
            "something is there twice"
        );
        let written = written.lock().expect("no panic");
        assert!(!written.is_empty(), "nothing was written");
        for row in written.iter() {
            assert!(there.contains_key(row), "{row:?} is lost");
        }
        assert!(pool.get_size() <= 10);
        report(
            "R4",
            format!(
                "{} restarts, {} acknowledged rows, 0 lost, 0 twice; calls took {calls}; the pool was of use again {waits}, \
                 after the server was",
                extent(3, 100),
                written.len()
            ),
        );
        Ok(())
    })
}

/// Sessions are ended from outside at any moment. What is answered is right, and the pool goes on.
#[test]
fn sessions_that_are_terminated_are_replaced() -> Result<()> {
    everywhere(|cluster| async move {
        let pool = create_pool(cluster.dsn()).min_size(2).max_size(5).await?;
        let over = Arc::new(AtomicBool::new(false));
        let (right, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut workers = Vec::new();
        for worker in 0..10_i32 {
            let (pool, over) = (pool.clone(), Arc::clone(&over));
            let (right, failed) = (Arc::clone(&right), Arc::clone(&failed));
            workers.push(create_task(async move {
                let mut number = 0_i32;
                while !over.load(Ordering::SeqCst) {
                    number += 1;
                    let query = "SELECT $1::int, $2::int, pg_sleep(0.001)";
                    match pool.fetchrow(query, (worker, number)).await {
                        Ok(row) => {
                            let row = row.expect("a row");
                            assert_eq!((row.get::<i32>(0)?, row.get(1)?), (worker, number));
                            right.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => {
                            assert!(!error.is_cancelled(), "{error:?}");
                            failed.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
                Ok(())
            }));
        }
        let mut numbers = Numbers::new(5);
        for _ in 0..extent(100, 10_000) {
            let killer = Arc::clone(&cluster);
            to_thread(move || {
                Ok(killer.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                     AND backend_type = 'client backend' ORDER BY random() LIMIT 1",
                )?)
            })
            .await?;
            assert!(pool.get_size() <= 5, "{:?}", pool.stats());
            sleep(numbers.micros(4000)).await?;
        }
        over.store(true, Ordering::SeqCst);
        for worker in workers {
            timeout(promised(Duration::from_secs(10)), worker).await?;
        }
        at_rest(&pool).await?;
        let (right, failed) = (right.load(Ordering::SeqCst), failed.load(Ordering::SeqCst));
        assert!(right > 0 && failed > 0, "{right} answers, {failed} errors");
        report(
            "R5",
            format!(
                "{} sessions terminated, {right} right answers, {failed} errors, 0 wrong answers",
                extent(100, 10_000)
            ),
        );
        for number in 0..10_i32 {
            assert_eq!(
                pool.fetchval("SELECT $1::int", (number,)).await?,
                Some(number)
            );
        }
        Ok(())
    })
}
