//! What may go to another thread, and what may be shared.

use asyncio_db::pg;

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unpin<T: Unpin>() {}

fn is_send<T: Send>(_: &T) {}

#[test]
fn types() {
    send::<pg::Connection>();
    send::<pg::Transaction<'_>>();
    send::<pg::Cursor<'_>>();
    send::<pg::RowStream<'_>>();
    unpin::<pg::RowStream<'_>>();
    send::<pg::Pipeline<'_>>();
    send::<pg::PooledConnection>();
    send::<pg::Pool>();
    sync::<pg::Pool>();
    send::<pg::Record>();
    sync::<pg::Record>();
    send::<pg::PreparedStatement>();
    sync::<pg::PreparedStatement>();
    send::<pg::PoolStats>();
    send::<asyncio_db::PgError>();
    sync::<asyncio_db::PgError>();
}

/// Compiled only: the futures of all operations may go to another thread.
#[expect(dead_code, reason = "that it compiles is the test")]
async fn futures(connection: &mut pg::Connection, pool: &pg::Pool) {
    is_send(&connection.execute("", (1, "two")));
    is_send(&connection.fetch("", ()));
    is_send(&connection.fetchrow("", ()));
    is_send(&connection.fetchval::<i32>("", ()));
    is_send(&connection.fetchmany("", [(1,)]));
    is_send(&connection.executemany("", [(1,)]));
    is_send(&connection.stream("", ()));
    is_send(&connection.prepare(""));
    is_send(&connection.pipeline().run());
    is_send(&connection.settle());
    is_send(&pool.acquire());
    is_send(&pool.fetchval::<i32>("", ()));
    is_send(&pool.close());
}
