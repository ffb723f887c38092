//! A single connection queries with parameters, inserts, and is closed.
//!
//! # Instead
//!
//! Closing takes the connection away, so that nobody can ask a closed one anything: the record lacks the
//! line that does.

use asyncio_compat as asyncio;
use asyncio_db::pg;

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut conn = pg::connect(crate::dsn()).await?;
    let table =
        "CREATE TEMP TABLE lodger (id serial PRIMARY KEY, name text, room text, active boolean)";
    conn.execute(table, ()).await?;
    let insert = "INSERT INTO lodger(name, room, active) VALUES($1, $2, $3)";
    conn.execute(insert, ("Vera", "attic", true)).await?;
    conn.execute(insert, ("Sam", "cellar", false)).await?;
    println!("{}", conn.execute(insert, ("Noor", "tower", true)).await?);

    let rows = conn
        .fetch(
            "SELECT id, name FROM lodger WHERE active = $1 ORDER BY id",
            (true,),
        )
        .await?;
    for row in &rows {
        println!("{} {}", row.get::<i32>("id")?, row.get::<&str>("name")?);
    }
    let columns: Vec<_> = rows[0].keys().collect();
    println!(
        "columns: {} by index: {}",
        columns.join(", "),
        rows[0].get::<&str>(1)?
    );
    conn.close().await
}
