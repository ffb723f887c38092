//! `task_group`: CPython's `test_taskgroups` and what Rust adds; `scope`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_core::{
    Context, ContextVar, Exception, ExceptionGroup, KeyboardInterrupt, Result, RuntimeError,
    TaskGroupCancelled, ValueError, create_local_task, create_task, current_task, gather,
    get_running_loop, scope, sleep, task_group, timeout,
};

use crate::support::{Alive, run_virtual, turns};

fn fails<T>(message: &'static str) -> Result<T> {
    Err(ValueError::new(message).into())
}

/// The members of a group in text, or the error by itself.
fn members(error: &Exception) -> Vec<String> {
    match error.as_group() {
        Some(group) => group.exceptions().iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:?}")],
    }
}

fn cancelling() -> u32 {
    current_task().map_or(0, |task| task.cancelling())
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_01`.
#[test]
fn it_ends_when_its_tasks_have_ended() -> Result<()> {
    run_virtual(async {
        let (one, two) = task_group(async |group| {
            let one = group.create_task(async {
                sleep(1).await?;
                Ok(42)
            });
            let two = group.create_task(async {
                sleep(2).await?;
                Ok(11)
            });
            Ok((one, two))
        })
        .await?;
        assert_eq!(get_running_loop()?.time(), 2.0);
        assert_eq!((one.await?, two.await?), (42, 11));
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_04`: the function's own error cancels the tasks.
#[test]
fn an_error_of_the_function_cancels_the_tasks() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |group| {
            group.create_task(async { sleep(9).await });
            sleep(1).await?;
            fails::<()>("body")
        })
        .await
        .unwrap_err();
        assert_eq!(members(&error), ["body"]);
        assert_eq!((get_running_loop()?.time(), cancelling()), (1.0, 0));
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_05` and `_08`: errors in the order of their arrival.
#[test]
fn the_first_failure_cancels_all_others() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |group| {
            group.create_task(async {
                sleep(1).await?;
                fails::<()>("first")
            });
            group.create_task(async {
                let cancelled = sleep(9).await;
                assert!(cancelled.is_err_and(|error| error.is_cancelled()));
                fails::<()>("second")
            });
            sleep(9).await?;
            fails::<()>("never")
        })
        .await
        .unwrap_err();
        assert_eq!(members(&error), ["first", "second"]);
        assert_eq!((get_running_loop()?.time(), cancelling()), (1.0, 0));
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_06` and `_07`: cancelled from outside.
#[test]
fn a_cancellation_from_outside_reaches_the_tasks() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let held = alive.one();
        let outer = create_task(async move {
            task_group(async |group| {
                group.create_task(async move {
                    let slept = sleep(9).await;
                    held.touch();
                    sleep(1).await?;
                    slept
                });
                Ok(())
            })
            .await
        });
        turns(3).await?;
        outer.cancel();
        let error = outer.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!((alive.count(), get_running_loop()?.time()), (0, 1.0));
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_17`-like: several requests do not end the wait.
#[test]
fn repeated_cancellations_do_not_end_the_join() -> Result<()> {
    run_virtual(async {
        let outer = create_task(task_group(async |group| {
            group.create_task(async {
                let _ = sleep(9).await;
                sleep(1).await
            });
            Ok(())
        }));
        turns(3).await?;
        for message in ["first", "second", "third"] {
            outer.cancel_with_message(message);
            turns(2).await?;
        }
        assert!(!outer.done());
        let error = outer.await.unwrap_err();
        assert_eq!(
            crate::support::cancel_message(&error).as_deref(),
            Some("first")
        );
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_20a`: a KeyboardInterrupt is raised as it is.
#[test]
fn an_interrupt_is_raised_bare() {
    let ended: Result<()> = run_virtual(async {
        task_group(async |group| {
            group.create_task(async { sleep(9).await });
            turns(1).await?;
            Err::<(), _>(KeyboardInterrupt::new().into())
        })
        .await
    });
    assert!(ended.is_err_and(|error| error.is::<KeyboardInterrupt>()));
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_finished`, `test_taskgroup_already_entered`'s place.
#[test]
fn a_finished_group_refuses_tasks() -> Result<()> {
    run_virtual(async {
        let kept = task_group(async |group| Ok(group)).await?;
        let refused = kept.try_create_task(async { Ok(()) }).unwrap_err();
        assert_eq!(refused.to_string(), "<TaskGroup entered> is finished");
        assert!(
            kept.create_task(async { Ok(()) })
                .await
                .is_err_and(|it| it.is::<RuntimeError>())
        );
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_21`-like: while it shuts down, too.
#[test]
fn an_aborting_group_refuses_tasks() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |group| {
            group.create_task(async { fails::<()>("odd") });
            let slept = sleep(9).await;
            let refused = group.try_create_task(async { Ok(()) }).unwrap_err();
            assert!(
                refused.to_string().ends_with("is shutting down"),
                "{refused}"
            );
            slept
        })
        .await
        .unwrap_err();
        assert_eq!(members(&error), ["odd"]);
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_23`-like: tasks may start siblings while the group
/// waits for them.
#[test]
fn tasks_start_siblings_during_the_join() -> Result<()> {
    run_virtual(async {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        task_group(async |group| {
            fn spawn(group: &asyncio_core::TaskGroup, left: usize, count: &Arc<AtomicUsize>) {
                let (inner, count) = (group.clone(), Arc::clone(count));
                group.create_task(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    sleep(1).await?;
                    if left > 0 {
                        spawn(&inner, left - 1, &count);
                    }
                    Ok(())
                });
            }
            spawn(&group, 9, &counted);
            Ok(())
        })
        .await?;
        assert_eq!(
            (count.load(Ordering::SeqCst), get_running_loop()?.time()),
            (10, 10.0)
        );
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_nested_groups_both_cancelled` and its kin: nesting is kept.
#[test]
fn the_group_of_an_inner_group_is_one_error_of_the_outer() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |outer| {
            outer.create_task(async {
                task_group(async |inner| {
                    inner.create_task(async { fails::<()>("deep") });
                    Ok(())
                })
                .await
            });
            outer.create_task(async {
                let _ = sleep(9).await;
                fails::<()>("flat")
            });
            Ok(())
        })
        .await
        .unwrap_err();
        let group = error
            .downcast_ref::<ExceptionGroup>()
            .expect("it is a group");
        assert_eq!(members(&group.exceptions()[0]), ["deep"]);
        assert_eq!(group.exceptions()[1].to_string(), "flat");
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_exception_refcycles_*`'s neighbour: errors win over a request
/// from outside, which is raised at the next await.
#[test]
fn an_error_wins_and_the_request_comes_after_it() -> Result<()> {
    run_virtual(async {
        let outer = create_task(async {
            let error = task_group(async |group| {
                group.create_task(async {
                    let _ = sleep(9).await;
                    fails::<()>("in the clean-up")
                });
                Ok(())
            })
            .await
            .unwrap_err();
            assert_eq!(members(&error), ["in the clean-up"]);
            assert_eq!(cancelling(), 1);
            sleep(9).await
        });
        turns(3).await?;
        outer.cancel();
        assert!(outer.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(get_running_loop()?.time(), 0.0);
        Ok(())
    })
}

/// `test_taskgroups.BaseTestTaskGroup.test_taskgroup_context_manager`-like, `_name`, `_task_context`.
#[test]
fn names_contexts_and_eager_starts_are_passed_on() -> Result<()> {
    static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");
    run_virtual(async {
        task_group(async |group| {
            let context = Context::new();
            let named = group
                .builder()
                .name("yolo")
                .context(context.clone())
                .spawn(async {
                    let _ = USER.set("ada")?;
                    Ok(current_task().map(|task| task.get_name()))
                });
            assert_eq!(named.await?.as_deref(), Some("yolo"));
            assert_eq!(
                (context.get(&USER), USER.get()),
                (Some("ada"), Some("nobody"))
            );
            let eager = group.builder().eager_start(true).spawn(async { Ok(1) });
            assert!(eager.done());
            let refused = group
                .builder()
                .eager_start(true)
                .spawn(async { fails::<()>("early") });
            assert!(refused.done());
            assert!(sleep(9).await.is_err());
            Ok(())
        })
        .await
        .map_or_else(
            |error| {
                assert_eq!(members(&error), ["early"]);
                Ok(())
            },
            |()| panic!("the eager task has failed"),
        )
    })
}

#[test]
fn panics_are_exceptions_of_the_group() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let held = alive.one();
        let error = task_group(async |group| {
            group.create_task(async move {
                let cancelled = sleep(9).await.is_err();
                held.touch();
                assert!(!cancelled, "in a task");
                Ok(())
            });
            turns(1).await?;
            if alive.count() == 1 {
                panic!("in the function");
            }
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(
            members(&error),
            ["task panicked: in a task", "task panicked: in the function"]
        );
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}

/// `TaskGroup.cancel` of 3.15.
#[test]
fn a_group_can_be_cancelled_on_purpose() -> Result<()> {
    run_virtual(async {
        let value = task_group(async |group| {
            group.create_task(async { sleep(9).await });
            group.cancel();
            group.cancel();
            Ok("a value")
        });
        assert_eq!(value.await?, "a value");
        let error = task_group(async |group| {
            let inner = group.clone();
            group.create_task(async move {
                sleep(1).await?;
                inner.cancel();
                Ok(())
            });
            sleep(9).await
        });
        assert!(
            error
                .await
                .is_err_and(|error| error.is::<TaskGroupCancelled>())
        );
        assert_eq!((cancelling(), get_running_loop()?.time()), (0, 1.0));
        let kept = task_group(async |group| Ok(group)).await?;
        kept.cancel();
        turns(1).await?;
        // Somebody else's request is not swallowed with it.
        let outer = create_task(task_group(async |group| {
            group.create_task(async {
                let _ = sleep(9).await;
                sleep(1).await
            });
            group.cancel();
            Ok(())
        }));
        turns(3).await?;
        outer.cancel();
        assert!(outer.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

#[test]
fn a_group_that_is_dropped_takes_its_tasks_along() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let held = alive.one();
        let group = task_group(async move |group| {
            group.create_task(async move {
                let _ = sleep(9).await;
                held.touch();
                sleep(9).await
            });
            Ok(())
        });
        let mut group = Box::pin(group);
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(group.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
        turns(1).await?;
        assert_eq!(alive.count(), 1);
        drop(group);
        assert_eq!(alive.count(), 0);
        turns(2).await?;
        assert_eq!(cancelling(), 0);
        Ok(())
    })
}

/// A foreign future in the function is dropped, and the group ends as it must.
#[test]
fn a_foreign_future_in_the_function_does_not_keep_a_failed_group() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |group| {
            group.create_task(async {
                sleep(1).await?;
                fails::<()>("odd")
            });
            std::future::pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(members(&error), ["odd"]);
        sleep(1).await
    })
}

/// The group's function is part of the task around it, which cannot await itself.
#[test]
fn awaiting_the_task_of_the_group_from_its_function_is_an_error() -> Result<()> {
    run_virtual(async {
        let parent = get_running_loop()?.create_future::<asyncio_core::Task<()>>();
        let itself = parent.clone();
        let task = create_local_task(async move {
            task_group(async |group| {
                group.create_task(async { sleep(9).await });
                itself.await?.await
            })
            .await
        });
        parent.set_result(task.clone())?;
        let error = task.await.unwrap_err();
        assert_eq!(members(&error), ["Task cannot await on itself"]);
        Ok(())
    })
}

#[test]
fn the_tree_tells_which_task_failed() -> Result<()> {
    run_virtual(async {
        let error = task_group(async |group| {
            group
                .builder()
                .name("fetch")
                .spawn(async { fails::<()>("odd") });
            Ok(())
        })
        .await
        .unwrap_err();
        let text = format!("{error:?}");
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)")
        );
        let line = lines.next().unwrap_or_default();
        assert!(
            line.starts_with("  - task \"fetch\" spawned at asyncio-core/tests/it/taskgroups.rs:"),
            "{line}"
        );
        assert!(line.ends_with(": ValueError(\"odd\")"), "{line}");
        Ok(())
    })
}

#[test]
fn it_works_on_a_tokio_runtime_with_and_without_a_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let alive = Alive::default();
    runtime.block_on(async {
        for with_task in [false, true] {
            let held = alive.clone();
            let group = async move {
                task_group(async |group| {
                    for number in 0..50 {
                        let held = held.one();
                        group.create_task(async move {
                            sleep(0.0001 * f64::from(number % 7)).await?;
                            if number == 40 {
                                return fails::<()>("odd");
                            }
                            let slept = sleep(60).await;
                            held.touch();
                            slept
                        });
                    }
                    std::future::pending::<()>().await;
                    Ok(())
                })
                .await
            };
            let ended = if with_task {
                create_task(group).await
            } else {
                group.await
            };
            assert_eq!(members(&ended.unwrap_err()), ["odd"]);
            assert_eq!(alive.count(), 0);
        }
        let value = task_group(async |group| {
            let tasks: Vec<_> = (0..50)
                .map(|n| group.create_task(async move { Ok(n) }))
                .collect();
            Ok(gather(tasks).await?.iter().sum::<i32>())
        });
        assert_eq!(value.await.ok(), Some(1225));
    });
}

#[test]
fn a_scope_lends_to_its_tasks() -> Result<()> {
    run_virtual(async {
        let mut numbers = vec![3, 1, 2];
        let total = AtomicUsize::new(0);
        scope(async |tasks| {
            for number in &numbers {
                let total = &total;
                let _running = tasks.spawn(async move {
                    let me = current_task().expect("each is a task of its own");
                    sleep(*number).await?;
                    assert_eq!(current_task(), Some(me));
                    total.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                });
            }
            Ok(())
        })
        .await?;
        numbers.push(4);
        assert_eq!(
            (total.load(Ordering::SeqCst), get_running_loop()?.time()),
            (3, 3.0)
        );
        Ok(())
    })
}

#[test]
fn tasks_of_a_scope_are_cancelled_one_by_one_and_all_together() -> Result<()> {
    run_virtual(async {
        let text = "borrowed".to_owned();
        let error = scope(async |tasks| {
            let one = tasks.spawn(async {
                let slept = sleep(9).await;
                sleep(1).await?;
                slept.map(|()| text.len())
            });
            let other = tasks.spawn(async {
                timeout(2, sleep(9)).await.unwrap_err();
                Ok(text.as_str())
            });
            sleep(0.5).await?;
            assert!(one.cancel());
            assert!(one.await.is_err_and(|error| error.is_cancelled()));
            assert_eq!(other.await?, "borrowed");
            let _fails = tasks.spawn(async { fails::<()>("odd") });
            sleep(9).await
        })
        .await
        .unwrap_err();
        assert_eq!(members(&error), ["odd"]);
        assert_eq!(get_running_loop()?.time(), 2.0);
        Ok(())
    })
}

#[test]
fn a_scope_that_is_dropped_drops_its_tasks() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        {
            let lent = &alive;
            let open = scope(async move |tasks| {
                let held = lent.one();
                let inner = tasks.clone();
                let _runs = tasks.spawn(async move {
                    let _inner = inner;
                    sleep(9).await?;
                    held.touch();
                    Ok(())
                });
                sleep(9).await
            });
            assert!(timeout(1, open).await.is_err());
        }
        assert_eq!(alive.count(), 0);
        Ok(())
    })
}
