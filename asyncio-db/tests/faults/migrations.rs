//! The schema changes while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use asyncio_core::{Result, create_task, to_thread};
use asyncio_db::pg::create_pool;

use crate::support::{everywhere, scaled};

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
        for n in 0..scaled(25) {
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
        assert!(asked.load(Ordering::SeqCst) > 100);
        Ok(())
    })
}
