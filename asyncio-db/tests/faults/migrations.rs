//! The schema changes while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use asyncio_core::{Result, create_task, to_thread};
use asyncio_db::pg::{Connection, StatementNames, connect, create_pool};

use crate::support::{everywhere, extent, report};

/// A table gains and loses columns under load. Outside of transactions nobody hears of plans that fit no
/// longer.
#[test]
fn a_migration_under_load_is_not_noticed() -> Result<()> {
    everywhere(|cluster| async move {
        cluster.query(
            "DROP TABLE IF EXISTS changing; CREATE TABLE changing (id int, name text); \
             INSERT INTO changing SELECT n, 'name ' || n FROM generate_series(1, 50) n",
        )?;
        let pool = create_pool(cluster.dsn()).min_size(5).max_size(5).await?;
        let (over, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut workers = Vec::new();
        for worker in 0..10_i32 {
            let (pool, over, asked) = (pool.clone(), Arc::clone(&over), Arc::clone(&asked));
            workers.push(create_task(async move {
                let mut id = worker;
                // SeqCst: a test can afford it.
                while !over.load(Ordering::SeqCst) {
                    id = id % 50 + 1;
                    let row = pool
                        .fetchrow("SELECT * FROM changing WHERE id = $1", (id,))
                        .await?;
                    let row = row.expect("a row");
                    assert_eq!(row.get::<i32>("id")?, id);
                    assert_eq!(row.get::<String>("name")?, format!("name {id}"));
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }));
        }
        for n in 0..extent(25, 50) {
            let migrated = Arc::clone(&cluster);
            to_thread(move || {
                migrated.query(&format!(
                    "ALTER TABLE changing ADD COLUMN extra_{n} int DEFAULT {n}"
                ))?;
                let drop = format!("ALTER TABLE changing DROP COLUMN extra_{n}");
                Ok(migrated.query(&drop)?)
            })
            .await?;
        }
        over.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.await?;
        }
        let asked = asked.load(Ordering::SeqCst);
        assert!(asked > 100, "{asked}");
        report(
            "R10",
            format!(
                "{asked} queries while a table changed {} times, 0 errors",
                2 * extent(25, 50)
            ),
        );
        Ok(())
    })
}

/// What fails because a plan fits no longer does not fail for ever, in whatever way the query is asked.
#[test]
fn a_stale_plan_is_not_kept() -> Result<()> {
    everywhere(|cluster| async move {
        let mut connection = connect(cluster.dsn()).await?;
        for way in 0..4 {
            cluster.query("DROP TABLE IF EXISTS stale; CREATE TABLE stale AS SELECT 1 AS a")?;
            let mut ended = Vec::new();
            for round in 0..5 {
                if round == 1 {
                    cluster.query("ALTER TABLE stale ADD COLUMN b int")?;
                }
                ended.push(ask(&mut connection, way).await.is_ok());
            }
            // The first time after the change is not promised to be fine.
            assert!(
                ended[0] && ended[2] && ended[3] && ended[4],
                "{way}: {ended:?}"
            );
        }
        Ok(())
    })
}

async fn ask(connection: &mut Connection, way: u32) -> Result<()> {
    let query = format!("SELECT *, {way} FROM stale WHERE a = $1");
    match way {
        0 => drop(connection.fetchmany(&*query, [(1,), (2,)]).await?),
        1 => {
            let mut rows = connection.stream(&*query, (1,)).await?;
            while rows.next().await?.is_some() {}
        }
        2 => {
            let mut pipeline = connection.pipeline();
            pipeline.fetch(&*query, (1,));
            pipeline.run().await?;
        }
        _ => {
            let mut transaction = connection.transaction().await?;
            transaction.fetch(&*query, (1,)).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// A column is of another type, of the same length: no value is taken for one of the former type, whether
/// statements have names or not.
#[test]
fn no_value_is_taken_for_one_of_another_type() -> Result<()> {
    everywhere(|cluster| async move {
        for names in [
            StatementNames::Auto,
            StatementNames::Named,
            StatementNames::Unnamed,
        ] {
            let mut connection = connect(cluster.dsn()).statement_names(names).await?;
            cluster.query("DROP TABLE IF EXISTS stale; CREATE TABLE stale AS SELECT 1 AS a")?;
            let query = "SELECT a FROM stale WHERE $1";
            assert_eq!(connection.fetchval(query, (true,)).await?, Some(1));
            cluster.query("ALTER TABLE stale ALTER COLUMN a TYPE float4")?;
            assert_eq!(connection.fetchval(query, (true,)).await?, Some(1_f32));
            cluster.query("ALTER TABLE stale ALTER COLUMN a TYPE int4")?;
            let rows = connection.fetchmany(query, [(true,), (true,)]).await?;
            assert_eq!(rows[1].get::<i32>(0)?, 1, "{names:?}");
        }
        Ok(())
    })
}
