//! `execute` reports what was done; `now()` and a JSON payload are filled in and read back.

use asyncio_compat as asyncio;
use asyncio_db::pg::values::Json;
use asyncio_db::{ExceptionExt, PgError, pg};

use crate::yes;

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut conn = pg::connect(crate::dsn()).await?;
    let create = "CREATE TEMP TABLE happening (kind text, payload jsonb, at timestamptz)";
    println!("{}", conn.execute(create, ()).await?);
    let insert = "INSERT INTO happening(kind, payload, at) VALUES($1, $2, now())";
    let payload = Json(r#"{"key": "brass", "turns": 2}"#.to_owned());
    println!("{}", conn.execute(insert, ("gate.opened", payload)).await?);
    let update = "UPDATE happening SET kind = $1 WHERE kind = $2";
    let kinds = ("gate.shut", "window.opened");
    println!("{}", conn.execute(update, kinds).await?);
    let query = "SELECT payload, payload->>'key' AS key, at <= now() AS past FROM happening";
    if let Some(row) = conn.fetchrow(query, ()).await? {
        // It arrives as the text that it is; the crate `serde_json` has values of its own.
        let payload: Json = row.get("payload")?;
        println!(
            "payload arrives as text: {}",
            yes(payload.0.starts_with('{'))
        );
        let turns = payload.0.split("\"turns\": ").nth(1);
        println!(
            "{} {} in the past: {}",
            turns.unwrap_or_default().trim_end_matches('}'),
            row.get::<&str>("key")?,
            yes(row.get("past")?)
        );
    }
    println!("{}", conn.execute("DELETE FROM happening", ()).await?);
    let wrong = Json("{no json".to_owned());
    let insert = "INSERT INTO happening(payload) VALUES($1)";
    if let Err(error) = conn.execute(insert, (wrong,)).await
        && error.is_pg::<asyncio_db::exc::InvalidTextRepresentationError>()
        && let Some(error) = error.downcast_ref::<PgError>()
    {
        println!("InvalidTextRepresentationError {}", error.sqlstate());
    }
    conn.close().await
}
