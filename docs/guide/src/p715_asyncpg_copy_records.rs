//! A thousand records go into a table in one COPY.

use asyncio_compat as asyncio;
use asyncio_db::{ExceptionExt, exc, pg};

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut conn = pg::connect(crate::dsn()).await?;
    let create = "CREATE TEMP TABLE seedling (id serial, species text, height int NOT NULL)";
    conn.execute(create, ()).await?;
    let columns = ["species", "height"];
    let records = (0..1000).map(|n| (format!("species-{}", n % 8), n * 3 % 50));
    let tag = conn
        .copy_records_to_table("seedling", records)
        .columns(columns)
        .await?;
    println!("{tag}");
    let query = "SELECT count(*), max(height), max(id) FROM seedling";
    if let Some(row) = conn.fetchrow(query, ()).await? {
        let (total, tallest, last): (i64, i32, i32) = row.to()?;
        println!("rows {total} tallest {tallest} last id {last}");
    }
    let query = "SELECT species, sum(height) AS all_heights FROM seedling \
                 GROUP BY species ORDER BY species LIMIT 2";
    for row in conn.fetch(query, ()).await? {
        let heights: i64 = row.get("all_heights")?;
        println!("{} {heights}", row.get::<&str>("species")?);
    }
    let bad = [("oak", Some(12)), ("elm", None)];
    let copied = conn
        .copy_records_to_table("seedling", bad)
        .columns(columns)
        .await;
    if copied.is_err_and(|error| error.is_pg::<exc::NotNullViolationError>()) {
        println!("one bad record spoils the whole copy: NotNullViolationError");
    }
    let rows: Option<i64> = conn.fetchval("SELECT count(*) FROM seedling", ()).await?;
    println!("rows {}", rows.unwrap_or_default());
    conn.close().await
}
