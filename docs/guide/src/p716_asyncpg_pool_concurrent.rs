//! Ten queries share a pool of three connections; the pool never lends more than it has.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_db::pg;

#[derive(Default)]
struct Lent {
    backends: HashSet<i32>,
    now: usize,
    peak: usize,
}

async fn query(pool: pg::Pool, number: i32, lent: Arc<Mutex<Lent>>) -> asyncio::Result<String> {
    let mut conn = pool.acquire().await?;
    {
        let mut lent = lent.lock().unwrap();
        lent.now += 1;
        lent.peak = lent.peak.max(lent.now);
        lent.backends.insert(conn.get_server_pid());
    }
    conn.execute("SELECT pg_sleep(0.05)", ()).await?;
    let name = conn
        .fetchval("SELECT name FROM guide_716 WHERE id = $1", (number,))
        .await?;
    lent.lock().unwrap().now -= 1;
    Ok(name.unwrap_or_else(|| "nothing".to_owned()))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let pool = pg::create_pool(crate::dsn())
        .min_size(2)
        .max_size(3)
        .await?;
    pool.execute("DROP TABLE IF EXISTS guide_716", ()).await?;
    let bells = "CREATE TABLE guide_716 AS \
                 SELECT n AS id, 'bell ' || n AS name FROM generate_series(1, 8) n";
    pool.execute(bells, ()).await?;

    let lent = Arc::new(Mutex::new(Lent::default()));
    let queries = (1..11).map(|number| query(pool.clone(), number, lent.clone()));
    println!("{}", asyncio::gather_iter(queries).await?.join(", "));
    let (peak, backends) = {
        let lent = lent.lock().unwrap();
        (lent.peak, lent.backends.len())
    };
    println!(
        "lent at most {peak} server processes {backends} pool size {}",
        pool.get_size()
    );
    pool.execute("DROP TABLE guide_716", ()).await?;
    pool.close().await
}
