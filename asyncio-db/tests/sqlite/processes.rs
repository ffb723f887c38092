//! Processes that end without a word.
//!
//! The children are this test program again, which does one of the things below where the environment says
//! so.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, run, sleep};
use asyncio_db::sqlite::{Behavior, connect};

use crate::cancelling::ENDLESS;
use crate::support::{Folder, Numbers, scaled};

const ROLE: &str = "ASYNCIO_DB_TEST_ROLE";
const PATH: &str = "ASYNCIO_DB_TEST_PATH";

fn child(role: &str, path: &Path) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args(["--exact", "processes::is_a_child", "--nocapture"])
        .env(ROLE, role)
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()?)
}

/// Does nothing unless it is run by one of the tests below.
#[test]
fn is_a_child() -> Result<()> {
    let Ok(role) = std::env::var(ROLE) else {
        return Ok(());
    };
    let path = std::env::var(PATH)?;
    match role.as_str() {
        "forgets" => run(async {
            let db = connect(path).await?;
            db.execute("create table t (i)", ()).await?;
            std::mem::forget(db);
            Ok(())
        }),
        "forgets a statement" => run(async {
            let db = connect(path).await?;
            create_task(async move {
                db.execute(ENDLESS, ()).await?;
                Ok(())
            });
            sleep(0.05).await
        }),
        "leaves" => run(async {
            let db = connect(path).await?;
            let task = create_task(async move {
                db.execute(ENDLESS, ()).await?;
                Ok(())
            });
            sleep(0.05).await?;
            std::mem::forget(task);
            std::process::exit(0)
        }),
        "writes" => run(async {
            let db = connect(path).wal(true).await?;
            let mut out = std::io::stdout();
            for number in 1_i64.. {
                let transaction = db.transaction(Behavior::Immediate).await?;
                transaction
                    .execute("insert into t values (?)", (number,))
                    .await?;
                transaction
                    .execute("insert into u values (?)", (number,))
                    .await?;
                transaction.commit().await?;
                writeln!(out, "committed {number}")?;
                out.flush()?;
            }
            Ok(())
        }),
        other => panic!("no child {other}"),
    }
}

/// Row 20 of what users of aiosqlite complain about: there such a process hangs.
#[test]
fn a_process_that_forgets_to_close_exits() -> Result<()> {
    let folder = Folder::new();
    for role in ["forgets", "forgets a statement", "leaves"] {
        let path = folder.path().join(format!("{role}.db"));
        let mut child = child(role, &path)?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > Duration::from_secs(30) {
                child.kill()?;
                panic!("{role}: it hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{role}: {status}");
        assert!(path.exists(), "{role}: it has done nothing");
    }
    folder.remove();
    Ok(())
}

/// What was said to be committed is there after a kill, and what is there is whole.
#[test]
fn a_kill_loses_nothing_that_was_committed() -> Result<()> {
    let mut numbers = Numbers::new(3);
    for round in 0..scaled(2) {
        let folder = Folder::new();
        run({
            let path = folder.db();
            async move {
                let db = connect(path).wal(true).await?;
                db.executescript("create table t (i integer); create table u (i integer)")
                    .await?;
                db.close().await
            }
        })?;
        let mut child = child("writes", &folder.db())?;
        let output = child.stdout.take().expect("it has one");
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let said = lines.filter_map(|it| it.strip_prefix("committed ")?.parse::<i64>().ok());
            said.last()
        });
        let time = 100 + numbers.below(300) as u64;
        std::thread::sleep(Duration::from_millis(time));
        // That is SIGKILL.
        child.kill()?;
        child.wait()?;
        let said = reader.join().expect("no panic").unwrap_or(0);
        run({
            let path = folder.db();
            async move {
                let db = connect(path).await?;
                let sql = "select (select count(*) from t), (select max(i) from t), \
                    (select count(*) from u), (select max(i) from u)";
                let rows = db.execute_fetchall(sql, ()).await?;
                let (count, last, others, other) =
                    rows[0].decode::<(i64, Option<i64>, i64, Option<i64>)>()?;
                let last = last.unwrap_or(0);
                assert!(
                    last >= said,
                    "round {round}: {said} is lost, {last} is there"
                );
                assert!(
                    last <= said + 1,
                    "round {round}: what was not asked for is there"
                );
                assert_eq!((count, others), (last, last), "round {round}");
                assert_eq!(other.unwrap_or(0), last, "round {round}");
                let rows = db.execute_fetchall("pragma integrity_check", ()).await?;
                assert_eq!(rows[0].get_str(0)?, "ok");
                db.close().await
            }
        })?;
        folder.remove();
    }
    Ok(())
}
