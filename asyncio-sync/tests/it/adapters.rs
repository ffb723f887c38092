//! A queue as a stream and as a sink.

use asyncio_core::{Result, create_task};
use asyncio_sync::{Queue, QueueShutDown};
use futures::{SinkExt, StreamExt, TryStreamExt};

use crate::support::{fails_with, is_cancelled, run_virtual, turns};

#[test]
fn a_stream_ends_when_the_queue_is_shut_down_and_empty() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(2);
        let theirs = queue.clone();
        let feeder = create_task(async move {
            for item in 0..5 {
                theirs.put(item).await?;
            }
            theirs.shutdown(false);
            Ok(())
        });
        assert_eq!(
            queue.items().try_collect::<Vec<_>>().await?,
            [0, 1, 2, 3, 4]
        );
        feeder.await?;
        assert!(queue.items().next().await.is_none());
        Ok(())
    })
}

#[test]
fn a_stream_yields_a_cancellation_and_goes_on() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let theirs = queue.clone();
        let task = create_task(async move {
            let mut items = theirs.items();
            assert!(items.next().await.is_some_and(is_cancelled));
            Ok(items.try_next().await?)
        });
        turns(1).await?;
        task.cancel();
        turns(1).await?;
        queue.put_nowait("after")?;
        assert_eq!(task.await?, Some("after"));
        Ok(())
    })
}

#[test]
fn a_sink_waits_for_room_and_keeps_what_it_could_not_put() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let theirs = queue.clone();
        let sender = create_task(async move {
            let mut sink = theirs.sink();
            for item in 0..3 {
                sink.send(item).await?;
            }
            sink.close().await
        });
        turns(1).await?;
        assert!(!sender.done() && queue.full());
        assert_eq!(
            [queue.get().await?, queue.get().await?, queue.get().await?],
            [0, 1, 2]
        );
        sender.await?;
        queue.shutdown(false);
        let mut sink = queue.sink();
        assert!(fails_with::<QueueShutDown>(sink.send(7).await));
        assert_eq!(sink.into_item(), Some(7));
        Ok(())
    })
}
