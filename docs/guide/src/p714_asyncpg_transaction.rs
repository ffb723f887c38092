//! A transaction commits at its end and rolls everything back on an error; a nested one is a savepoint.

use asyncio_compat as asyncio;
use asyncio_db::pg::Connection;
use asyncio_db::{ExceptionExt, exc, pg};

async fn transfer(
    conn: &mut Connection,
    cents: i32,
    source: &str,
    target: &str,
) -> asyncio::Result<()> {
    conn.transaction()
        .run(async |conn| {
            let add = "UPDATE purse SET cents = cents + $1 WHERE owner = $2";
            conn.execute(add, (cents, target)).await?;
            let take = "UPDATE purse SET cents = cents - $1 WHERE owner = $2";
            conn.execute(take, (cents, source)).await?;
            Ok(())
        })
        .await
}

async fn show(conn: &mut Connection, title: &str) -> asyncio::Result<()> {
    let rows = conn
        .fetch("SELECT owner, cents FROM purse ORDER BY owner", ())
        .await?;
    let purses = rows
        .iter()
        .map(|row| {
            Ok(format!(
                "{} {}",
                row.get::<&str>("owner")?,
                row.get::<i32>("cents")?
            ))
        })
        .collect::<asyncio::Result<Vec<_>>>()?;
    println!("{title}: {}", purses.join(", "));
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut conn = pg::connect(crate::dsn()).await?;
    conn.execute(
        "CREATE TEMP TABLE purse (owner text, cents int CHECK (cents >= 0))",
        (),
    )
    .await?;
    conn.executemany(
        "INSERT INTO purse VALUES($1, $2)",
        [("Ada", 500), ("Bo", 120)],
    )
    .await?;
    transfer(&mut conn, 200, "Ada", "Bo").await?;
    show(&mut conn, "moved").await?;
    match transfer(&mut conn, 900, "Ada", "Bo").await {
        Err(error) if error.is_pg::<exc::CheckViolationError>() => {
            println!("refused: CheckViolationError");
        }
        other => other?,
    }
    show(&mut conn, "rolled back").await?;

    let mut outer = conn.transaction().await?;
    outer
        .execute("UPDATE purse SET cents = cents + 1", ())
        .await?;
    let robbery = outer.transaction().run(async |conn| {
        conn.execute("DELETE FROM purse", ()).await?;
        Err::<(), _>(asyncio::RuntimeError::new("thief caught").into())
    });
    match robbery.await {
        Err(error) if error.is::<asyncio::RuntimeError>() => println!("{error}"),
        other => other?,
    }
    outer.commit().await?;
    show(&mut conn, "savepoint undone, rest kept").await?;
    conn.close().await
}
