//! A pool lends connections; `fetchrow` gives one row or `None`, `fetch` a list, `fetchval` one value.

use std::time::Duration;

use asyncio_compat as asyncio;
use asyncio_db::pg;

pub(crate) async fn main() -> asyncio::Result<()> {
    let pool = pg::create_pool(crate::dsn())
        .min_size(1)
        .max_size(3)
        .command_timeout(Duration::from_secs(30))
        .await?;
    let mut conn = pool.acquire().await?;
    conn.execute("DROP TABLE IF EXISTS guide_712", ()).await?;
    conn.execute(
        "CREATE TABLE guide_712 (id int, captain text, port text, status text)",
        (),
    )
    .await?;
    let ships = [
        (1, "Ines", "Porto", "at sea"),
        (2, "Ines", "Bilbao", "docked"),
        (3, "Olaf", "Bergen", "at sea"),
        (4, "Ines", "Cork", "at sea"),
    ];
    conn.executemany("INSERT INTO guide_712 VALUES($1, $2, $3, $4)", ships)
        .await?;

    if let Some(row) = conn
        .fetchrow("SELECT captain, port FROM guide_712 WHERE id = $1", (3,))
        .await?
    {
        println!(
            "{} of {}",
            row.get::<&str>("captain")?,
            row.get::<&str>("port")?
        );
    }
    let none = conn
        .fetchrow("SELECT * FROM guide_712 WHERE id = $1", (99,))
        .await?;
    println!("no such ship: {none:?}");
    let query = "SELECT * FROM guide_712 WHERE captain = $1 AND status = $2 ORDER BY id";
    for row in conn.fetch(query, ("Ines", "at sea")).await? {
        println!("{} {}", row.get::<i32>("id")?, row.get::<&str>("port")?);
    }
    let count: Option<i64> = conn.fetchval("SELECT count(*) FROM guide_712", ()).await?;
    println!("ships {}", count.unwrap_or_default());
    conn.execute("DROP TABLE guide_712", ()).await?;
    drop(conn); // back to the pool, as at the end of `async with`
    pool.close().await
}
