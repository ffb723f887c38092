//! Operations of all kinds that are cancelled at any moment, beside others that must not notice.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_core::{Result, TimeoutError, create_task, sleep, timeout, to_thread};
use asyncio_db::pg::{Pool, connect, create_pool};

use crate::support::{Numbers, at_rest, everywhere, extent, number, report, within};

const SIZE: usize = 10;

/// Sessions as the server sees them, but for that which asks.
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                        AND application_name <> 'testing'";
/// Who connects without the pool.
const APART: &str = "apart";

#[test]
fn a_storm_of_cancellations_as_the_server_sees_it() -> Result<()> {
    everywhere(|cluster| async move {
        cluster.query("DROP TABLE IF EXISTS storm; CREATE TABLE storm (batch text, a int)")?;
        cluster.query("DROP ROLE IF EXISTS apart; CREATE ROLE apart LOGIN")?;
        let files = open_files();
        let pool = create_pool(cluster.dsn())
            .min_size(0)
            .max_size(SIZE)
            .await?;
        let (over, worst) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let watcher = {
            let (cluster, over, worst) =
                (Arc::clone(&cluster), Arc::clone(&over), Arc::clone(&worst));
            let of_pool = format!("{SESSIONS} AND usename <> '{APART}'");
            to_thread(move || {
                // SeqCst: a test can afford it.
                while !over.load(Ordering::SeqCst) {
                    worst.fetch_max(number(&cluster, &of_pool)?, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            })
        };
        let watcher = create_task(watcher);
        // A thread is not cancelled: it would go on for ever after a failure.
        let ending = Ending(Arc::clone(&over));
        let workers: Vec<_> = (0..20)
            .map(|seed| {
                create_task(work(
                    pool.clone(),
                    cluster.dsn_of(APART, "postgres"),
                    seed,
                    extent(25, 5000),
                ))
            })
            .collect();
        let mut cut_short = 0;
        for worker in workers {
            cut_short += worker.await?;
        }
        drop(ending);
        watcher.await?;
        at_rest(&pool).await?;
        let busy = format!("{SESSIONS} AND state <> 'idle'");
        let idle = within(Duration::from_secs(60), "all sessions are idle", || {
            number(&cluster, &busy).is_ok_and(|count| count == 0)
        })
        .await?;
        // A session ends a moment after its connection, and a request to cancel is no session; so one or
        // two that are on their way out are seen beside those of the pool.
        let worst = worst.load(Ordering::SeqCst);
        assert!(worst <= SIZE + 2, "{worst} sessions");
        assert_eq!(pool.stats().lost(), 0, "{:?}", pool.stats());
        let halves = "SELECT count(*) FROM (SELECT batch FROM storm GROUP BY batch HAVING count(*) <> 300) x";
        assert_eq!(number(&cluster, halves)?, 0, "a batch is there in part");
        pool.close().await?;
        within(Duration::from_secs(60), "all sessions have ended", || {
            number(&cluster, SESSIONS).is_ok_and(|count| count == 0)
        })
        .await?;
        within(Duration::from_secs(60), "all files are closed", || {
            open_files() <= files
        })
        .await?;
        let all = 20 * extent(25, 5000);
        report(
            "R1",
            format!(
                "{all} operations to be cancelled, {cut_short} of them in the middle, {all} others; 0 slots leaked, 0 open \
                 transactions, 0 stray cancellations, 0 wrong answers; {worst} sessions at the most, all idle after \
                 {idle:.1?}"
            ),
        );
        Ok(())
    })
}

/// Says that it is over, however that comes about.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        // SeqCst: a test can afford it.
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The sockets that are open in this process, where the system tells.
fn open_files() -> usize {
    let files = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Alternates operations that are cancelled and others that are not; how many were cut short by that.
async fn work(pool: Pool, dsn: String, seed: u64, rounds: usize) -> Result<usize> {
    let mut numbers = Numbers::new(seed + 100);
    let mut cut_short = 0;
    for round in 0..rounds {
        let limit = numbers.micros(2000);
        let (kind, by_task) = (numbers.below(10), numbers.below(2) == 0);
        let batch = format!("{seed} {round}");
        let ended = if by_task {
            let task = create_task(operation(pool.clone(), dsn.clone(), kind, batch));
            sleep(limit).await?;
            task.cancel();
            task.await
        } else {
            timeout(limit, operation(pool.clone(), dsn.clone(), kind, batch)).await
        };
        match ended {
            Ok(()) => {}
            Err(error) if error.is_cancelled() || error.is::<TimeoutError>() => cut_short += 1,
            Err(error) => return Err(error),
        }
        let tag = format!("{seed}/{round}");
        let answer: Option<String> = pool.fetchval("SELECT $1::text", (&tag,)).await?;
        assert_eq!(answer, Some(tag));
    }
    Ok(cut_short)
}

async fn operation(pool: Pool, dsn: String, kind: usize, batch: String) -> Result<()> {
    if kind == 9 {
        let mut connection = connect(dsn).await?;
        connection.execute("SELECT 1", ()).await?;
        return connection.close().await;
    }
    let mut connection = pool.acquire().await?;
    match kind {
        0 => drop(connection.execute("SELECT pg_sleep(60)", ()).await?),
        1 => drop(connection.fetchval::<i32>("SELECT 1", ()).await?),
        2 => {
            let mut rows = connection
                .stream("SELECT generate_series(1, 50000)", ())
                .await?;
            while rows.next().await?.is_some() {}
        }
        3 => {
            let rows = (0..300).map(|n| (&*batch, n));
            connection
                .executemany("INSERT INTO storm VALUES ($1, $2)", rows)
                .await?;
        }
        4 => {
            let mut transaction = connection.transaction().await?;
            let insert = "INSERT INTO storm SELECT $1, generate_series(1, 300)";
            transaction.execute(insert, (&*batch,)).await?;
            transaction.commit().await?;
        }
        5 => {
            let mut pipeline = connection.pipeline();
            for n in 0..20 {
                pipeline.fetch("SELECT $1::int", (n,));
            }
            pipeline.run().await?;
        }
        7 => {
            let copy = "COPY (SELECT generate_series(1, 20000)) TO STDOUT";
            drop(connection.execute(copy, ()).await?);
        }
        6 => drop(connection.prepare("SELECT $1::text || 'x'").await?),
        _ => drop(
            connection
                .execute("BEGIN; SELECT pg_sleep(0.001)", ())
                .await?,
        ),
    }
    Ok(())
}
