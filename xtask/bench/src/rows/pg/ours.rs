//! Our side.

use std::hint::black_box;

use asyncio_core::{Result, create_task};
use asyncio_db::pg::{Connection, Pool, connect, create_pool};

use super::{
    BULK, CONNECTIONS, DEPTH, FETCH, GROUP, INSERT, POINT, ROWS, accounts, server, sevens, shares,
};
use crate::runtimes::{Measured, Stopwatch};

async fn connection() -> Result<Connection> {
    connect(server().dsn()).await
}

pub(super) async fn point(count: u32) -> Result<Measured> {
    let mut connection = connection().await?;
    ask(&mut connection, 1).await?;
    let watch = Stopwatch::start();
    ask(&mut connection, count).await?;
    Ok(watch.stop())
}

async fn ask(connection: &mut Connection, count: u32) -> Result<()> {
    for account in accounts(count) {
        let row = connection.fetchrow(POINT, (account,)).await?;
        black_box(row.expect("it is there").get::<i32>(0)?);
    }
    Ok(())
}

pub(super) async fn pipeline(count: u32) -> Result<Measured> {
    let mut connection = connection().await?;
    ask(&mut connection, 1).await?;
    let watch = Stopwatch::start();
    for share in shares(count, DEPTH) {
        let mut pipeline = connection.pipeline();
        let tickets: Vec<_> = accounts(share)
            .map(|account| pipeline.fetch(POINT, (account,)))
            .collect();
        let mut results = pipeline.run().await?;
        for ticket in tickets {
            black_box(results.take(ticket)?[0].get::<i32>(0)?);
        }
    }
    Ok(watch.stop())
}

pub(super) async fn fetch(count: u32) -> Result<Measured> {
    let mut connection = connection().await?;
    connection.fetch(FETCH, (1_i64,)).await?;
    let watch = Stopwatch::start();
    for share in shares(count, ROWS) {
        let rows = connection.fetch(FETCH, (i64::from(share),)).await?;
        for row in &rows {
            black_box((
                row.get::<i32>(0)?,
                row.get::<i64>(1)?,
                row.get::<f64>(2)?,
                row.get::<bool>(3)?,
                row.get::<&str>(4)?,
                row.get::<Option<&str>>(5)?,
            ));
        }
    }
    Ok(watch.stop())
}

pub(super) async fn executemany(count: u32) -> Result<Measured> {
    let mut connection = connection().await?;
    connection.execute(BULK, ()).await?;
    connection.executemany(INSERT, sevens(1)).await?;
    let watch = Stopwatch::start();
    for share in shares(count, GROUP) {
        connection.executemany(INSERT, sevens(share)).await?;
    }
    Ok(watch.stop())
}

async fn one_pool() -> Result<Pool> {
    create_pool(server().dsn()).min_size(1).await
}

pub(super) async fn pool(count: u32) -> Result<Measured> {
    let pool = one_pool().await?;
    ask(&mut *pool.acquire().await?, 1).await?;
    let watch = Stopwatch::start();
    for account in accounts(count) {
        let mut connection = pool.acquire().await?;
        let row = connection.fetchrow(POINT, (account,)).await?;
        black_box(row.expect("it is there").get::<i32>(0)?);
    }
    let measured = watch.stop();
    pool.close().await?;
    Ok(measured)
}

pub(super) async fn acquire(count: u32) -> Result<Measured> {
    let pool = one_pool().await?;
    let watch = Stopwatch::start();
    for _ in 0..count {
        drop(black_box(pool.acquire().await?));
    }
    let measured = watch.stop();
    pool.close().await?;
    Ok(measured)
}

pub(super) async fn ten(count: u32) -> Result<Measured> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = connection().await?;
        ask(&mut connection, 1).await?;
        connections.push(connection);
    }
    let watch = Stopwatch::start();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            create_task(async move { ask(&mut connection, count / CONNECTIONS).await })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(watch.stop())
}
