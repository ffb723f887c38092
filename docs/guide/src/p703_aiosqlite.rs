//! A SQLite table is created, filled, committed and read row by row.

use std::{env, fs, process};

use asyncio_compat as asyncio;
use asyncio_db::sqlite::{self, Behavior, ErrorClass, SqliteError};

pub(crate) async fn main() -> asyncio::Result<()> {
    let path = env::temp_dir().join(format!("bees-{}.db", process::id()));
    let db = sqlite::connect(&path).await?;
    let table =
        "CREATE TABLE IF NOT EXISTS hive (id INTEGER PRIMARY KEY, place TEXT, kilos INTEGER)";
    db.execute(table, ()).await?;
    // Python begins transactions by itself; here one is begun, and undone unless it is committed.
    let insert = "INSERT INTO hive(place, kilos) VALUES(?, ?)";
    let kept = db.transaction(Behavior::Deferred).await?;
    kept.execute(insert, ("orchard", 21)).await?;
    kept.executemany(insert, [("heath", 14), ("roof", 9)])
        .await?;
    kept.commit().await?;
    let given_up = db.transaction(Behavior::Deferred).await?;
    given_up.execute(insert, ("never kept", 0)).await?;
    given_up.rollback().await?;
    db.close().await?;

    let db = sqlite::connect(&path).await?;
    let mut hives = db
        .execute("SELECT id, place, kilos FROM hive ORDER BY id", ())
        .await?;
    while let Some(row) = hives.fetchone().await? {
        println!(
            "{} {} {}",
            row.get::<i64>(0)?,
            row.get_str("place")?,
            row.get::<i64>("kilos")?
        );
    }
    let query = "SELECT count(*), sum(kilos) FROM hive WHERE kilos > ?";
    if let Some(row) = db.execute(query, (10,)).await?.fetchone().await? {
        println!("above ten: {} {}", row.get::<i64>(0)?, row.get::<i64>(1)?);
    }
    if let Err(error) = db.execute("SELECT wax FROM hive", ()).await {
        let error = error.downcast_ref::<SqliteError>();
        if let Some(error) = error.filter(|error| error.class() == ErrorClass::Operational) {
            println!("error: {error}");
        }
    }
    db.close().await?;
    fs::remove_file(path)?;
    Ok(())
}
