//! One failure cancels the siblings that still run, and surfaces as an `ExceptionGroup` for
//! `except_star!`.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

use crate::yes;

type Log = Arc<Mutex<Vec<String>>>;

async fn drill(hole: &str, pause: f64, rock: bool, log: Log) -> asyncio::Result<&str> {
    let note = |text: String| log.lock().unwrap().push(text);
    asyncio::sleep(pause)
        .await
        .inspect_err(|_| note(format!("hole {hole} abandoned")))?;
    if rock {
        return Err(asyncio::ValueError::new(format!("hole {hole} hit rock")).into());
    }
    note(format!("hole {hole} drilled"));
    Ok(hole)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let log = Log::default();
    let mut tasks = Vec::new();
    let outcome = asyncio::task_group(async |group| {
        for (hole, pause, rock) in [("A", 0.05, false), ("B", 0.3, true), ("C", 30.0, false)] {
            tasks.push(group.create_task(drill(hole, pause, rock, log.clone())));
        }
        Ok(())
    })
    .await;
    asyncio::except_star!(outcome, {
        asyncio::ValueError => |errors| {
            for error in errors.exceptions() {
                log.lock().unwrap().push(format!("caught {error}"));
            }
            Ok(())
        }
    })?;
    println!("{}", log.lock().unwrap().join("\n"));
    match tasks[0].result() {
        Err(error) if error.is_cancelled() => println!("A cancelled: yes"),
        result => println!("A cancelled: no, result {}", result?),
    }
    println!("C cancelled: {}", yes(tasks[2].cancelled()));
    Ok(())
}
