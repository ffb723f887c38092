//! Child processes (`test_subprocess.py`, and that part of `test_events.py`).

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{Result, TimeoutError, ValueError, create_task, run, sleep, timeout};
use asyncio_net::subprocess::{DEVNULL, PIPE, ProcessLookupError, STDOUT};
use asyncio_net::{Process, create_subprocess_exec, create_subprocess_shell};

use crate::support::{error_of, everywhere, kind, scaled};

async fn cat() -> Result<Process> {
    create_subprocess_exec("cat").stdin(PIPE).stdout(PIPE).await
}

async fn sleeper() -> Result<Process> {
    create_subprocess_exec("sleep").arg("3600").await
}

/// Whether a process is there, be it dead and not reaped.
fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// `test_subprocess.SubprocessMixin.test_stdin_stdout`,
/// `test_events.SubprocessTestsMixin.test_subprocess_interactive`
#[test]
fn a_child_is_written_to_and_read_from() -> Result<()> {
    everywhere(|| async {
        let process = cat().await?;
        let (stdin, stdout) = (
            process.stdin().expect("piped"),
            process.stdout().expect("piped"),
        );
        stdin.write(b"Python ");
        assert_eq!(stdout.read(1024).await?, b"Python ");
        stdin.write(b"The Winner");
        stdin.drain().await?;
        assert_eq!(stdout.read(1024).await?, b"The Winner");
        stdin.close();
        assert_eq!(stdout.read(-1).await?, b"");
        assert_eq!(process.wait().await?, 0);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_communicate`,
/// `test_subprocess.SubprocessMixin.test_communicate_none_input`,
/// `test_subprocess.SubprocessMixin.test_empty_input`,
/// `test_subprocess.SubprocessMixin.test_subprocess_communicate_stdout`
#[test]
fn communicate_feeds_and_collects() -> Result<()> {
    everywhere(|| async {
        for (input, expected) in [
            (Some(b"some data".as_slice()), b"some data".as_slice()),
            (Some(b""), b""),
            (None, b""),
        ] {
            let process = cat().await?;
            let output = process.communicate(input).await?;
            assert_eq!((output.stdout(), process.returncode()), (expected, Some(0)));
        }
        // More than pipes hold, both ways at once.
        let data = vec![b'x'; 4 << 20];
        let output = cat().await?.communicate(Some(&data)).await?;
        assert_eq!(output.stdout().len(), data.len());
        let process = create_subprocess_exec("true").await?;
        error_of::<ValueError>(process.communicate(Some(b"no pipe")).await);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_shell`,
/// `test_events.SubprocessTestsMixin.test_subprocess_shell`,
/// `test_events.SubprocessTestsMixin.test_subprocess_exitcode`
#[test]
fn the_shell_runs_a_line() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("exit 7").await?;
        assert_eq!(process.returncode(), None);
        assert_eq!(process.wait().await?, 7);
        assert_eq!(process.returncode(), Some(7));
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_kill`,
/// `test_subprocess.SubprocessMixin.test_terminate`,
/// `test_subprocess.SubprocessMixin.test_send_signal`,
/// `test_subprocess.SubprocessTransportTests.test_proc_exited`
#[test]
fn signals_end_a_child_and_then_find_nobody() -> Result<()> {
    everywhere(|| async {
        type Send = fn(&Process) -> Result<()>;
        let ways: [(Send, i32); 3] = [
            (Process::kill, -9),
            (Process::terminate, -15),
            (|process| process.send_signal(1), -1),
        ];
        for (send, returncode) in ways {
            let process = sleeper().await?;
            send(&process)?;
            assert_eq!(process.wait().await?, returncode);
            error_of::<ProcessLookupError>(send(&process));
        }
        error_of::<ValueError>(sleeper().await?.send_signal(12345));
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_kill_issue43884`
#[test]
fn a_shell_that_waits_for_its_child_is_killed() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("sleep 1 && true")
            .stdout(PIPE)
            .await?;
        sleep(0.02).await?;
        process.kill()?;
        assert_eq!(process.wait().await?, -9);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_subprocess_send_signal_race`
#[test]
fn a_signal_may_cross_the_end() -> Result<()> {
    everywhere(|| async {
        for _ in 0..scaled(5) {
            let process = create_subprocess_exec("true").await?;
            sleep(0.001).await?;
            if let Err(error) = process.kill() {
                assert!(error.is::<ProcessLookupError>(), "{error:?}");
            }
            process.wait().await?;
        }
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_stdin_broken_pipe`,
/// `test_subprocess.SubprocessMixin.test_communicate_ignore_broken_pipe`
#[test]
fn a_child_that_does_not_read() -> Result<()> {
    everywhere(|| async {
        let large = vec![b'x'; 1 << 20];
        let process = create_subprocess_exec("true").stdin(PIPE).await?;
        let stdin = process.stdin().expect("piped");
        stdin.write(&large);
        let drained = kind(stdin.drain().await);
        assert!(matches!(
            drained,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        ));
        let process = create_subprocess_exec("true").stdin(PIPE).await?;
        process.communicate(Some(&large)).await?;
        assert_eq!(process.returncode(), Some(0));
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_pause_reading`,
/// `test_subprocess.SubprocessMixin.test_read_stdout_after_process_exit`
#[test]
fn what_a_child_wrote_is_there_after_its_end() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("head -c 60000 /dev/zero")
            .stdout(PIPE)
            .await?;
        process.wait().await?;
        let stdout = process.stdout().expect("piped");
        assert_eq!(stdout.read(-1).await?.len(), 60_000);
        let process = create_subprocess_shell("head -c 3000000 /dev/zero")
            .stdout(PIPE)
            .limit(1 << 10)
            .await?;
        // Nobody reads: the child waits, and nothing is read ahead.
        error_of::<TimeoutError>(timeout(0.02, process.wait()).await);
        let output = process.communicate(None).await?;
        assert_eq!(output.stdout().len(), 3_000_000);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_stdin_not_inheritable`
#[test]
fn a_child_does_not_hold_the_pipes_of_another() -> Result<()> {
    everywhere(|| async {
        let process = cat().await?;
        let other = sleeper().await?;
        process.stdin().expect("piped").close();
        assert_eq!(process.wait().await?, 0);
        drop(other);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_devnull_input`,
/// `test_subprocess.SubprocessMixin.test_devnull_output`,
/// `test_subprocess.SubprocessMixin.test_devnull_error`,
/// `test_events.SubprocessTestsMixin.test_subprocess_stderr`,
/// `test_events.SubprocessTestsMixin.test_subprocess_stderr_redirect_to_stdout`
#[test]
fn streams_may_go_elsewhere() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_exec("cat")
            .stdin(DEVNULL)
            .stdout(PIPE)
            .await?;
        assert_eq!(process.communicate(None).await?.stdout(), b"");
        let both = || create_subprocess_shell("echo out; echo err >&2");
        let process = both().stdout(DEVNULL).stderr(PIPE).await?;
        assert!(process.stdout().is_none());
        let output = process.communicate(None).await?;
        assert_eq!(
            (output.stdout(), output.stderr()),
            (b"".as_slice(), b"err\n".as_slice())
        );
        let process = both().stdout(PIPE).stderr(STDOUT).await?;
        assert_eq!(process.communicate(None).await?.stdout(), b"out\nerr\n");
        let process = both().stdout(PIPE).stderr(DEVNULL).await?;
        assert_eq!(process.communicate(None).await?.stdout(), b"out\n");
        error_of::<ValueError>(both().stdout(STDOUT).await);
        let (mut theirs, ours) = std::io::pipe()?;
        both().stdout(ours).stderr(DEVNULL).await?.wait().await?;
        let mut all = String::new();
        std::io::Read::read_to_string(&mut theirs, &mut all)?;
        assert_eq!(all, "out\n");
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_devstdin_input`
#[test]
#[cfg(target_os = "linux")]
fn the_pipe_of_a_child_can_be_opened_by_its_name() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("cat /dev/stdin")
            .stdin(PIPE)
            .stdout(PIPE)
            .await?;
        let output = process.communicate(Some(b"by its name")).await?;
        assert_eq!(output.stdout(), b"by its name");
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_cancel_process_wait`,
/// `test_subprocess.SubprocessMixin.test_subprocess_concurrent_wait`
#[test]
fn several_may_wait_and_one_may_be_cancelled() -> Result<()> {
    everywhere(|| async {
        let process = Arc::new(sleeper().await?);
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let process = Arc::clone(&process);
                create_task(async move { process.wait().await })
            })
            .collect();
        sleep(0.01).await?;
        waits[0].cancel();
        sleep(0.01).await?;
        assert!(waits[0].cancelled());
        process.kill()?;
        for wait in waits.into_iter().skip(1) {
            assert_eq!(wait.await?, -9);
        }
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_popen_error`,
/// `test_subprocess.SubprocessMixin.test_popen_error_with_stdin_pipe`
#[test]
fn a_program_that_is_not_there() -> Result<()> {
    everywhere(|| async {
        let missing = || create_subprocess_exec("/no/such/program");
        assert_eq!(kind(missing().await), ErrorKind::NotFound);
        assert_eq!(kind(missing().stdin(PIPE).await), ErrorKind::NotFound);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_create_subprocess_env_shell`,
/// `test_subprocess.SubprocessMixin.test_create_subprocess_env_exec`,
/// `test_subprocess.SubprocessMixin.test_create_subprocess_exec_with_path`
#[test]
fn a_child_has_the_environment_and_the_place_it_is_given() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("echo $FOO; pwd")
            .env("FOO", "bar")
            .cwd(Path::new("/"))
            .stdout(PIPE)
            .await?;
        assert_eq!(process.communicate(None).await?.stdout(), b"bar\n/\n");
        let process = create_subprocess_exec(Path::new("/usr/bin/env"))
            .only_env([("FOO", "bar")])
            .stdout(PIPE)
            .await?;
        assert_eq!(process.communicate(None).await?.stdout(), b"FOO=bar\n");
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_close_kill_running`,
/// `test_subprocess.SubprocessMixin.test_close_dont_kill_finished`
#[test]
fn a_child_goes_with_its_process_and_is_reaped() -> Result<()> {
    everywhere(|| async {
        let process = sleeper().await?;
        let pid = process.pid();
        assert!(exists(pid));
        drop(process);
        while exists(pid) {
            sleep(0.001).await?;
        }
        let left = create_subprocess_exec("sleep")
            .arg("0.1")
            .kill_on_drop(false)
            .await?;
        let pid = left.pid();
        drop(left);
        sleep(0.02).await?;
        assert!(exists(pid), "it was killed");
        while exists(pid) {
            sleep(0.001).await?;
        }
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_wait_no_same_group`
#[test]
fn a_task_that_is_cancelled_takes_its_child_along() -> Result<()> {
    everywhere(|| async {
        let (tell, mut told) = tokio_channel();
        let task = create_task(async move {
            let process = create_subprocess_shell("sleep 3600 | sleep 3600; true")
                .process_group(true)
                .await?;
            *tell.lock().expect("nobody panics") = process.pid();
            process.wait().await
        });
        let pid = loop {
            sleep(0.001).await?;
            let pid = *told.get_mut().lock().expect("nobody panics");
            if pid != 0 {
                break pid;
            }
        };
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        while exists(pid) {
            sleep(0.001).await?;
        }
        Ok(())
    })
}

/// A place for a number, from both sides.
fn tokio_channel() -> (Arc<std::sync::Mutex<u32>>, Told) {
    let place = Arc::new(std::sync::Mutex::new(0));
    (Arc::clone(&place), Told(place))
}

struct Told(Arc<std::sync::Mutex<u32>>);

impl Told {
    const fn get_mut(&mut self) -> &Arc<std::sync::Mutex<u32>> {
        &self.0
    }
}

/// What was read is not lost with the call that has read it.
#[test]
fn a_cancelled_communicate_goes_on_where_it_was() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("echo one; sleep 0.1; cat; echo err >&2")
            .stdin(PIPE)
            .stdout(PIPE)
            .stderr(PIPE)
            .await?;
        let first = timeout(0.05, process.communicate(Some(b"two\n"))).await;
        error_of::<TimeoutError>(first);
        let output = process.communicate(None).await?;
        assert_eq!(
            output.into_parts(),
            (b"one\ntwo\n".to_vec(), b"err\n".to_vec())
        );
        Ok(())
    })
}

/// What a child has started may hold its pipe open; its own end is its end.
#[test]
fn wait_does_not_wait_for_grandchildren() -> Result<()> {
    everywhere(|| async {
        let process = create_subprocess_shell("sleep 1 & exit 3")
            .stdout(PIPE)
            .stderr(DEVNULL)
            .await?;
        assert_eq!(timeout(0.9, process.wait()).await?, 3);
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_close_client_stream`
#[test]
fn a_child_whose_output_nobody_wants_hears_of_it() -> Result<()> {
    run(async {
        let process = create_subprocess_shell("trap '' PIPE; cat; exit 5")
            .stdin(PIPE)
            .stdout(PIPE)
            .stderr(DEVNULL)
            .await?;
        let pid = process.pid();
        let stdin = process.stdin().expect("piped").clone();
        drop(process);
        stdin.close();
        while exists(pid) {
            sleep(0.001).await?;
        }
        Ok(())
    })
}

/// Many at once, each killed or waited for at another moment: none is left over.
#[test]
fn many_children_come_and_go() -> Result<()> {
    everywhere(|| async {
        let mut tasks = Vec::new();
        for number in 0..scaled(20) {
            tasks.push(create_task(async move {
                let process = create_subprocess_exec("sleep").arg("0.01").await?;
                let pid = process.pid();
                if number % 3 == 0 {
                    let wait = Duration::from_millis(number as u64 % 13);
                    // Either is well.
                    let _ = timeout(wait, process.wait()).await;
                } else {
                    process.wait().await?;
                }
                drop(process);
                while exists(pid) {
                    sleep(0.001).await?;
                }
                Ok(())
            }));
            if number % 50 == 49 {
                for task in tasks.drain(..) {
                    task.await?;
                }
            }
        }
        for task in tasks {
            task.await?;
        }
        Ok(())
    })
}
