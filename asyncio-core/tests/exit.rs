//! How a whole program ends: its exit code and its last words, after an error and after Ctrl-C.
//!
//! SIGINT is taken over on a process's main thread only, so that each program runs in a process of
//! its own, and this binary has its own `main`.
#![expect(
    clippy::print_stdout,
    reason = "programs and their tests talk by their output"
)]

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    unix::main()
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
    use std::time::{Duration, Instant};

    use asyncio_core::{
        Exception, KeyboardInterrupt, Result, SystemExit, ValueError, create_task, exit_code,
        get_running_loop, run, sleep, to_thread,
    };

    const PROGRAM: &str = "ASYNCIO_CORE_EXIT_PROGRAM";

    type Program = (&'static str, fn() -> Result<()>);
    type Test = (&'static str, fn());

    pub(super) fn main() -> ExitCode {
        if let Some(name) = std::env::var_os(PROGRAM) {
            let program = PROGRAMS.iter().find(|(known, _)| name == *known);
            let (_, program) = program.expect("a program of this file");
            return exit_code(program());
        }
        let filter: Vec<String> = std::env::args().skip(1).collect();
        let wanted = |name: &str| {
            let mut names = filter
                .iter()
                .filter(|text| !text.starts_with('-'))
                .peekable();
            names.peek().is_none() || names.any(|text| name.contains(text.as_str()))
        };
        if filter.iter().any(|text| text == "--list") {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
            return ExitCode::SUCCESS;
        }
        let mut failed = 0;
        for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
            let result = std::panic::catch_unwind(test);
            println!(
                "test {name} ... {}",
                if result.is_ok() { "ok" } else { "FAILED" }
            );
            failed += u8::from(result.is_err());
        }
        ExitCode::from(failed)
    }

    const PROGRAMS: &[Program] = &[
        ("waits", waits),
        ("stuck", stuck),
        ("fails", fails),
        ("twice", twice),
        ("closing", closing),
        ("own_handler", own_handler),
        ("handler_removed", handler_removed),
        ("exits", || Err(SystemExit::new(7).into())),
        ("value_error", || Err(ValueError::new("spam").into())),
    ];

    const TESTS: &[Test] = &[
        (
            "an_interrupt_cancels_main_and_ends_the_program",
            interrupt_wait,
        ),
        (
            "a_program_that_never_awaits_ends_with_the_third_interrupt",
            interrupt_stuck,
        ),
        ("main_may_fail_while_it_cleans_up", interrupt_fails),
        ("a_second_interrupt_ends_the_clean_up", interrupt_twice),
        (
            "an_interrupt_ends_the_clean_up_of_what_main_left",
            interrupt_closing,
        ),
        (
            "a_handler_of_the_programs_own_comes_first",
            own_handler_first,
        ),
        (
            "without_its_handler_the_interrupt_is_back",
            handler_removed_again,
        ),
        ("exit_codes", exit_codes),
    ];

    fn say(text: &str) {
        println!("{text}");
    }

    fn waits() -> Result<()> {
        let result = run(async {
            say("ready");
            let slept = sleep(3600).await;
            sleep(0.001).await?; // the clean-up may await
            say("cleaned up");
            slept
        });
        say("run has returned");
        result
    }

    fn stuck() -> Result<()> {
        run(async {
            say("ready");
            loop {
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    }

    fn fails() -> Result<()> {
        run(async {
            say("ready");
            assert!(sleep(3600).await.is_err());
            Err(ValueError::new("while cleaning up").into())
        })
    }

    fn twice() -> Result<()> {
        let result = run(async {
            drop(create_task(async {
                let slept = sleep(3600).await;
                say("the other task cleaned up");
                slept
            }));
            say("ready");
            assert!(sleep(3600).await.is_err());
            say("cleaning up");
            let slept = sleep(3600).await;
            // The clean-up itself is cancelled by the runner, as any task that is left.
            say("clean-up cancelled");
            slept
        });
        assert!(
            result
                .as_ref()
                .is_err_and(Exception::is::<KeyboardInterrupt>)
        );
        result
    }

    fn closing() -> Result<()> {
        run(async {
            drop(create_task(async {
                assert!(sleep(3600).await.is_err());
                say("ready");
                sleep(3600).await
            }));
            sleep(0).await
        })
    }

    fn own_handler() -> Result<()> {
        run(async {
            let event_loop = get_running_loop()?;
            let asked = event_loop.create_future();
            let setter = asked.clone();
            event_loop.add_signal_handler(libc::SIGINT, move || setter.set_result(()))?;
            say("ready");
            asked.await?;
            say("handled");
            to_thread(|| Ok(())).await
        })
    }

    fn handler_removed() -> Result<()> {
        run(async {
            let event_loop = get_running_loop()?;
            event_loop.add_signal_handler(libc::SIGINT, || say("must not be called"))?;
            assert!(event_loop.remove_signal_handler(libc::SIGINT)?);
            say("ready");
            sleep(3600).await
        })
    }

    /// `test_runners.RunnerTests.test_interrupt_wait`
    fn interrupt_wait() {
        let program = Running::start("waits");
        program.interrupt();
        let ended = program.end();
        assert_eq!(ended.lines, ["cleaned up", "run has returned"]);
        // As a Python program: by the signal, after it has said so.
        assert_eq!(ended.status.signal(), Some(libc::SIGINT), "{}", ended.error);
        assert_eq!(ended.error, "KeyboardInterrupt\n");
    }

    fn interrupt_stuck() {
        let mut program = Running::start("stuck");
        for _ in 0..2 {
            program.interrupt();
            std::thread::sleep(Duration::from_millis(30));
            assert!(program.is_alive());
        }
        program.interrupt();
        assert_eq!(program.end().status.signal(), Some(libc::SIGINT));
    }

    fn interrupt_fails() {
        let program = Running::start("fails");
        program.interrupt();
        let ended = program.end();
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(ended.error, "Error: ValueError(\"while cleaning up\")\n");
    }

    fn interrupt_twice() {
        let mut program = Running::start("twice");
        program.interrupt();
        assert_eq!(program.line(), "cleaning up");
        program.interrupt();
        let ended = program.end();
        assert_eq!(
            ended.lines,
            ["clean-up cancelled", "the other task cleaned up"]
        );
        assert_eq!(ended.status.signal(), Some(libc::SIGINT));
        assert_eq!(ended.error, "KeyboardInterrupt\n");
    }

    fn interrupt_closing() {
        let program = Running::start("closing");
        program.interrupt();
        let ended = program.end();
        assert_eq!(ended.status.signal(), Some(libc::SIGINT));
        assert!(
            ended.error.ends_with("KeyboardInterrupt\n"),
            "{}",
            ended.error
        );
    }

    fn own_handler_first() {
        let program = Running::start("own_handler");
        program.interrupt();
        let ended = program.end();
        assert_eq!(ended.lines, ["handled"]);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.error);
    }

    /// `test_unix_events.SelectorEventLoopSignalTests.test_remove_signal_handler`, `test_remove_signal_handler_2`,
    /// `test_remove_signal_handler_2`
    fn handler_removed_again() {
        let program = Running::start("handler_removed");
        program.interrupt();
        let ended = program.end();
        assert!(ended.lines.is_empty());
        assert_eq!(ended.error, "KeyboardInterrupt\n");
    }

    fn exit_codes() {
        let ended = Running::spawn("exits").end();
        assert_eq!((ended.status.code(), ended.error.as_str()), (Some(7), ""));
        let ended = Running::spawn("value_error").end();
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(ended.error, "Error: ValueError(\"spam\")\n");
    }

    /// A program in a process of its own.
    struct Running {
        child: Child,
        output: BufReader<ChildStdout>,
    }

    struct Ended {
        status: ExitStatus,
        lines: Vec<String>,
        error: String,
    }

    impl Running {
        fn spawn(program: &str) -> Self {
            let me = std::env::current_exe().expect("this binary");
            let mut child = Command::new(me)
                .env(PROGRAM, program)
                .env("RUST_BACKTRACE", "0")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it can be run again");
            let output = child.stdout.take().expect("it is piped");
            Self {
                child,
                output: BufReader::new(output),
            }
        }

        /// Spawns it and waits until it says that it is ready.
        fn start(program: &str) -> Self {
            let mut this = Self::spawn(program);
            assert_eq!(this.line(), "ready");
            this
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("text");
            line.trim_end().to_owned()
        }

        fn interrupt(&self) {
            let process = self.child.id().to_string();
            let kill = Command::new("kill").args(["-INT", &process]).status();
            assert!(kill.expect("there is a kill").success());
        }

        fn is_alive(&mut self) -> bool {
            self.child
                .try_wait()
                .expect("it can be waited for")
                .is_none()
        }

        fn end(mut self) -> Ended {
            let deadline = Instant::now() + Duration::from_secs(20);
            while self.is_alive() {
                if Instant::now() > deadline {
                    self.child.kill().expect("it is alive");
                    panic!("the program has not ended");
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let status = self.child.wait().expect("it has ended");
            let lines = self
                .output
                .lines()
                .map(|line| line.expect("text"))
                .collect();
            let mut error = String::new();
            let stderr = self.child.stderr.as_mut().expect("it is piped");
            stderr.read_to_string(&mut error).expect("text");
            Ended {
                status,
                lines,
                error,
            }
        }
    }
}
