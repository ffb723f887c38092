//! Tasks on tokio runtimes with several threads, ours and not ours: everything that holds on a loop but
//! the order. What may only happen there is in `tokio_races`, combinators are in `tokio_combinators`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use asyncio_core::{
    CancelledError, Context, ContextVar, Exception, Future, FutureExt as _, InvalidStateError,
    PanicError, Result, RuntimeError, Task, ValueError, all_tasks, create_local_task, create_task,
    current_task, ensure_future, sleep, task_group, timeout, to_thread, try_all_tasks,
    try_create_task, wrap_future,
};

use crate::support::{
    Alive, begun, cancel_message, error_of, fails_with, on_many_threads, on_tokio, until,
};

/// Far longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);

/// What happened, in order, on whichever threads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, entry: &'static str) {
        self.0.lock().expect("not poisoned").push(entry);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

#[test]
fn a_task_gives_its_value_or_its_error() -> Result<()> {
    on_many_threads(|| async {
        assert_eq!(create_task(async { Ok(7) }).await?, 7);
        let slow = create_task(async {
            sleep(0.001).await?;
            Ok("slow")
        });
        assert_eq!(slow.await?, "slow");
        let odd: Task<()> = create_task(async { Err(ValueError::new("odd").into()) });
        let error = error_of(odd.await);
        assert!(error.is::<ValueError>() && error.to_string() == "odd");
        assert_eq!(try_create_task(async { Ok(1) })?.await?, 1);
        assert_eq!(ensure_future(async { Ok(2) }).await?, 2);
        Ok(())
    })
}

#[test]
fn several_await_one_task() -> Result<()> {
    on_many_threads(|| async {
        let slow = create_task(async {
            sleep(0.005).await?;
            Ok("shared".to_owned())
        });
        let waits: Vec<Task<String>> = (0..20)
            .map(|_| {
                let slow = slow.clone();
                create_task(async move { slow.await })
            })
            .collect();
        for wait in waits {
            assert_eq!(wait.await?, "shared");
        }
        assert_eq!(
            (slow.result()?, (&slow).await?),
            ("shared".into(), "shared".into())
        );
        // And one that fails: each of them has the error.
        let fails: Task<()> = create_task(async {
            sleep(0.002).await?;
            Err(ValueError::new("odd").into())
        });
        let waits = [(); 5].map(|()| create_task(fails.clone()));
        for wait in waits {
            assert!(fails_with::<ValueError, _>(wait.await));
        }
        Ok(())
    })
}

#[test]
fn a_value_that_is_not_clone_is_had_once() -> Result<()> {
    struct Once(u8);
    on_many_threads(|| async {
        let task = create_task(async { Ok(Once(7)) });
        until(|| task.done()).await?;
        assert_eq!(task.await?.0, 7);
        Ok(())
    })
}

#[test]
fn the_request_and_its_message_arrive_at_the_await() -> Result<()> {
    on_many_threads(|| async {
        let task: Task<()> = begun(|| async { sleep(3600).await }).await?;
        assert_eq!((task.cancelling(), task.cancelled()), (0, false));
        assert!(task.cancel_with_message("enough"));
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
        assert!(task.cancelled() && task.done() && !task.cancel());
        assert_eq!(task.cancelling(), 1);
        assert!(fails_with::<CancelledError, _>(task.result()));
        Ok(())
    })
}

#[test]
fn clean_up_may_await_and_the_error_goes_on() -> Result<()> {
    on_many_threads(|| async {
        let log = Log::default();
        let theirs = log.clone();
        let task: Task<()> = begun(|| async move {
            let slept = sleep(3600).await;
            theirs.add("cancelled");
            sleep(0.002).await?;
            let there = to_thread(|| Ok(())).await;
            theirs.add(if there.is_ok() { "cleaned up" } else { "not" });
            slept
        })
        .await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(log.take(), ["cancelled", "cleaned up"]);
        Ok(())
    })
}

#[test]
fn who_catches_and_goes_on_has_refused() -> Result<()> {
    on_many_threads(|| async {
        let task = begun(|| async {
            let me = current_task().expect("a task");
            let refused = sleep(3600).await.is_err();
            let before = me.cancelling();
            let after = me.uncancel();
            sleep(0.001).await?;
            Ok((refused, before, after, me.cancelling()))
        })
        .await?;
        assert!(task.cancel());
        assert_eq!((&task).await?, (true, 1, 0, 0));
        assert!(!task.cancelled());
        Ok(())
    })
}

#[test]
fn a_task_that_is_cancelled_before_its_first_step_never_begins() -> Result<()> {
    // One thread, which is ours until the next await.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let alive = Alive::default();
        let held = alive.one();
        let task: Task<()> = create_task(async move {
            held.touch();
            panic!("never begins")
        });
        assert!(task.cancel_with_message("not today"));
        let error = error_of(task.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("not today"));
        assert_eq!(alive.count(), 0);
        Ok::<(), Exception>(())
    })?;
    // On several it may have begun, and ends cancelled all the same.
    on_many_threads(|| async {
        let alive = Alive::default();
        for _ in 0..500 {
            let held = alive.one();
            let task: Task<()> = create_task(async move {
                sleep(3600).await?;
                held.touch();
                Ok(())
            });
            assert!(task.cancel());
            assert!(error_of(task.await).is_cancelled());
        }
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}

#[test]
fn a_task_that_cancels_itself_finds_it_at_its_next_await() -> Result<()> {
    on_many_threads(|| async {
        let log = Log::default();
        let theirs = log.clone();
        let task: Task<()> = create_task(async move {
            current_task().expect("a task").cancel();
            theirs.add("goes on");
            let slept = sleep(0).await;
            theirs.add("at the next await");
            slept
        });
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(log.take(), ["goes on", "at the next await"]);
        // With no await left the value gives way.
        let task = create_task(async {
            current_task().expect("a task").cancel();
            Ok("lost")
        });
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

/// A request goes along a path of tasks to the innermost, and the error comes back the same way.
#[test]
fn a_request_goes_to_the_innermost_await() -> Result<()> {
    on_many_threads(|| async {
        let log = Log::default();
        let (first, second) = (log.clone(), log.clone());
        let inner: Task<()> = begun(|| async move {
            let slept = sleep(3600).await;
            first.add("inner");
            sleep(0.002).await?;
            slept
        })
        .await?;
        let awaited = inner.clone();
        let outer: Task<()> = begun(|| async move {
            let ended = awaited.await;
            second.add("outer");
            ended
        })
        .await?;
        sleep(0.005).await?;
        outer.cancel_with_message("enough");
        let error = error_of(outer.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
        assert!(inner.cancelled());
        assert_eq!(log.take(), ["inner", "outer"]);
        // Where the inner one refuses, the outer one never learns of it.
        let inner = begun(|| async {
            let _ = sleep(3600).await;
            sleep(0.001).await?;
            Ok("refused")
        })
        .await?;
        let outer = begun(|| inner).await?;
        sleep(0.005).await?;
        outer.cancel();
        assert_eq!(((&outer).await?, outer.cancelling()), ("refused", 1));
        Ok(())
    })
}

#[test]
fn paths_of_tasks_are_as_long_as_memory_lasts() -> Result<()> {
    for threads in [2, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_stack_size(256 * 1024)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let ended = handle.spawn(async {
            const LONG: usize = 20_000;
            for cancels in [false, true] {
                let (release, released) = tokio::sync::oneshot::channel::<()>();
                let mut last: Task<usize> = create_task(async move {
                    match released.cancellable().await {
                        Ok(_) => Ok(0),
                        Err(cancelled) => Err(cancelled.into()),
                    }
                });
                let waiting = Arc::new(AtomicUsize::new(0));
                for _ in 0..LONG {
                    let waiting = Arc::clone(&waiting);
                    last = create_task(async move {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        Ok(last.await? + 1)
                    });
                }
                until(|| waiting.load(Ordering::SeqCst) == LONG).await?;
                if cancels {
                    assert!(last.cancel());
                    assert!(error_of(last.await).is_cancelled());
                    assert!(release.is_closed());
                } else {
                    let _ = release.send(());
                    assert_eq!(last.await?, LONG);
                }
            }
            Ok::<(), Exception>(())
        });
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), ended).await })???;
    }
    Ok(())
}

#[test]
fn a_circle_of_tasks_ends_when_one_is_cancelled() -> Result<()> {
    on_many_threads(|| async {
        let (give, take) = tokio::sync::oneshot::channel::<Task<()>>();
        let first: Task<()> = create_task(async move { take.await?.await });
        let awaited = first.clone();
        let second: Task<()> = create_task(async move { awaited.await });
        let _ = give.send(second.clone());
        sleep(0.005).await?;
        assert!(first.cancel());
        assert!(error_of(first.await).is_cancelled());
        assert!(error_of(second.await).is_cancelled());
        // One that awaits itself is told so.
        let (give, take) = tokio::sync::oneshot::channel::<Task<()>>();
        let itself: Task<()> = create_task(async move { take.await?.await });
        let _ = give.send(itself.clone());
        assert!(fails_with::<RuntimeError, _>(itself.await));
        Ok(())
    })
}

#[test]
fn a_panic_is_the_exception_of_its_task() -> Result<()> {
    on_many_threads(|| async {
        let task: Task<()> = create_task(async { panic!("number {}", 3 + 4) });
        let error = error_of(task.await);
        assert!(error.is::<PanicError>());
        assert_eq!(error.to_string(), "task panicked: number 7");
        // Also in what is dropped with a coroutine.
        struct Bang;
        impl Drop for Bang {
            fn drop(&mut self) {
                assert!(thread::panicking(), "in a destructor");
            }
        }
        let task: Task<()> = begun(|| async {
            let _bang = Bang;
            std::future::pending().await
        })
        .await?;
        task.cancel();
        assert!(error_of(task.await).is_panic());
        Ok(())
    })
}

#[test]
fn foreign_futures_are_cancelled_where_they_stand() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let (first, second, third) = (alive.one(), alive.one(), alive.one());
        let tasks: [Task<()>; 3] = [
            begun(|| async move {
                tokio::time::sleep(FOREVER).await;
                first.touch();
                Ok(())
            })
            .await?,
            begun(|| async move {
                receiver.await?;
                second.touch();
                Ok(())
            })
            .await?,
            begun(|| async move {
                std::future::pending::<()>().await;
                third.touch();
                Ok(())
            })
            .await?,
        ];
        sleep(0.005).await?;
        assert_eq!(alive.count(), 3);
        for task in tasks {
            assert!(task.cancel());
            assert!(error_of(task.await).is_cancelled());
        }
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}

#[test]
fn a_cancellable_future_is_dropped_alone_and_the_error_caught() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let (held, watched) = (alive.one(), alive.clone());
        let task = begun(|| async move {
            let foreign = async move {
                tokio::time::sleep(FOREVER).await;
                held.touch();
            };
            let cancelled = foreign.cancellable().await.expect_err("it is cancelled");
            assert_eq!(watched.count(), 0);
            sleep(0.001).await?;
            Ok(cancelled.message().map(str::to_owned))
        })
        .await?;
        sleep(0.002).await?;
        task.cancel_with_message("enough");
        assert_eq!(task.await?.as_deref(), Some("enough"));
        assert_eq!(async { 3 }.cancellable().await?, 3);
        Ok(())
    })
}

/// Ours and foreign ones side by side, in one task.
#[test]
fn each_of_several_futures_in_one_task_gets_what_is_its_own() -> Result<()> {
    use ::futures::StreamExt as _;
    use ::futures::future::BoxFuture;
    on_many_threads(|| async {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let task = begun(|| async move {
            let futures: Vec<BoxFuture<'static, &str>> = vec![
                Box::pin(async { sleep(3600).await.map_or("ours", |()| "slept") }),
                Box::pin(async { receiver.await.map_or("lost", |()| "foreign") }),
                Box::pin(async {
                    let wait = tokio::time::sleep(FOREVER).cancellable();
                    wait.await.map_or("cancellable", |()| "slept")
                }),
            ];
            let pending: ::futures::stream::FuturesUnordered<_> = futures.into_iter().collect();
            Ok(pending.collect::<HashSet<_>>().await)
        })
        .await?;
        sleep(0.002).await?;
        task.cancel();
        sleep(0.005).await?;
        assert!(!task.done(), "the foreign one goes on");
        let _ = sender.send(());
        assert_eq!(
            task.await?,
            HashSet::from(["ours", "foreign", "cancellable"])
        );
        let task: Task<()> = begun(|| async {
            let (slept, _) = ::futures::join!(sleep(3600), sleep(3600));
            slept
        })
        .await?;
        sleep(0.002).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        let task = begun(|| async {
            tokio::select! {
                () = tokio::time::sleep(FOREVER) => Ok("foreign"),
                slept = sleep(3600) => slept.map(|()| "ours"),
            }
        })
        .await?;
        sleep(0.002).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

static USER: ContextVar<u32> = ContextVar::new("user");

/// A task goes from thread to thread, and its context goes with it.
#[test]
fn context_variables_stay_with_their_task() -> Result<()> {
    on_many_threads(|| async {
        let _ = USER.set(1000)?;
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let tasks: Vec<Task<()>> = (0..16)
            .map(|number| {
                let threads = Arc::clone(&threads);
                create_task(async move {
                    assert_eq!(USER.get(), Some(1000));
                    let _ = USER.set(number)?;
                    for _ in 0..50 {
                        sleep(0).await?;
                        assert_eq!(USER.get(), Some(number));
                        threads
                            .lock()
                            .expect("not poisoned")
                            .insert(thread::current().id());
                    }
                    let child = create_task(async { Ok(USER.get()) });
                    assert_eq!(child.await?, Some(number));
                    assert_eq!(to_thread(|| Ok(USER.get())).await?, Some(number));
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        assert_eq!(USER.get(), Some(1000));
        // One that is given is shared with who holds it.
        let context = Context::new();
        let sets = Task::builder().context(context.clone()).spawn(async {
            assert_eq!(USER.get(), None);
            USER.set(7).map(drop).map_err(Into::into)
        });
        sets.await?;
        assert_eq!(context.get(&USER), Some(7));
        Ok(())
    })
}

#[test]
fn tasks_know_themselves_and_have_names() -> Result<()> {
    on_tokio(|| async {
        let me = current_task().expect("a task");
        let task = Task::builder()
            .name("fetch")
            .spawn(async { Ok(current_task()) });
        assert_eq!(task.get_name(), "fetch");
        task.set_name("fetched");
        let handle = task.handle();
        assert_eq!(
            handle.as_ref().map(|handle| handle.get_name()).as_deref(),
            Some("fetched")
        );
        assert_eq!(task.await?, handle);
        assert_ne!(handle.as_ref(), Some(&me));
        assert_eq!(create_task(async { Ok(()) }).get_name(), "Task");
        let outside = tokio::spawn(async { current_task().is_none() });
        assert!(outside.await?);
        // Nobody counts on a runtime that is not ours.
        assert!(all_tasks().is_empty());
        assert!(fails_with::<RuntimeError, _>(try_all_tasks()));
        Ok(())
    })
}

#[test]
fn an_eager_task_runs_at_once_up_to_its_first_wait() -> Result<()> {
    on_many_threads(|| async {
        let here = thread::current().id();
        let eager = Task::builder().eager_start(true).spawn(async move {
            assert_eq!(thread::current().id(), here);
            let slept = sleep(3600).await;
            sleep(0.001).await?;
            slept
        });
        assert!(!eager.done());
        eager.cancel();
        assert!(error_of(eager.await).is_cancelled());
        let at_once = Task::builder().eager_start(true).spawn(async { Ok(7) });
        assert!(at_once.done());
        assert_eq!(at_once.await?, 7);
        Ok(())
    })
}

#[test]
fn done_callbacks_are_called_and_taken_back() -> Result<()> {
    on_many_threads(|| async {
        let (sender, receiver) = mpsc::channel();
        let (release, released) = tokio::sync::oneshot::channel();
        let task = begun(|| async { Ok(released.await?) }).await?;
        let first = sender.clone();
        task.add_done_callback(move |task| {
            let _ = first.send(task.result());
        });
        let never = sender.clone();
        let id = task.add_done_callback(move |_| drop(never.send(Ok(0))));
        assert_eq!(task.remove_done_callback(id), 1);
        assert_eq!(task.remove_done_callback(id), 0);
        // From other threads, before its end and after.
        let add = |sender: mpsc::Sender<Result<i32>>| {
            let theirs = task.clone();
            tokio::task::spawn_blocking(move || {
                theirs.add_done_callback(move |task| {
                    let _ = sender.send(task.result());
                });
            })
        };
        add(sender.clone()).await?;
        let _ = release.send(7);
        (&task).await?;
        add(sender).await?;
        let called = tokio::task::spawn_blocking(move || {
            let values = receiver.iter().map(|value| value.ok());
            values.collect::<Vec<_>>()
        });
        assert_eq!(called.await?, [Some(7); 3]);
        Ok(())
    })
}

#[test]
fn a_done_callback_runs_in_the_context_in_which_it_was_added() -> Result<()> {
    on_many_threads(|| async {
        let _ = USER.set(1)?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let task = begun(|| async { sleep(0.005).await }).await?;
        task.add_done_callback(move |_| {
            let _ = sender.send((USER.get(), current_task().is_none()));
        });
        let _ = USER.set(2)?;
        assert_eq!(receiver.await?, (Some(1), true));
        Ok(())
    })
}

#[test]
fn a_local_task_is_refused_and_says_so() -> Result<()> {
    let program = || async {
        let alive = Alive::default();
        let held = alive.one();
        let local: Task<()> = create_local_task(async move {
            held.touch();
            Ok(())
        });
        assert!(local.done() && alive.count() == 0);
        assert!(fails_with::<RuntimeError, _>((&local).await));
        let refused = task_group(async |group| {
            assert!(group.try_create_local_task(async { Ok(()) }).is_err());
            group.create_local_task(async { Ok(()) }).await
        })
        .await;
        let refused = error_of(refused);
        assert!(refused.as_group().is_some(), "{refused:?}");
        Ok(())
    };
    on_many_threads(program)?;
    // In a LocalSet as well: what is created there goes to the runtime.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        program().await?;
        let here = thread::current().id();
        let task = create_task(async move {
            sleep(0.001).await?;
            Ok(thread::current().id())
        });
        assert_eq!(task.await?, here);
        let theirs = tokio::task::spawn_local(async {
            let shared = std::rc::Rc::new(7);
            timeout(5, async {
                sleep(0.001).await?;
                Ok(*shared)
            })
            .await
        });
        assert_eq!(theirs.await??, 7);
        Ok(())
    })
}

#[test]
fn functions_in_threads_work_and_are_cancelled_while_they_wait() -> Result<()> {
    on_many_threads(|| async {
        let here = thread::current().id();
        let there = to_thread(|| Ok(thread::current().id())).await?;
        assert_ne!(there, here);
        let fails = to_thread(|| Err::<(), _>(ValueError::new("odd").into())).await;
        assert!(fails_with::<ValueError, _>(fails));
        let panics = to_thread::<(), _>(|| panic!("there")).await;
        assert!(error_of(panics).is_panic());
        let (entered, has_entered) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let task: Task<()> = create_task(to_thread(move || {
            let _ = entered.send(());
            let _ = released.recv();
            Ok(())
        }));
        let _ = has_entered.await;
        task.cancel();
        assert!(
            error_of(task.await).is_cancelled(),
            "the function is left alone"
        );
        drop(release);
        Ok(())
    })
}

#[test]
fn a_join_handle_is_wrapped() -> Result<()> {
    on_many_threads(|| async {
        let wrapped = wrap_future(tokio::spawn(async { 7 }));
        assert_eq!(wrapped.await?, 7);
        let panicked = wrap_future(tokio::spawn(async { panic!("there") }));
        assert!(fails_with::<tokio::task::JoinError, ()>(panicked.await));
        Ok(())
    })
}

/// A future that was made where no loop runs is set, awaited and cancelled on every thread.
#[test]
fn futures_are_set_from_other_tasks_and_threads() -> Result<()> {
    on_many_threads(|| async {
        let future: Future<u32> = Future::new();
        assert!(fails_with::<InvalidStateError, _>(future.result()));
        let waits = [(); 4].map(|()| create_task(future.clone()));
        let setter = future.clone();
        let sets = to_thread(move || {
            setter.set_result(7)?;
            Ok(setter.set_result(8).is_err())
        });
        assert!(sets.await?);
        for wait in waits {
            assert_eq!(wait.await?, 7);
        }
        assert_eq!(future.await?, 7);
        let failed: Future<()> = Future::default();
        failed.set_exception(ValueError::new("odd"))?;
        assert!(fails_with::<ValueError, _>(failed.await));
        // Cancelling who awaits it cancels it, and the other way round.
        let future: Future<()> = Future::new();
        let task = begun({
            let future = future.clone();
            || future
        })
        .await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled() && future.cancelled());
        let future: Future<()> = Future::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        future.add_done_callback(move |future| {
            let _ = sender.send(future.cancelled());
        });
        let task = create_task(future.clone());
        assert!(future.cancel_with_message("enough"));
        let error = error_of(task.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
        assert!(receiver.await?);
        Ok(())
    })
}
