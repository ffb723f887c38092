//! Ctrl-C (`asyncio/runners.py`, `Runner._on_sigint`).
//!
//! SIGINT is taken over on the main thread only, and the test harness runs tests on other threads:
//! this binary has a `main` of its own. Without arguments it starts itself again once for each
//! scenario, sends signals to that process and compares what it prints.
#![cfg_attr(
    unix,
    expect(
        clippy::print_stdout,
        reason = "the scenarios tell what happens by printing it"
    )
)]

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    unix::main()
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitCode, Stdio};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use asyncio_core::{
        Exception, KeyboardInterrupt, MultiThreadRunner, Result, Runner, ValueError,
        create_local_task, create_task, current_task, get_running_loop, run, sleep,
    };

    /// Names the scenario that this process is to run.
    const SCENARIO: &str = "ASYNCIO_CORE_SIGINT_SCENARIO";

    /// A scenario prints "ready" for each signal it wants; `ends` is what it prints besides.
    struct Scenario {
        name: &'static str,
        run: fn() -> Result<()>,
        ends: &'static [&'static str],
        /// The signal that ends the process, where one does.
        killed_by: Option<i32>,
    }

    const SCENARIOS: [Scenario; 15] = [
        // `test_runners.RunnerTests.test_interrupt_wait`
        Scenario {
            name: "ctrl_c_cancels_main_runs_its_clean_up_and_run_returns_keyboard_interrupt",
            run: waiting,
            ends: &[
                "cancelled",
                "cleaned up",
                "KeyboardInterrupt",
                "default action",
            ],
            killed_by: None,
        },
        // `test_runners.RunnerTests.test_interrupt_call_soon`
        Scenario {
            name: "ctrl_c_cancels_main_on_a_loop_that_is_never_idle",
            run: busy,
            ends: &["KeyboardInterrupt"],
            killed_by: None,
        },
        // `test_runners.RunnerTests.test_interrupt_cancelled_task`
        Scenario {
            name: "a_cancellation_beside_ctrl_c_stays_a_cancellation",
            run: cancelled_too,
            ends: &["CancelledError()"],
            killed_by: None,
        },
        Scenario {
            name: "main_may_swallow_ctrl_c_and_return",
            run: swallowing,
            ends: &["returned 42", "default action"],
            killed_by: None,
        },
        Scenario {
            name: "main_may_answer_ctrl_c_with_another_error",
            run: failing,
            ends: &["ValueError(\"instead\")"],
            killed_by: None,
        },
        Scenario {
            name: "a_second_ctrl_c_interrupts_the_clean_up",
            run: twice,
            ends: &["cleaning", "KeyboardInterrupt"],
            killed_by: None,
        },
        Scenario {
            name: "ctrl_c_cancels_a_task_in_a_foreign_future",
            run: foreign,
            ends: &["KeyboardInterrupt"],
            killed_by: None,
        },
        Scenario {
            name: "ctrl_c_after_run_has_its_default_action",
            run: afterwards,
            ends: &["ran"],
            killed_by: Some(2),
        },
        // `test_runners.RunnerTests.test_signal_install_not_supported_ok`
        Scenario {
            name: "on_another_thread_ctrl_c_is_left_alone",
            run: elsewhere,
            ends: &[],
            killed_by: Some(2),
        },
        Scenario {
            name: "on_many_threads_ctrl_c_cancels_main_and_runs_its_clean_up",
            run: threads_waiting,
            ends: &[
                "cancelled",
                "cleaned up",
                "KeyboardInterrupt",
                "default action",
                "the rest has ended: true",
            ],
            killed_by: None,
        },
        Scenario {
            name: "on_many_threads_main_may_swallow_ctrl_c",
            run: threads_swallowing,
            ends: &["returned 42", "default action"],
            killed_by: None,
        },
        Scenario {
            name: "on_many_threads_a_second_ctrl_c_interrupts_the_clean_up",
            run: threads_twice,
            ends: &["cleaning", "KeyboardInterrupt", "closed: true"],
            killed_by: None,
        },
        Scenario {
            name: "on_many_threads_ctrl_c_cancels_a_task_in_a_foreign_future",
            run: threads_foreign,
            ends: &["KeyboardInterrupt"],
            killed_by: None,
        },
        Scenario {
            name: "on_many_threads_ctrl_c_interrupts_the_end_as_well",
            run: threads_closing,
            ends: &["KeyboardInterrupt", "closed: true"],
            killed_by: None,
        },
        Scenario {
            name: "on_many_threads_a_stuck_program_ends",
            run: threads_stuck,
            ends: &[],
            killed_by: Some(2),
        },
    ];

    pub(super) fn main() -> ExitCode {
        if let Ok(name) = std::env::var(SCENARIO) {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            return match scenario.map(|scenario| (scenario.run)()) {
                Some(Ok(())) => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            };
        }
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--list") {
            SCENARIOS
                .iter()
                .for_each(|scenario| println!("{}: test", scenario.name));
            return ExitCode::SUCCESS;
        }
        let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
        let wanted = |scenario: &&Scenario| {
            filter.is_none_or(|filter| scenario.name.contains(filter.as_str()))
        };
        let mut failed = 0;
        for scenario in SCENARIOS.iter().filter(wanted) {
            match scenario.check() {
                Ok(()) => println!("test {} ... ok", scenario.name),
                Err(error) => {
                    failed += 1;
                    println!("test {} ... FAILED\n{error}", scenario.name);
                }
            }
        }
        println!("\n{failed} failed");
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    impl Scenario {
        fn check(&self) -> Result<()> {
            let mut child = Command::new(std::env::current_exe()?)
                .env(SCENARIO, self.name)
                .stdout(Stdio::piped())
                .spawn()?;
            let process = child.id().to_string();
            let stdout = child
                .stdout
                .take()
                .ok_or_else(|| ValueError::new("no output"))?;
            let mut printed = Vec::new();
            for line in BufReader::new(stdout).lines() {
                match line? {
                    ready if ready == "ready" => {
                        let sent = Command::new("kill").args(["-INT", &process]).status()?;
                        assert!(sent.success(), "the signal could not be sent");
                    }
                    other => printed.push(other),
                }
            }
            let signal = child.wait()?.signal();
            if printed == self.ends && signal == self.killed_by {
                return Ok(());
            }
            Err(ValueError::new(format!("printed {printed:?}, ended by signal {signal:?}")).into())
        }
    }

    fn tell<T>(result: Result<T>) {
        match result {
            Ok(_) => println!("returned"),
            Err(error) => println!("{error:?}"),
        }
    }

    /// Says whether SIGINT has its default action again.
    fn tell_action() {
        let mut set = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        #[expect(unsafe_code, reason = "the standard library cannot ask")]
        // SAFETY: a null new action only asks; the answer is written to a place that is large enough.
        let asked = unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), set.as_mut_ptr()) };
        assert_eq!(asked, 0);
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: the call above succeeded, and so wrote it.
        let action = unsafe { set.assume_init() };
        let default = action.sa_sigaction == libc::SIG_DFL;
        println!("{} action", if default { "default" } else { "another" });
    }

    async fn ready() -> Result<()> {
        println!("ready");
        sleep(60).await
    }

    fn waiting() -> Result<()> {
        tell(run::<(), _>(async {
            let result = ready().await;
            println!("cancelled");
            sleep(0.01).await?;
            println!("cleaned up");
            result
        }));
        tell_action();
        Ok(())
    }

    fn busy() -> Result<()> {
        tell(run::<(), _>(async {
            println!("ready");
            loop {
                sleep(0).await?;
            }
        }));
        Ok(())
    }

    fn cancelled_too() -> Result<()> {
        tell(run::<(), _>(async {
            let me = current_task().ok_or_else(|| ValueError::new("main is a task"))?;
            let result = ready().await;
            me.cancel();
            let again = sleep(60).await;
            result.and(again)
        }));
        Ok(())
    }

    fn swallowing() -> Result<()> {
        let answer = run(async {
            assert!(ready().await.is_err());
            sleep(0.01).await?;
            Ok(42)
        })?;
        println!("returned {answer}");
        tell_action();
        Ok(())
    }

    fn failing() -> Result<()> {
        tell(run::<(), _>(async {
            ready()
                .await
                .map_err(|_| Exception::from(ValueError::new("instead")))
        }));
        Ok(())
    }

    fn twice() -> Result<()> {
        tell(run::<(), _>(async {
            let _ = ready().await;
            println!("cleaning");
            ready().await?;
            println!("never");
            Ok(())
        }));
        Ok(())
    }

    fn foreign() -> Result<()> {
        tell(run::<(), _>(async {
            println!("ready");
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }));
        Ok(())
    }

    fn afterwards() -> Result<()> {
        let runner = Runner::new()?;
        runner.run(async {
            let event_loop = get_running_loop()?;
            drop(create_local_task(async move { Ok(event_loop.time()) }));
            sleep(0.001).await
        })?;
        println!("ran\nready");
        std::thread::sleep(Duration::from_secs(60));
        runner.close()
    }

    fn threads() -> Result<MultiThreadRunner> {
        Runner::builder().worker_threads(2).build()
    }

    fn threads_waiting() -> Result<()> {
        let runner = threads()?;
        let (sender, receiver) = std::sync::mpsc::channel();
        tell(runner.run::<(), _>(async move {
            let rest = create_task(async { sleep(60).await });
            let _ = sender.send(rest);
            let result = ready().await;
            println!("cancelled");
            sleep(0.01).await?;
            println!("cleaned up");
            result
        }));
        tell_action();
        runner.close()?;
        println!("the rest has ended: {}", receiver.recv()?.cancelled());
        Ok(())
    }

    fn threads_swallowing() -> Result<()> {
        let runner = threads()?;
        let answer = runner.run(async {
            assert!(ready().await.is_err());
            sleep(0.01).await?;
            Ok(42)
        })?;
        println!("returned {answer}");
        tell_action();
        runner.close()
    }

    fn threads_twice() -> Result<()> {
        let runner = threads()?;
        tell(runner.run::<(), _>(async {
            let _ = ready().await;
            println!("cleaning");
            ready().await
        }));
        println!("closed: {}", runner.close().is_ok());
        Ok(())
    }

    fn threads_foreign() -> Result<()> {
        let runner = threads()?;
        tell(runner.run::<(), _>(async {
            println!("ready");
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }));
        runner.close()
    }

    fn threads_closing() -> Result<()> {
        let runner = threads()?;
        runner.run(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            drop(create_task::<(), _>(async {
                let _ = sender.send(());
                let _ = sleep(60).await;
                println!("ready");
                loop {
                    let _ = sleep(60).await;
                }
            }));
            Ok(receiver.await?)
        })?;
        tell(runner.close());
        println!("closed: {}", runner.run(async { Ok(()) }).is_err());
        Ok(())
    }

    fn threads_stuck() -> Result<()> {
        let runner = threads()?;
        // Nobody reads the signals any more: both threads are busy.
        let meeting = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&meeting);
        let busy = runner.handle()?.spawn(async move {
            theirs.wait();
            std::thread::sleep(Duration::from_secs(60));
        });
        runner.run(async move {
            meeting.wait();
            println!("ready\nready\nready");
            std::thread::sleep(Duration::from_secs(60));
            Ok(busy.await?)
        })
    }

    fn elsewhere() -> Result<()> {
        let thread =
            std::thread::spawn(|| run(ready()).is_err_and(|e| e.is::<KeyboardInterrupt>()));
        println!("{:?}", thread.join().is_ok());
        Ok(())
    }
}
