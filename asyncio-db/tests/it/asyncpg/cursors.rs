//! asyncpg's `test_cursor.py`.

use asyncio_core::{Result, RuntimeError};
use asyncio_db::pg::{Connection, InterfaceError};

use crate::support::{error_of, everywhere};

const NUMBERS: &str = "SELECT generate_series(0, 20)";

async fn numbers(connection: &mut Connection, prefetch: u16) -> Result<Vec<i32>> {
    let mut transaction = connection.transaction().await?;
    let mut cursor = transaction.cursor(NUMBERS, ()).prefetch(prefetch).await?;
    let mut all = Vec::new();
    while let Some(row) = cursor.next().await? {
        all.push(row.get(0)?);
    }
    assert!(cursor.next().await?.is_none());
    drop(cursor);
    transaction.commit().await?;
    Ok(all)
}

/// `test_cursor_iterable_01`, `test_cursor_iterable_05`: whatever is fetched ahead.
#[test]
fn a_cursor_gives_all_rows() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let all: Vec<i32> = (0..=20).collect();
        for prefetch in [0, 1, 2, 7, 20, 21, 22, 1000] {
            assert_eq!(numbers(&mut connection, prefetch).await?, all);
        }
        Ok(())
    })
}

/// `test_cursor_iterable_02`, `test_cursor_02`: without a transaction there is none.
#[test]
fn a_cursor_without_a_transaction_is_refused() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        error_of::<InterfaceError>(connection.cursor(NUMBERS, ()).await);
        let statement = connection.prepare(NUMBERS).await?;
        error_of::<InterfaceError>(connection.cursor(&statement, ()).await);
        Ok(())
    })
}

/// `test_cursor_iterable_03`: what goes wrong in the loop leaves nothing.
#[test]
fn an_error_between_two_rows_ends_it() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let outcome: Result<()> = async {
            let mut transaction = connection.transaction().await?;
            let mut cursor = transaction.cursor(NUMBERS, ()).prefetch(2).await?;
            while let Some(row) = cursor.next().await? {
                if row.get::<i32>(0)? == 3 {
                    return Err(RuntimeError::new("in the middle").into());
                }
            }
            Ok(())
        }
        .await;
        error_of::<RuntimeError>(outcome);
        let query = "SELECT count(*) FROM pg_cursors WHERE statement NOT LIKE '%pg_cursors%'";
        assert_eq!(connection.fetchval(query, ()).await?, Some(0_i64));
        assert!(!connection.is_in_transaction());
        Ok(())
    })
}

/// `test_cursor_iterable_04`: two at a time.
#[test]
fn cursors_do_not_get_in_each_others_way() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut transaction = connection.transaction().await?;
        let mut outer = transaction.cursor(NUMBERS, ()).prefetch(5).await?;
        let mut sum = 0;
        while let Some(row) = outer.next().await? {
            let limit: i32 = row.get(0)?;
            let mut inner = outer
                .connection()
                .cursor("SELECT generate_series(1, $1::int)", (limit,))
                .await?;
            while let Some(row) = inner.next().await? {
                sum += row.get::<i32>(0)?;
            }
        }
        assert_eq!(sum, 1540);
        Ok(())
    })
}

/// `test_cursor_iterable_06`: of a statement that was prepared.
#[test]
fn a_cursor_may_be_of_a_statement() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let statement = connection
            .prepare("SELECT generate_series(0, $1::int)")
            .await?;
        for limit in [3, 50] {
            let mut transaction = connection.transaction().await?;
            let mut cursor = transaction.cursor(&statement, (limit,)).await?;
            let mut count = 0;
            while cursor.next().await?.is_some() {
                count += 1;
            }
            assert_eq!(count, limit + 1);
        }
        Ok(())
    })
}

/// `test_cursor_01`: `forward`, `fetch` and `fetchrow`.
#[test]
fn a_cursor_goes_forward() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut transaction = connection.transaction().await?;
        let mut cursor = transaction.cursor(NUMBERS, ()).await?;
        assert_eq!(cursor.forward(2).await?, 2);
        let rows = cursor.fetch(3).await?;
        let rows: Vec<i32> = rows.iter().map(|row| row.get(0)).collect::<Result<_>>()?;
        assert_eq!(rows, [2, 3, 4]);
        let row = cursor.fetchrow().await?.expect("there is one");
        assert_eq!(row.get::<i32>(0)?, 5);
        assert_eq!(cursor.forward(1000).await?, 15);
        assert!(cursor.fetchrow().await?.is_none());
        assert!(cursor.fetch(5).await?.is_empty());
        assert_eq!(cursor.forward(1).await?, 0);
        Ok(())
    })
}

/// `test_cursor_03`, `test_cursor_04`: those that nobody needs any more are closed.
#[test]
fn cursors_are_closed_when_they_go() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut transaction = connection.transaction().await?;
        for _ in 0..5 {
            let mut cursor = transaction.cursor(NUMBERS, ()).prefetch(1).await?;
            assert!(cursor.next().await?.is_some());
        }
        let query = "SELECT count(*) FROM pg_cursors WHERE statement LIKE '%generate_series%'
                     AND statement NOT LIKE '%pg_cursors%'";
        transaction.fetchval::<i64>(query, ()).await?;
        assert_eq!(transaction.fetchval(query, ()).await?, Some(0_i64));
        Ok(())
    })
}
