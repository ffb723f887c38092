//! `executemany`.

use asyncio_core::Result;

use super::call::Call;
use super::connection::Session;
use super::params::{Parameters, Params};

/// The call that executes a statement with each of the sets.
///
/// It is no `async fn`, so that the future has no part of the sets in it: they may be borrowed, and of any
/// kind.
pub(super) fn executemany<P: Params>(
    session: &Session,
    sql: &str,
    sets: impl IntoIterator<Item = P>,
) -> Result<Call<i64>> {
    let sets = Parameters::many(sets)?;
    let sql = sql.to_owned();
    Ok(session.call(move |desk| desk.execute_many(&sql, &sets)))
}
