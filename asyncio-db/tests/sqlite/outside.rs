//! In programs that are tokio's alone, and what may go from thread to thread.

use std::fmt::Debug;
use std::time::Duration;

use asyncio_db::sqlite::{
    Behavior, Connection, Cursor, IterDump, Params, Pool, PooledConnection, Row, SqliteError,
    Transaction, connect, create_pool,
};
use futures::TryStreamExt;

use crate::cancelling::ENDLESS;
use crate::support::Folder;

/// No event loop of ours, and no task of ours.
fn on_tokio_alone(threads: usize) {
    let folder = Folder::new();
    let path = folder.db();
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build(),
        _ => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    };
    let program = async move {
        let db = connect(&path).wal(true).await?;
        db.execute("create table t (i integer)", ()).await?;
        db.with_transaction(Behavior::Immediate, async |transaction| {
            transaction
                .executemany("insert into t values (?)", (0..100).map(|i| (i,)))
                .await?;
            Ok(())
        })
        .await?;
        let rows: Vec<Row> = db
            .execute("select i from t", ())
            .await?
            .try_collect()
            .await?;
        assert_eq!(rows.len(), 100);

        let late = tokio::time::timeout(Duration::from_millis(20), db.execute(ENDLESS, ())).await;
        assert!(late.is_err());
        let aborted = tokio::spawn({
            let db = connect(&path).await?;
            async move { db.execute(ENDLESS, ()).await.map(|_| ()) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        aborted.abort();
        assert!(aborted.await.is_err_and(|error| error.is_cancelled()));

        let pool = create_pool(&path).await?;
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let rows = pool
                        .read()
                        .await?
                        .execute_fetchall("select i from t", ())
                        .await?;
                    Ok::<_, asyncio_core::Exception>(rows.len())
                })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await??, 100);
        }
        pool.close().await?;
        db.close().await
    };
    runtime
        .expect("a runtime can be built")
        .block_on(program)
        .expect("it does not fail");
    folder.remove();
}

#[test]
fn on_a_runtime_with_one_thread() {
    on_tokio_alone(1);
}

#[test]
fn on_a_runtime_with_three_threads() {
    on_tokio_alone(3);
}

fn goes_anywhere<T: Send + Sync + Unpin + Debug>() {}
fn is_sent<T: Send + Unpin + Debug>() {}
fn sent<T: Send>(value: T) {
    drop(value);
}

#[test]
fn what_may_go_to_another_thread() {
    goes_anywhere::<Connection>();
    goes_anywhere::<Pool>();
    goes_anywhere::<PooledConnection>();
    goes_anywhere::<Transaction<'_>>();
    goes_anywhere::<Row>();
    goes_anywhere::<SqliteError>();
    is_sent::<Cursor>();
    is_sent::<IterDump>();
}

#[test]
fn the_futures_may_too() {
    async fn program(db: &Connection, parameters: impl Params) -> asyncio_core::Result<()> {
        db.execute("select 1", parameters).await?.fetchall().await?;
        let mut transaction = db.transaction(Behavior::Deferred).await?;
        transaction.transaction().await?.commit().await?;
        transaction.commit().await
    }
    fn check(db: &Connection) {
        sent(program(db, (1, "x")));
        sent(db.executemany("", [(1,)]));
        sent(db.backup(db).into_future());
        sent(db.close());
    }
    let _: fn(&Connection) = check;
}
