//! Futures of other libraries on the loop: they work, and they are cancelled.

use std::future::Future as _;
use std::net::TcpListener;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_core::{
    CancelledError, FutureExt as _, Result, Task, create_local_task, create_task, current_task,
    get_running_loop, run, sleep, timeout,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Alive, Counted, Log, cancel_message, comes_below, error_of, turns};

/// A client of reqwest's. Where another crate of the same build has reqwest's TLS, without a provider of
/// cryptography, no client can be made before there is one, be it never used.
fn http_client() -> reqwest::Client {
    // Refused where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Far longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);

/// Cancels a task that hangs in something foreign and checks that it ended at once and kept nothing.
async fn is_cancelled_at_once<F>(make: impl FnOnce(Counted) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    let alive = Alive::default();
    let task = create_local_task(make(alive.one()));
    // Real I/O needs real time to get as far as it gets.
    sleep(0.02).await?;
    assert!(!task.done());
    assert_eq!(alive.count(), 1);
    task.cancel_with_message("enough");
    turns(1).await?;
    assert!(task.cancelled(), "in the very next turn");
    assert_eq!(alive.count(), 0, "and what the future held is gone");
    let error = error_of(task.await);
    assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
    Ok(())
}

#[test]
fn a_task_in_a_tokio_timer_is_cancelled_at_once() -> Result<()> {
    run(is_cancelled_at_once(|held| async move {
        tokio::time::sleep(FOREVER).await;
        held.touch();
        Ok(())
    }))
}

#[test]
fn a_task_in_a_socket_read_is_cancelled_at_once() -> Result<()> {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        is_cancelled_at_once(move |held| async move {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            let mut buffer = [0; 16];
            stream.read_exact(&mut buffer).await?;
            held.touch();
            Ok(())
        })
        .await?;
        // The client's end is closed: the server reads end-of-file.
        let (mut server, _) = listener.accept().await?;
        assert_eq!(server.read(&mut [0; 16]).await?, 0);
        Ok(())
    })
}

#[test]
fn a_task_in_a_channel_is_cancelled_at_once() -> Result<()> {
    run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u8>(1);
        is_cancelled_at_once(move |held| async move {
            receiver.recv().await;
            held.touch();
            Ok(())
        })
        .await?;
        assert!(sender.is_closed(), "the receiver was dropped");
        Ok(())
    })
}

#[test]
fn a_task_in_a_future_that_never_does_anything_is_cancelled_at_once() -> Result<()> {
    run(is_cancelled_at_once(|held| async move {
        std::future::pending::<()>().await;
        held.touch();
        Ok(())
    }))
}

#[test]
fn a_task_in_an_http_request_is_cancelled_at_once() -> Result<()> {
    // A server that accepts and never answers.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/never", listener.local_addr()?);
    run(is_cancelled_at_once(move |held| async move {
        http_client().get(url).send().await?;
        held.touch();
        Ok(())
    }))
}

/// A request is answered, so that the test above does not merely show that none ever is.
#[test]
fn an_http_request_is_answered_on_the_loop() -> Result<()> {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let server = create_task(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
                )
                .await?;
            Ok(head)
        });
        let client =
            create_task(async move { Ok(http_client().get(url).send().await?.text().await?) });
        assert_eq!(client.await?, "hello");
        assert!(server.await?.starts_with(b"GET / HTTP/1.1\r\n"));
        Ok(())
    })
}

#[test]
fn an_http_request_is_cancelled_where_it_is_cancellable_and_cleaned_up_after() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/never", listener.local_addr()?);
    run(async move {
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            let request = http_client().get(url).send();
            let Err(cancelled) = request.cancellable().await else {
                return Ok("answered");
            };
            theirs.add(cancelled.to_string());
            sleep(0.001).await?;
            theirs.add("cleaned up");
            Ok("gave up")
        });
        sleep(0.02).await?;
        task.cancel_with_message("too slow");
        assert_eq!(task.await?, "gave up");
        assert_eq!(log.take(), ["cancelled: too slow", "cleaned up"]);
        Ok(())
    })
}

#[test]
fn a_cancellable_future_drops_what_it_holds_before_the_error_is_seen() -> Result<()> {
    run(async {
        let alive = Alive::default();
        let (held, watched) = (alive.one(), alive.clone());
        let task = create_local_task(async move {
            let foreign = async move {
                tokio::time::sleep(FOREVER).await;
                held.touch();
            };
            let error = foreign.cancellable().await.expect_err("it is cancelled");
            assert_eq!(watched.count(), 0);
            Err::<(), _>(error.into())
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of((&task).await).is_cancelled());
        assert!(task.cancelled());
        Ok(())
    })
}

#[test]
fn a_cancellable_future_that_is_not_cancelled_gives_its_value() -> Result<()> {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        get_running_loop()?.call_later(0.001, move || {
            let _ = sender.send(7);
        })?;
        assert_eq!(receiver.cancellable().await??, 7);
        assert_eq!(async { 8 }.cancellable().await?, 8);
        Ok(())
    })
}

/// Ours inside takes the request itself: the wrapper is not in its way.
#[test]
fn a_leaf_of_ours_inside_a_cancellable_future_catches_for_itself() -> Result<()> {
    run(async {
        let task = create_task(async {
            let inner = async {
                assert!(sleep(100).await.is_err());
                tokio::time::sleep(Duration::from_millis(1)).await;
                "handled inside"
            };
            Ok(inner.cancellable().await?)
        });
        turns(1).await?;
        task.cancel();
        assert_eq!(task.await?, "handled inside");
        Ok(())
    })
}

#[test]
fn a_cancellable_future_is_cancelled_again_by_the_next_request() -> Result<()> {
    run(async {
        let task = create_task(async {
            let inner = async {
                assert!(sleep(100).await.is_err());
                tokio::time::sleep(FOREVER).await;
            };
            Ok(inner.cancellable().await?)
        });
        turns(1).await?;
        task.cancel_with_message("first");
        sleep(0.005).await?;
        assert!(!task.done());
        task.cancel_with_message("second");
        let error = error_of(task.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("second"));
        Ok(())
    })
}

#[test]
fn the_innermost_cancellable_scope_takes_the_request() -> Result<()> {
    run(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            let inner = async {
                let error = tokio::time::sleep(FOREVER).cancellable().await;
                theirs.add(format!("inner {}", error.is_err()));
                error
            };
            let outer = inner.cancellable().await;
            theirs.add(format!("outer {}", outer.is_err()));
            outer??;
            Ok(())
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(log.take(), ["inner true", "outer false"]);
        Ok(())
    })
}

#[test]
fn a_foreign_future_that_is_done_when_the_request_arrives_gives_its_value() -> Result<()> {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            theirs.add(format!("value {}", receiver.await?));
            sleep(0).await?;
            theirs.add("never");
            Ok(())
        });
        turns(1).await?;
        assert!(sender.send(7).is_ok());
        task.cancel_with_message("late");
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("late"));
        assert_eq!(log.take(), ["value 7"]);
        Ok(())
    })
}

/// `join(leaf, foreign)`: the leaf gets the error, and the foreign one is left to end by itself.
#[test]
fn in_a_join_the_leaf_gets_the_error_and_the_foreign_future_completes() -> Result<()> {
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let task = create_task(async move {
            let (leaf, foreign) = ::futures::join!(sleep(100), receiver);
            Ok((leaf.is_err_and(|error| error.is_cancelled()), foreign?))
        });
        turns(1).await?;
        task.cancel();
        turns(3).await?;
        assert!(!task.done(), "the foreign half still runs");
        assert!(sender.send("value").is_ok());
        assert_eq!(task.await?, (true, "value"));
        Ok(())
    })
}

#[test]
fn cancellable_futures_in_a_join_are_all_cancelled() -> Result<()> {
    run(async {
        for count in [1, 3, 40] {
            let alive = Alive::default();
            let held: Vec<Counted> = (0..count).map(|_| alive.one()).collect();
            let task = create_task(async move {
                let waits = held.into_iter().map(|held| {
                    async move {
                        tokio::time::sleep(FOREVER).await;
                        held.touch();
                    }
                    .cancellable()
                });
                let results = ::futures::future::join_all(waits).await;
                Ok(results.into_iter().filter(Result::is_err).count())
            });
            turns(2).await?;
            task.cancel();
            assert_eq!(task.await?, count);
            assert_eq!(alive.count(), 0);
        }
        Ok(())
    })
}

#[test]
fn leaves_and_foreign_futures_in_futures_unordered_each_get_what_is_theirs() -> Result<()> {
    use ::futures::StreamExt as _;
    use ::futures::future::BoxFuture;
    run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            let futures: Vec<BoxFuture<'static, String>> = vec![
                Box::pin(async { format!("leaf {}", sleep(100).await.is_err()) }),
                Box::pin(async move { format!("foreign {}", receiver.await.is_ok()) }),
                Box::pin(async {
                    let wait = tokio::time::sleep(FOREVER).cancellable();
                    format!("cancellable {}", wait.await.is_err())
                }),
            ];
            let mut pending: ::futures::stream::FuturesUnordered<_> = futures.into_iter().collect();
            while let Some(entry) = pending.next().await {
                theirs.add(entry);
            }
            Ok(())
        });
        turns(2).await?;
        task.cancel();
        turns(2).await?;
        let mut first = log.take();
        first.sort();
        assert_eq!(first, ["cancellable true", "leaf true"]);
        assert!(sender.send(()).is_ok());
        task.await?;
        assert_eq!(log.take(), ["foreign true"]);
        Ok(())
    })
}

#[test]
fn a_join_of_only_foreign_futures_is_dropped_with_its_task() -> Result<()> {
    run(is_cancelled_at_once(|held| async move {
        let waits = (0..40).map(|_| tokio::time::sleep(FOREVER));
        ::futures::future::join_all(waits).await;
        held.touch();
        Ok(())
    }))
}

#[test]
fn a_select_between_a_leaf_and_a_foreign_future_ends_with_the_error() -> Result<()> {
    run(async {
        let task = create_task(async {
            tokio::select! {
                () = tokio::time::sleep(FOREVER) => Ok("foreign"),
                result = sleep(100) => result.map(|()| "leaf"),
            }
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        let task = create_task(async {
            use ::futures::FutureExt as _;
            let mut foreign = Box::pin(tokio::time::sleep(FOREVER)).fuse();
            ::futures::select! {
                () = foreign => Ok("foreign"),
                result = sleep(100).fuse() => result.map(|()| "leaf"),
            }
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

/// A leaf that was polled once and set aside is not what the task waits for now.
#[test]
fn a_leaf_that_was_set_aside_does_not_swallow_the_request() -> Result<()> {
    run(is_cancelled_at_once(|held| async move {
        let mut aside = pin!(sleep(100));
        assert!(::futures::poll!(&mut aside).is_pending());
        tokio::time::sleep(FOREVER).await;
        held.touch();
        aside.await
    }))?;
    run(is_cancelled_at_once(|held| async move {
        let mut aside = get_running_loop()?.create_future::<()>();
        assert!(::futures::poll!(&mut aside).is_pending());
        tokio::time::sleep(FOREVER).await;
        held.touch();
        aside.await
    }))?;
    run(is_cancelled_at_once(|held| async move {
        let mut aside = pin!(sleep(0));
        assert!(::futures::poll!(&mut aside).is_pending());
        std::future::pending::<()>().await;
        held.touch();
        aside.await
    }))
}

#[test]
fn a_leaf_that_was_polled_and_dropped_does_not_swallow_the_request() -> Result<()> {
    run(is_cancelled_at_once(|held| async move {
        assert!(::futures::poll!(pin!(sleep(100))).is_pending());
        std::future::pending::<()>().await;
        held.touch();
        Ok(())
    }))
}

#[test]
fn a_task_that_cancels_itself_in_a_foreign_future_is_cancelled() -> Result<()> {
    run(async {
        let task = create_task(async {
            current_task().expect("a task").cancel();
            std::future::pending::<()>().await;
            Ok(())
        });
        turns(2).await?;
        assert!(task.cancelled());
        Ok(())
    })
}

#[test]
fn a_task_that_is_awaited_by_a_cancelled_one_is_cancelled_in_its_foreign_future() -> Result<()> {
    run(async {
        let alive = Alive::default();
        let held = alive.one();
        let inner = create_task(async move {
            tokio::time::sleep(FOREVER).await;
            held.touch();
            Ok(())
        });
        let awaited = inner.clone();
        let outer = create_task(async move { awaited.await });
        turns(2).await?;
        outer.cancel();
        assert!(error_of(outer.await).is_cancelled());
        assert!(inner.cancelled());
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}

#[test]
fn tokio_sockets_work_on_the_loop() -> Result<()> {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = create_task(async move {
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().await?;
                drop(create_task(async move {
                    let mut buffer = [0; 1024];
                    loop {
                        let count = stream.read(&mut buffer).await?;
                        if count == 0 {
                            return Ok(());
                        }
                        stream.write_all(&buffer[..count]).await?;
                    }
                }));
            }
            Ok(())
        });
        let clients: Vec<Task<Vec<u8>>> = (0..3_u8)
            .map(|name| {
                create_task(async move {
                    let mut stream = tokio::net::TcpStream::connect(address).await?;
                    let sent = vec![name; 100_000];
                    let (mut reader, mut writer) = stream.split();
                    let mut back = vec![0; sent.len()];
                    let (wrote, read) =
                        ::futures::join!(writer.write_all(&sent), reader.read_exact(&mut back));
                    wrote?;
                    read?;
                    Ok(back)
                })
            })
            .collect();
        for (name, client) in (0..).zip(clients) {
            assert_eq!(client.await?, vec![name; 100_000]);
        }
        server.await
    })
}

#[test]
fn tokio_tasks_and_blocking_calls_work_on_the_loop() -> Result<()> {
    run(async {
        let spawned = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            21
        });
        let blocking = tokio::task::spawn_blocking(|| {
            std::thread::sleep(Duration::from_millis(1));
            21
        });
        assert_eq!(spawned.await? + blocking.await?, 42);
        Ok(())
    })
}

/// A tokio task on the loop's thread is no task of ours, but what it awaits works.
#[test]
fn our_futures_may_be_awaited_in_a_tokio_task() -> Result<()> {
    run(async {
        let future = get_running_loop()?.create_future();
        let (setter, task) = (future.clone(), create_task(async { sleep(0.001).await }));
        let spawned = tokio::spawn(async move {
            assert!(current_task().is_none());
            sleep(0.001).await?;
            sleep(0).await?;
            task.await?;
            create_task(async { Ok(()) }).await?;
            future.await
        });
        sleep(0.01).await?;
        setter.set_result(42)?;
        assert_eq!(spawned.await??, 42);
        Ok(())
    })
}

#[test]
fn a_sleep_that_is_given_up_in_a_tokio_task_leaves_no_timer_behind() -> Result<()> {
    let runner = asyncio_core::Runner::builder()
        .virtual_clock(true)
        .build()?;
    runner.run(async {
        let event_loop = get_running_loop()?;
        tokio::spawn(async {
            for _ in 0..3 {
                assert!(::futures::poll!(pin!(sleep(1000))).is_pending());
            }
        })
        .await?;
        // A timer that was left would have the idle loop's clock jump to 1000.
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(event_loop.time(), 0.0);
        // Polled over and over, it still ends once, at its time.
        let start = Instant::now();
        tokio::spawn(async {
            let mut sleep = pin!(sleep(0.02));
            for _ in 0..3 {
                assert!(::futures::poll!(&mut sleep).is_pending());
                tokio::task::yield_now().await;
            }
            sleep.await
        })
        .await??;
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(20), "{took:?}");
        Ok(())
    })?;
    runner.close()
}

#[test]
fn a_tokio_timer_beside_busy_tasks_is_not_late() -> Result<()> {
    let nap = || {
        run(async {
            for _ in 0..100 {
                // Cancelled when `run` ends.
                drop(create_task::<(), _>(async {
                    loop {
                        sleep(0).await?;
                    }
                }));
            }
            let start = Instant::now();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(start.elapsed() >= Duration::from_millis(20));
            Ok(start.elapsed())
        })
    };
    assert!(comes_below(Duration::from_millis(60), nap)?);
    Ok(())
}

#[test]
fn a_message_from_a_tokio_task_reaches_a_busy_loop() -> Result<()> {
    run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let busy: Task<()> = create_task(async {
            loop {
                sleep(0).await?;
            }
        });
        tokio::spawn(async move {
            for number in 0..100 {
                assert!(sender.send(number).is_ok());
                tokio::task::yield_now().await;
            }
        });
        for number in 0..100 {
            assert_eq!(receiver.recv().await, Some(number));
        }
        busy.cancel();
        Ok::<(), asyncio_core::Exception>(())
    })
}

#[test]
fn half_polled_futures_may_be_dropped_at_any_time() -> Result<()> {
    run(async {
        let alive = Alive::default();
        let future = get_running_loop()?.create_future::<Counted>();
        let task = create_task(async { sleep(1000).await });
        for _ in 0..100 {
            let held = alive.one();
            let mut futures: Vec<::futures::future::LocalBoxFuture<'static, ()>> = vec![
                Box::pin(async {
                    let _ = sleep(1000).await;
                }),
                Box::pin(async {
                    let _ = sleep(0).await;
                }),
                {
                    let future = future.clone();
                    Box::pin(async move {
                        let _ = future.await;
                    })
                },
                {
                    let task = task.clone();
                    Box::pin(async move {
                        let _ = task.await;
                    })
                },
                Box::pin(async move {
                    let _ = std::future::pending::<()>().cancellable().await;
                    held.touch();
                }),
            ];
            for future in &mut futures {
                assert!(::futures::poll!(future).is_pending());
            }
            drop(futures.remove(2));
            futures.reverse();
        }
        assert_eq!(alive.count(), 0);
        future.set_result(alive.one())?;
        drop(future);
        assert_eq!(alive.count(), 0);
        assert!(!task.done());
        task.cancel();
        Ok(())
    })
}

/// A future that was polled in one task may be awaited in another.
#[test]
fn a_wait_may_move_from_task_to_task() -> Result<()> {
    crate::support::run_virtual(async {
        let event_loop = get_running_loop()?;
        let mut nap = Box::pin(sleep(30));
        let mut future = event_loop.create_future();
        let mut foreign = Box::pin(std::future::pending::<()>().cancellable());
        assert!(::futures::poll!(&mut nap).is_pending());
        assert!(::futures::poll!(&mut future).is_pending());
        assert!(::futures::poll!(&mut foreign).is_pending());
        sleep(10).await?;
        let (setter, clock) = (future.clone(), event_loop.clone());
        let second = create_local_task(async move {
            nap.await?;
            let woke = clock.time();
            let value = future.await?;
            Ok((woke, value, foreign.await.is_err()))
        });
        sleep(30).await?;
        setter.set_result(5)?;
        turns(2).await?;
        second.cancel();
        assert_eq!(
            second.await?,
            (30.0, 5, true),
            "it went on, it did not start again"
        );
        assert_eq!(current_task().map(|task| task.cancelling()), Some(0));
        Ok(())
    })
}

#[test]
fn a_cancellable_future_that_is_over_says_so_when_polled_again() -> Result<()> {
    run(async {
        let mut over = pin!(async { 1 }.cancellable());
        assert_eq!((&mut over).await?, 1);
        let again: Result<i32, CancelledError> = over.await;
        assert!(again.is_err());
        Ok(())
    })
}

/// The loop's own futures work under an executor that is not tokio's as well.
#[test]
fn a_cancellable_future_works_where_no_loop_runs() {
    let value = ::futures::executor::block_on(async { 3 }.cancellable());
    assert_eq!(value, Ok(3));
}

/// A foreign future that begins a wait of ours anew in each poll must not be in the way for ever.
#[test]
fn a_future_that_begins_a_leaf_in_each_poll_is_cancelled() -> Result<()> {
    run(async {
        let task = create_task(async {
            std::future::poll_fn(|cx| {
                let mut fresh = pin!(sleep(1000));
                let _ = fresh.as_mut().poll(cx);
                Poll::<()>::Pending
            })
            .await;
            Ok(())
        });
        turns(1).await?;
        task.cancel();
        turns(5).await?;
        assert!(task.cancelled());
        Ok(())
    })
}

/// Who has caught the error may await something foreign in that same step: the request was answered.
#[test]
fn what_begins_after_the_error_was_caught_is_not_cancelled_by_it() -> Result<()> {
    run(async {
        let task = create_task(async {
            let caught = sleep(1000).await;
            assert!(caught.is_err());
            tokio::time::sleep(Duration::from_millis(1))
                .cancellable()
                .await?;
            let caught = timeout(0.001, sleep(1000)).await;
            assert!(caught.is_err());
            let foreign = async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok("waited")
            };
            timeout(10, foreign).await
        });
        turns(1).await?;
        task.cancel();
        assert_eq!(task.await?, "waited");
        Ok(())
    })
}
