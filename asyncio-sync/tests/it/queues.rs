//! `Queue`, `PriorityQueue` and `LifoQueue` (`test_queues.py`).

use std::cell::Cell;
use std::fmt::Debug;
use std::pin::pin;
use std::rc::Rc;

use asyncio_core::{
    Result, Task, TimeoutError, ValueError, create_local_task, create_task, get_running_loop,
    wait_for,
};
use asyncio_sync::{Event, LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown};

use crate::support::{Log, fails_with, is_cancelled, poll_once, run_virtual, turns};

fn get<T: Send + 'static>(queue: &Queue<T>) -> Task<T> {
    let queue = queue.clone();
    create_task(async move { queue.get().await })
}

fn put<T: Send + 'static>(queue: &Queue<T>, item: T) -> Task<()> {
    let queue = queue.clone();
    create_task(async move { queue.put(item).await })
}

/// One queue of each order.
fn of_each_order<T: PartialOrd>(maxsize: isize) -> [Queue<T>; 3] {
    [
        Queue::new(maxsize),
        Queue::clone(&LifoQueue::new(maxsize)),
        Queue::clone(&PriorityQueue::new(maxsize)),
    ]
}

fn in_order<T: Debug>(queue: &Queue<T>) -> Result<Vec<T>> {
    (0..queue.qsize()).map(|_| queue.get_nowait()).collect()
}

/// `test_queues.QueueBasicTests.test_str`
#[test]
fn it_shows_its_items_and_who_waits() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        assert_eq!(queue.to_string(), "<Queue maxsize=0>");
        let getter = get(&queue);
        turns(1).await?;
        assert_eq!(queue.to_string(), "<Queue maxsize=0 _getters[1]>");
        queue.put_nowait(0)?;
        assert_eq!(getter.await?, 0);
        let queue = Queue::new(1);
        queue.put_nowait(1)?;
        let putter = put(&queue, 2);
        turns(1).await?;
        assert_eq!(
            queue.to_string(),
            "<Queue maxsize=1 _queue=[1] _putters[1] tasks=1>"
        );
        queue.get_nowait()?;
        putter.await?;
        let lifo = LifoQueue::new(3);
        lifo.put_nowait("a")?;
        assert_eq!(
            lifo.to_string(),
            "<LifoQueue maxsize=3 _queue=[\"a\"] tasks=1>"
        );
        assert_eq!(
            format!("{:?}", PriorityQueue::<u8>::default()),
            "<PriorityQueue maxsize=0>"
        );
        Ok(())
    })
}

/// `test_queues._QueueJoinTestMixin.test_format`,
/// `test_queues._QueueShutdownTestMixin.test_format`
#[test]
fn it_shows_what_is_unfinished_and_that_it_was_shut_down() -> Result<()> {
    for queue in of_each_order::<u8>(0) {
        queue.put_nowait(1)?;
        queue.put_nowait(2)?;
        in_order(&queue)?;
        assert!(queue.to_string().ends_with("Queue maxsize=0 tasks=2>"));
        queue.task_done()?;
        queue.task_done()?;
        queue.shutdown(false);
        assert!(queue.to_string().ends_with("Queue maxsize=0 shutdown>"));
    }
    Ok(())
}

/// `test_queues.QueueBasicTests.test_empty`,
/// `test_queues.QueueBasicTests.test_full`
#[test]
fn it_knows_whether_it_is_empty_or_full() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        assert!(queue.empty() && !queue.full());
        queue.put(1).await?;
        assert!(!queue.empty() && queue.full());
        assert_eq!(queue.get().await?, 1);
        assert!(queue.empty() && !queue.full());
        for unlimited in [0, -1] {
            let queue = Queue::new(unlimited);
            (0..1000).try_for_each(|item| queue.put_nowait(item))?;
            assert!(!queue.full());
            assert_eq!((queue.qsize(), queue.maxsize()), (1000, unlimited));
        }
        Ok(())
    })
}

/// `test_queues.QueueBasicTests.test_order`,
/// `test_queues.LifoQueueTests.test_order`,
/// `test_queues.PriorityQueueTests.test_order`
#[test]
fn each_kind_has_its_order() -> Result<()> {
    run_virtual(async {
        for (queue, order) in of_each_order(0)
            .iter()
            .zip([[1, 3, 2], [2, 3, 1], [1, 2, 3]])
        {
            for item in [1, 3, 2] {
                queue.put(item).await?;
            }
            assert_eq!(in_order(queue)?, order);
        }
        Ok(())
    })
}

/// `test_queues.QueueBasicTests.test_maxsize`
#[test]
fn put_waits_for_room() -> Result<()> {
    run_virtual(async {
        let (queue, log) = (Queue::new(2), Log::default());
        assert_eq!(queue.maxsize(), 2);
        let (theirs, done) = (queue.clone(), log.clone());
        let putter = create_local_task(async move {
            for item in 0..3 {
                theirs.put(item).await?;
                done.add(item);
            }
            Ok(())
        });
        turns(2).await?;
        assert_eq!(log.all(), [0, 1]);
        assert_eq!(queue.get().await?, 0);
        turns(1).await?;
        assert_eq!(log.all(), [0, 1, 2]);
        assert_eq!((queue.get().await?, queue.get().await?), (1, 2));
        assert!(putter.done());
        putter.await
    })
}

/// `test_queues.QueueGetTests.test_blocking_get`,
/// `test_queues.QueuePutTests.test_blocking_put`
#[test]
fn what_needs_no_wait_takes_no_turn() -> Result<()> {
    run_virtual(async {
        let (queue, passed) = (Queue::new(1), Log::default());
        let theirs = passed.clone();
        get_running_loop()?.call_soon(move || theirs.add(()))?;
        queue.put(1).await?;
        assert_eq!(queue.get().await?, 1);
        assert!(passed.all().is_empty());
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_get_with_putters`
#[test]
fn get_wakes_who_waits_to_put() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        queue.put(1).await?;
        let putter = put(&queue, 2);
        turns(1).await?;
        assert_eq!(queue.get().await?, 1);
        assert!(!putter.done());
        turns(1).await?;
        assert!(putter.done());
        assert_eq!(queue.get_nowait()?, 2);
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_blocking_get_wait`
#[test]
fn get_waits_for_an_item() -> Result<()> {
    run_virtual(async {
        let (queue, started) = (Queue::new(0), Event::new());
        let (theirs, starting) = (queue.clone(), started.clone());
        let getter = create_task(async move {
            starting.set();
            theirs.get().await
        });
        started.wait().await?;
        assert!(!getter.done());
        let theirs = queue.clone();
        get_running_loop()?.call_later(0.01, move || theirs.put_nowait(1))?;
        assert_eq!(getter.await?, 1);
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_nonblocking_get`,
/// `test_queues.QueueGetTests.test_nonblocking_get_exception`,
/// `test_queues.QueuePutTests.test_nonblocking_put`,
/// `test_queues.QueuePutTests.test_nonblocking_put_exception`
#[test]
fn the_calls_that_never_wait_fail_instead() -> Result<()> {
    let queue = Queue::new(1);
    assert!(fails_with::<QueueEmpty>(queue.get_nowait()));
    queue.put_nowait(1)?;
    assert!(fails_with::<QueueFull>(queue.put_nowait(2)));
    assert_eq!(queue.get_nowait()?, 1);
    Ok(())
}

/// `test_queues.QueueGetTests.test_get_cancelled_race`
#[test]
fn an_item_goes_to_the_next_when_a_getter_was_cancelled() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let (first, second) = (get(&queue), get(&queue));
        turns(1).await?;
        first.cancel();
        turns(1).await?;
        assert!(first.done());
        queue.put("a").await?;
        turns(1).await?;
        assert_eq!(second.await?, "a");
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_get_with_waiting_putters`
#[test]
fn getters_take_what_putters_wait_to_put() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let _putters = (put(&queue, "a"), put(&queue, "b"));
        assert_eq!((queue.get().await?, queue.get().await?), ("a", "b"));
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_why_are_getters_waiting`
#[test]
fn no_getter_waits_while_there_are_items() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let (theirs, consumed) = (queue.clone(), Log::default());
        let log = consumed.clone();
        let producer = create_local_task(async move {
            for item in 0..5 {
                theirs.put(item).await?;
            }
            Ok(())
        });
        let consumer = create_local_task(async move {
            for _ in 0..5 {
                log.add(queue.get().await?);
            }
            Ok(())
        });
        producer.await?;
        consumer.await?;
        assert_eq!(consumed.all(), [0, 1, 2, 3, 4]);
        Ok(())
    })
}

/// `test_queues.QueueGetTests.test_cancelled_getters_not_being_held_in_self_getters`,
/// `test_queues.QueuePutTests.test_cancelled_puts_not_being_held_in_self_putters`
#[test]
fn who_is_cancelled_leaves_the_line() -> Result<()> {
    run_virtual(async {
        let queue = Queue::<u8>::new(1);
        let theirs = queue.clone();
        let got = wait_for(async move { theirs.get().await }, 0.1).await;
        assert!(fails_with::<TimeoutError>(got));
        assert_eq!(queue.to_string(), "<Queue maxsize=1>");
        queue.put_nowait(1)?;
        let putter = put(&queue, 2);
        turns(1).await?;
        assert_eq!(
            queue.to_string(),
            "<Queue maxsize=1 _queue=[1] _putters[1] tasks=1>"
        );
        putter.cancel();
        assert!(is_cancelled(putter.await));
        assert_eq!(queue.to_string(), "<Queue maxsize=1 _queue=[1] tasks=1>");
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_blocking_put_wait`
#[test]
fn put_goes_on_when_an_item_was_taken() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let theirs = queue.clone();
        get_running_loop()?.call_later(0.01, move || theirs.get_nowait().map(drop))?;
        queue.put(1).await?;
        queue.put(2).await?;
        assert_eq!(get_running_loop()?.time(), 0.01);
        assert_eq!(queue.get_nowait()?, 2);
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_get_cancel_drop_one_pending_reader`
#[test]
fn a_getter_that_is_cancelled_after_it_was_woken_drops_no_item() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let reader = get(&queue);
        turns(1).await?;
        queue.put_nowait(1)?;
        queue.put_nowait(2)?;
        reader.cancel();
        assert!(is_cancelled(reader.await));
        assert_eq!(get(&queue).await?, 1);
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_get_cancel_drop_many_pending_readers`
#[test]
fn among_many_getters_the_others_get_the_items() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let [first, second, third] = [get(&queue), get(&queue), get(&queue)];
        turns(1).await?;
        queue.put_nowait(1)?;
        queue.put_nowait(2)?;
        first.cancel();
        assert!(is_cancelled(first.await));
        let mut got = [second.await?, third.await?];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_put_cancel_drop`,
/// `test_queues.QueuePutTests.test_cancelled_put_silence_value_error_exception`
#[test]
fn a_putter_that_is_cancelled_after_it_was_woken_puts_nothing() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        queue.put_nowait(1)?;
        let writer = put(&queue, 2);
        turns(1).await?;
        assert_eq!(queue.get_nowait()?, 1);
        writer.cancel();
        assert!(is_cancelled(writer.await));
        assert!(queue.empty());
        put(&queue, 3).await?;
        assert_eq!((queue.get_nowait()?, queue.qsize()), (3, 0));
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_put_cancelled`
#[test]
fn a_put_that_is_done_stays_done() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let task = put(&queue, 1);
        assert_eq!(queue.get().await?, 1);
        assert!(task.done() && !task.cancel());
        task.await
    })
}

/// `test_queues.QueuePutTests.test_put_cancelled_race`
#[test]
fn room_goes_to_the_next_when_a_putter_was_cancelled() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let [a, b, c] = ["a", "b", "X"].map(|item| put(&queue, item));
        turns(1).await?;
        assert!(a.done() && !b.done());
        c.cancel();
        turns(1).await?;
        assert!(c.done());
        assert_eq!(queue.get_nowait()?, "a");
        turns(1).await?;
        assert_eq!(queue.get_nowait()?, "b");
        b.await
    })
}

/// `test_queues.QueuePutTests.test_put_with_waiting_getters`
#[test]
fn put_wakes_who_waits_to_get() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(0);
        let getter = get(&queue);
        turns(1).await?;
        queue.put("a").await?;
        assert_eq!(getter.await?, "a");
        Ok(())
    })
}

/// `test_queues.QueuePutTests.test_why_are_putters_waiting`
#[test]
fn no_putter_waits_while_there_is_room() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(2);
        let theirs = queue.clone();
        let getter = create_task(async move {
            turns(1).await?;
            in_order(&theirs)?;
            Ok(())
        });
        let putters = [0, 1, 2, 3].map(|item| put(&queue, item));
        getter.await?;
        for putter in putters {
            putter.await?;
        }
        Ok(())
    })
}

/// `test_queues._QueueJoinTestMixin.test_task_done_underflow`
#[test]
fn what_was_not_put_cannot_be_done() {
    for queue in of_each_order::<u8>(0) {
        assert!(fails_with::<ValueError>(queue.task_done()));
    }
}

/// `test_queues._QueueJoinTestMixin.test_task_done`
#[test]
fn join_waits_until_all_items_are_done() -> Result<()> {
    run_virtual(async {
        for queue in of_each_order::<u32>(0) {
            (0..100).try_for_each(|item| queue.put_nowait(item))?;
            let sum = Rc::new(Cell::new(0));
            let workers = [(); 2].map(|()| {
                let (queue, sum) = (queue.clone(), Rc::clone(&sum));
                create_local_task::<(), _>(async move {
                    loop {
                        let item = queue.get().await?;
                        turns(1).await?;
                        sum.set(sum.get() + item);
                        queue.task_done()?;
                    }
                })
            });
            queue.join().await?;
            assert_eq!(sum.get(), (0..100).sum());
            queue.shutdown(false);
            for worker in workers {
                assert!(fails_with::<QueueShutDown>(worker.await));
            }
        }
        Ok(())
    })
}

/// `test_queues._QueueJoinTestMixin.test_join_empty_queue`
#[test]
fn to_join_an_empty_queue_takes_no_wait() -> Result<()> {
    run_virtual(async {
        for queue in of_each_order::<u8>(0) {
            queue.join().await?;
            queue.join().await?;
        }
        Ok(())
    })
}

async fn refuses_everything(queue: &Queue<&'static str>) {
    assert!(fails_with::<QueueShutDown>(queue.put("data").await));
    assert!(fails_with::<QueueShutDown>(queue.put_nowait("data")));
    assert!(fails_with::<QueueShutDown>(queue.get().await));
    assert!(fails_with::<QueueShutDown>(queue.get_nowait()));
}

/// `test_queues._QueueShutdownTestMixin.test_shutdown_empty`
#[test]
fn shutting_down_an_empty_queue_ends_all_waits() -> Result<()> {
    run_virtual(async {
        for queue in of_each_order(0) {
            let getter = get(&queue);
            turns(1).await?;
            queue.shutdown(false);
            assert_eq!(queue.qsize(), 0);
            queue.join().await?;
            turns(1).await?;
            assert!(getter.done());
            assert!(fails_with::<QueueShutDown>(getter.await));
            refuses_everything(&queue).await;
        }
        Ok(())
    })
}

/// `test_queues._QueueShutdownTestMixin.test_shutdown_nonempty`
#[test]
fn what_is_in_a_queue_when_it_is_shut_down_can_be_got() -> Result<()> {
    run_virtual(async {
        for queue in of_each_order(1) {
            queue.put_nowait("data")?;
            let theirs = queue.clone();
            let joiner = create_task(async move { Ok(theirs.join().await?) });
            let putter = put(&queue, "data2");
            turns(1).await?;
            assert!(!putter.done());
            queue.shutdown(false);
            assert_eq!(queue.qsize(), 1);
            turns(1).await?;
            assert!(fails_with::<QueueShutDown>(putter.await));
            assert_eq!(queue.get().await?, "data");
            turns(1).await?;
            assert!(!joiner.done());
            refuses_everything(&queue).await;
            queue.task_done()?;
            turns(1).await?;
            assert!(joiner.done());
            assert!(fails_with::<ValueError>(queue.task_done()));
        }
        Ok(())
    })
}

/// `test_queues._QueueShutdownTestMixin.test_shutdown_immediate`,
/// `test_queues._QueueShutdownTestMixin.test_shutdown_immediate_with_unfinished`
#[test]
fn an_immediate_shutdown_drops_what_is_in_the_queue() -> Result<()> {
    run_virtual(async {
        for (taken, queue) in [false, true]
            .into_iter()
            .flat_map(|taken| of_each_order(0).map(|queue| (taken, queue)))
        {
            queue.put_nowait("data")?;
            let theirs = queue.clone();
            let joiner = create_task(async move { Ok(theirs.join().await?) });
            if taken {
                queue.put_nowait("data")?;
                assert_eq!(queue.get().await?, "data");
            }
            queue.shutdown(true);
            assert_eq!(queue.qsize(), 0);
            turns(1).await?;
            assert_eq!(joiner.done(), !taken);
            refuses_everything(&queue).await;
            if taken {
                queue.task_done()?;
            }
            assert!(fails_with::<ValueError>(queue.task_done()));
            turns(1).await?;
            assert!(joiner.done());
        }
        Ok(())
    })
}

#[test]
fn who_is_dropped_after_it_was_woken_wakes_the_next() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        let mut first = Box::pin(queue.get());
        let mut second = pin!(queue.get());
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        queue.put_nowait(1)?;
        drop(first);
        assert!(poll_once(second.as_mut()).is_ready());
        queue.put_nowait(2)?;
        let mut third = Box::pin(queue.put(3));
        let mut fourth = pin!(queue.put(4));
        assert!(poll_once(third.as_mut()).is_pending());
        assert!(poll_once(fourth.as_mut()).is_pending());
        assert_eq!(queue.get_nowait()?, 2);
        drop(third);
        assert!(poll_once(fourth.as_mut()).is_ready());
        assert_eq!(queue.get_nowait()?, 4);
        Ok(())
    })
}

#[test]
fn an_item_that_was_not_put_can_be_had_back() -> Result<()> {
    run_virtual(async {
        let queue = Queue::new(1);
        queue.put_nowait("first".to_owned())?;
        let mut put = queue.put("second".to_owned());
        assert!(fails_with::<QueueFull>(put.nowait()));
        queue.shutdown(false);
        assert!(fails_with::<QueueShutDown>((&mut put).await));
        assert_eq!(put.into_item().as_deref(), Some("second"));
        let queue = Queue::new(1);
        let mut put = queue.put(1);
        put.nowait()?;
        assert_eq!(put.into_item(), None);
        Ok(())
    })
}

/// Both of the ways to use an item that runs code of its own when it is dropped.
#[test]
fn items_are_dropped_while_the_queue_can_be_used() -> Result<()> {
    struct Item(Queue<Self>);

    impl Drop for Item {
        fn drop(&mut self) {
            assert_eq!(self.0.qsize(), 0);
        }
    }

    let queue = Queue::new(0);
    queue.put_nowait(Item(queue.clone()))?;
    queue.shutdown(true);
    assert!(fails_with::<QueueShutDown>(
        queue.put_nowait(Item(queue.clone()))
    ));
    Ok(())
}

#[test]
fn a_comparison_that_panics_loses_no_item() -> Result<()> {
    #[derive(Debug, PartialEq)]
    struct Item(u32);

    impl PartialOrd for Item {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            assert!(self.0 != 13 && other.0 != 13, "no luck");
            self.0.partial_cmp(&other.0)
        }
    }

    let queue = PriorityQueue::new(0);
    for item in [5, 1] {
        queue.put_nowait(Item(item))?;
    }
    let theirs = queue.clone();
    let put = std::thread::spawn(move || theirs.put_nowait(Item(13)).is_ok()).join();
    assert!(put.is_err());
    assert_eq!(queue.qsize(), 3);
    Ok(())
}
