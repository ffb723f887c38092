//! What a user would take instead, used as its documentation says: statements that are prepared once,
//! pipelines by many futures at once, pools of its own.

use std::hint::black_box;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use futures::future::{join_all, try_join_all};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

use super::{
    BULK, CONNECTIONS, DEPTH, FETCH, GROUP, INSERT, POINT, ROWS, accounts, folder, server, sevens,
    shares,
};
use crate::runtimes::{Measured, Stopwatch};

const USER: &str = "postgres";
const FINE: &str = "the server answers";

fn config() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(folder()).port(server().port());
    config.user(USER).dbname(USER);
    config
}

async fn client() -> Client {
    let (client, connection) = config().connect(NoTls).await.expect(FINE);
    tokio::spawn(connection);
    client
}

pub(super) async fn point(count: u32) -> Measured {
    let client = client().await;
    let statement = client.prepare(POINT).await.expect(FINE);
    let watch = Stopwatch::start();
    for account in accounts(count) {
        let row = client.query_one(&statement, &[&account]).await.expect(FINE);
        black_box(row.get::<_, i32>(0));
    }
    watch.stop()
}

pub(super) async fn pipeline(count: u32) -> Measured {
    let client = client().await;
    let statement = client.prepare(POINT).await.expect(FINE);
    let (client, statement) = (&client, &statement);
    let watch = Stopwatch::start();
    for share in shares(count, DEPTH) {
        let queries = accounts(share)
            .map(|account| async move { client.query_one(statement, &[&account]).await });
        for row in join_all(queries).await {
            black_box(row.expect(FINE).get::<_, i32>(0));
        }
    }
    watch.stop()
}

pub(super) async fn fetch(count: u32) -> Measured {
    let client = client().await;
    let statement = client.prepare(FETCH).await.expect(FINE);
    let watch = Stopwatch::start();
    for share in shares(count, ROWS) {
        let limit = i64::from(share);
        for row in client.query(&statement, &[&limit]).await.expect(FINE) {
            black_box((
                row.get::<_, i32>(0),
                row.get::<_, i64>(1),
                row.get::<_, f64>(2),
                row.get::<_, bool>(3),
                row.get::<_, &str>(4),
                row.get::<_, Option<&str>>(5),
            ));
        }
    }
    watch.stop()
}

pub(super) async fn executemany(count: u32) -> Measured {
    let mut client = client().await;
    client.batch_execute(BULK).await.expect(FINE);
    let statement = client.prepare(INSERT).await.expect(FINE);
    let watch = Stopwatch::start();
    for share in shares(count, GROUP) {
        let transaction = client.transaction().await.expect(FINE);
        let (inserter, statement) = (&transaction, &statement);
        let rows = sevens(share).map(|(a, b, c, d, e, f, g)| async move {
            let values: [&(dyn ToSql + Sync); 7] = [&a, &b, &c, &d, &e, &f, &g];
            inserter.execute(statement, &values).await
        });
        try_join_all(rows).await.expect(FINE);
        transaction.commit().await.expect(FINE);
    }
    watch.stop()
}

pub(super) const fn fast() -> RecyclingMethod {
    RecyclingMethod::Fast
}

pub(super) const fn clean() -> RecyclingMethod {
    RecyclingMethod::Clean
}

fn deadpool(recycling_method: RecyclingMethod) -> Pool {
    let manager = ManagerConfig { recycling_method };
    let manager = Manager::from_config(config(), NoTls, manager);
    Pool::builder(manager).max_size(10).build().expect("a pool")
}

pub(super) async fn pool(count: u32, method: RecyclingMethod) -> Measured {
    let pool = deadpool(method);
    let client = pool.get().await.expect(FINE);
    client.prepare_cached(POINT).await.expect(FINE);
    drop(client);
    let watch = Stopwatch::start();
    for account in accounts(count) {
        let client = pool.get().await.expect(FINE);
        let statement = client.prepare_cached(POINT).await.expect(FINE);
        let row = client.query_one(&statement, &[&account]).await.expect(FINE);
        black_box(row.get::<_, i32>(0));
    }
    watch.stop()
}

pub(super) async fn acquire(count: u32, method: RecyclingMethod) -> Measured {
    let pool = deadpool(method);
    drop(pool.get().await.expect(FINE));
    let watch = Stopwatch::start();
    for _ in 0..count {
        drop(black_box(pool.get().await.expect(FINE)));
    }
    watch.stop()
}

pub(super) async fn ten(count: u32) -> Measured {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = client().await;
        let statement = client.prepare(POINT).await.expect(FINE);
        clients.push((client, statement));
    }
    let watch = Stopwatch::start();
    let tasks = clients.into_iter().map(|(client, statement)| {
        tokio::spawn(async move {
            for account in accounts(count / CONNECTIONS) {
                let row = client.query_one(&statement, &[&account]).await.expect(FINE);
                black_box(row.get::<_, i32>(0));
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("no panic");
    }
    watch.stop()
}

fn options() -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(folder())
        .port(server().port())
        .username(USER)
        .database(USER)
        .ssl_mode(PgSslMode::Disable)
}

async fn sqlx_connection() -> PgConnection {
    PgConnection::connect_with(&options()).await.expect(FINE)
}

async fn sqlx_ask(connection: &mut PgConnection, count: u32) {
    for account in accounts(count) {
        let query = sqlx::query(POINT).bind(account);
        let row = query.fetch_one(&mut *connection).await.expect(FINE);
        black_box(row.get::<i32, _>(0));
    }
}

pub(super) async fn sqlx_point(count: u32) -> Measured {
    let mut connection = sqlx_connection().await;
    sqlx_ask(&mut connection, 1).await;
    let watch = Stopwatch::start();
    sqlx_ask(&mut connection, count).await;
    watch.stop()
}

pub(super) async fn sqlx_fetch(count: u32) -> Measured {
    let mut connection = sqlx_connection().await;
    let query = sqlx::query(FETCH).bind(1_i64);
    query.fetch_all(&mut connection).await.expect(FINE);
    let watch = Stopwatch::start();
    for share in shares(count, ROWS) {
        let query = sqlx::query(FETCH).bind(i64::from(share));
        for row in query.fetch_all(&mut connection).await.expect(FINE) {
            black_box((
                row.get::<i32, _>(0),
                row.get::<i64, _>(1),
                row.get::<f64, _>(2),
                row.get::<bool, _>(3),
                row.get::<&str, _>(4),
                row.get::<Option<&str>, _>(5),
            ));
        }
    }
    watch.stop()
}

pub(super) async fn sqlx_executemany(count: u32) -> Measured {
    let mut connection = sqlx_connection().await;
    connection.execute(BULK).await.expect(FINE);
    let watch = Stopwatch::start();
    for share in shares(count, GROUP) {
        let mut transaction = connection.begin().await.expect(FINE);
        for (a, b, c, d, e, f, g) in sevens(share) {
            let query = sqlx::query(INSERT).bind(a).bind(b).bind(c).bind(d);
            let query = query.bind(e).bind(f).bind(g);
            query.execute(&mut *transaction).await.expect(FINE);
        }
        transaction.commit().await.expect(FINE);
    }
    watch.stop()
}

async fn sqlx_pool_of(size: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(size);
    pool.connect_with(options()).await.expect(FINE)
}

pub(super) async fn sqlx_pool(count: u32) -> Measured {
    let pool = sqlx_pool_of(10).await;
    sqlx_ask(&mut *pool.acquire().await.expect(FINE), 1).await;
    let watch = Stopwatch::start();
    for account in accounts(count) {
        let mut connection = pool.acquire().await.expect(FINE);
        let query = sqlx::query(POINT).bind(account);
        let row = query.fetch_one(&mut *connection).await.expect(FINE);
        black_box(row.get::<i32, _>(0));
    }
    let measured = watch.stop();
    pool.close().await;
    measured
}

pub(super) async fn sqlx_acquire(count: u32) -> Measured {
    let pool = sqlx_pool_of(10).await;
    let watch = Stopwatch::start();
    for _ in 0..count {
        black_box(pool.acquire().await.expect(FINE));
    }
    let measured = watch.stop();
    pool.close().await;
    measured
}

pub(super) async fn sqlx_ten(count: u32) -> Measured {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = sqlx_connection().await;
        sqlx_ask(&mut connection, 1).await;
        connections.push(connection);
    }
    let watch = Stopwatch::start();
    let tasks = connections.into_iter().map(|mut connection| {
        tokio::spawn(async move { sqlx_ask(&mut connection, count / CONNECTIONS).await })
    });
    for task in join_all(tasks).await {
        task.expect("no panic");
    }
    watch.stop()
}
