//! Listening while the server crashes.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::{Result, timeout, to_thread};
use asyncio_db::pg::{ListenerEvent, connect};
use asyncio_db::testing::StopMode;

use crate::support::{everywhere, extent};

/// Each crash is told as a gap, and nothing that is said after that is lost.
#[test]
fn a_listener_survives_crashes_and_marks_each() -> Result<()> {
    everywhere(|cluster| async move {
        let mut listener = connect(cluster.dsn()).listen(["news"]).await?;
        let mut longest = Duration::ZERO;
        for round in 0..extent(2, 20) {
            let restarted = Arc::clone(&cluster);
            to_thread(move || Ok(restarted.restart(StopMode::Immediate)?)).await?;
            let up = Instant::now();
            let event = timeout(60, listener.next()).await?;
            longest = longest.max(up.elapsed());
            assert_eq!(event, ListenerEvent::Reconnected, "in round {round}");
            let mut speaker = connect(cluster.dsn()).await?;
            for number in 0..50 {
                let said = format!("{round} {number}");
                speaker
                    .execute("SELECT pg_notify('news', $1)", (&said,))
                    .await?;
            }
            for number in 0..50 {
                let heard = timeout(60, listener.next()).await?.notification();
                let heard = heard.expect("nothing has gone");
                assert_eq!(heard.payload, format!("{round} {number}"));
            }
            speaker.close().await?;
        }
        // A figure for who reads along: how long it took at the most to listen again.
        let _ = writeln!(std::io::stderr(), "listening again within {longest:?}");
        listener.close().await
    })
}
