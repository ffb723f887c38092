//! What the tests share.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, run, sleep};
use asyncio_db::pg::Pool;
use asyncio_db::testing::{ClusterError, PgCluster};

/// Runs a test with a server of its own, on an event loop of ours and then on a tokio runtime with two
/// threads. A test that takes longer than two minutes hangs.
#[track_caller]
pub(crate) fn everywhere<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Arc<PgCluster>) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let _alone = alone();
    let Some(cluster) = cluster() else {
        return Ok(());
    };
    let on_a_loop = in_time(test(Arc::clone(&cluster)));
    run(on_a_loop).inspect_err(|error| error.add_note("on an event loop"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let on_tokio = in_time(test(cluster));
    let done = runtime.block_on(async { create_task(on_tokio).await });
    done.inspect_err(|error| error.add_note("on a tokio runtime"))
}

/// Runs a test on an event loop only.
#[track_caller]
pub(crate) fn on_a_loop<F, Fut>(test: F) -> Result<()>
where
    F: FnOnce(Arc<PgCluster>) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let _alone = alone();
    let Some(cluster) = cluster() else {
        return Ok(());
    };
    run(in_time(test(cluster)))
}

async fn in_time(test: impl Future<Output = Result<()>>) -> Result<()> {
    let limit = Duration::from_secs(extent(300, 7200) as u64);
    let Ok(result) = tokio::time::timeout(limit, test).await else {
        panic!("the test hangs");
    };
    result
}

/// As long as it is held, no other of these tests runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server, or none where no PostgreSQL is found; with `CI` in the environment that is a failure.
fn cluster() -> Option<Arc<PgCluster>> {
    match PgCluster::create() {
        Ok(cluster) => Some(Arc::new(cluster)),
        Err(ClusterError::NotFound) if std::env::var_os("CI").is_none() => {
            // Written where a person who runs the tests sees it, passed or not.
            let _ = writeln!(std::io::stderr(), "skipped: {}", ClusterError::NotFound);
            None
        }
        Err(error) => panic!("there is no server to test with: {error:?}"),
    }
}

/// Waits until something is so, and fails after a time.
#[track_caller]
pub(crate) fn within(
    limit: Duration,
    what: &'static str,
    mut so: impl FnMut() -> bool + Send,
) -> impl Future<Output = Result<Duration>> + Send {
    let place = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !so() {
            assert!(
                began.elapsed() < limit,
                "not within {limit:?}: {what} ({place})"
            );
            sleep(0.001).await?;
        }
        Ok(began.elapsed())
    }
}

/// Waits until all connections of a pool are where they belong.
#[track_caller]
pub(crate) fn at_rest(pool: &Pool) -> impl Future<Output = Result<Duration>> + Send {
    let pool = pool.clone();
    within(HANGS, "the pool is at rest", move || {
        let stats = pool.stats();
        (stats.lent(), stats.recovering(), stats.waiting()) == (0, 0, 0)
    })
}

/// A number that a server returns.
pub(crate) fn number(cluster: &PgCluster, sql: &str) -> Result<usize> {
    let rows = cluster.query(sql)?;
    let value = rows.first().and_then(|row| row.first()?.as_deref());
    Ok(value.unwrap_or_default().parse()?)
}

/// Numbers that look random and are the same each time (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below this.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// A time below so many microseconds.
    pub(crate) fn micros(&mut self, limit: usize) -> Duration {
        Duration::from_micros(self.below(limit) as u64)
    }
}

/// Whether it is the full form, for which there is time and a quiet machine.
pub(crate) fn full() -> bool {
    std::env::var_os("ASYNCIO_DB_FULL").is_some()
}

/// How much of something is done: every day, and in full.
pub(crate) fn extent(every_day: usize, in_full: usize) -> usize {
    if full() { in_full } else { every_day }
}

/// How long something may take that is promised to take so long. In full the times are told, and no machine is
/// as quiet as all that; every day nothing fails but what hangs.
pub(crate) fn promised(limit: Duration) -> Duration {
    if full() {
        limit.max(Duration::from_millis(200)) * 5
    } else {
        HANGS.max(limit)
    }
}

const HANGS: Duration = Duration::from_secs(60);

/// Says what was counted, in full, where a person sees it.
pub(crate) fn report(goal: &str, counted: impl std::fmt::Display) {
    if full() {
        // Who cannot be told is not told.
        let _ = writeln!(std::io::stderr(), "  {goal}: {counted}");
    }
}

/// Times as they are told: the middle, the 99th of a hundred, the longest.
pub(crate) fn told(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len() - 1));
    match (at(50), at(99), times.last()) {
        (Some(middle), Some(most), Some(longest)) => {
            format!(
                "{middle:.1?} in the middle, {most:.1?} at the 99th of a hundred, {longest:.1?} at the most"
            )
        }
        _ => "none".to_owned(),
    }
}
