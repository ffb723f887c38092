//! Child processes with a protocol (`test_events.SubprocessTestsMixin`, and that part of
//! `test_subprocess.py`).

use std::sync::{Arc, Mutex};

use asyncio_core::{Exception, Result, sleep, timeout};
use asyncio_net::subprocess::{DEVNULL, ProcessLookupError, STDOUT};
use asyncio_net::{SubprocessProtocol, SubprocessTransport, subprocess_exec, subprocess_shell};

use crate::support::{error_of, everywhere, kind, until};

/// What has happened, in order, and what came from the two pipes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Heard>>);

type Heard = (Vec<String>, [Vec<u8>; 3]);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().expect("nobody panics").0.push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics").0.clone()
    }

    fn has(&self, what: &str) -> bool {
        self.all().iter().any(|said| said == what)
    }

    fn data(&self, fd: usize) -> Vec<u8> {
        self.0.lock().expect("nobody panics").1[fd].clone()
    }

    async fn until(&self, what: &str) -> Result<()> {
        let came = timeout(30, until(|| self.has(what))).await;
        assert!(came.is_ok(), "no {what:?} in {:?}", self.all());
        Ok(())
    }
}

struct Notes(Log);

impl SubprocessProtocol for Notes {
    fn connection_made(&mut self, transport: &SubprocessTransport) {
        assert!(transport.get_pid() > 0);
        assert_eq!(transport.get_returncode(), None);
        self.0.add("made");
    }

    fn pipe_data_received(&mut self, _: &SubprocessTransport, fd: i32, data: &[u8]) {
        let mut state = self.0.0.lock().expect("nobody panics");
        state.1[fd.unsigned_abs() as usize].extend_from_slice(data);
    }

    fn pipe_connection_lost(
        &mut self,
        _: &SubprocessTransport,
        fd: i32,
        exception: Option<Exception>,
    ) {
        let kind =
            exception.map(|error| error.downcast_ref::<std::io::Error>().map(|it| it.kind()));
        self.0.add(format!("pipe {fd} lost {kind:?}"));
    }

    fn process_exited(&mut self, transport: &SubprocessTransport) {
        self.0
            .add(format!("exited {:?}", transport.get_returncode()));
    }

    fn connection_lost(&mut self, exception: Option<Exception>) {
        self.0.add(format!("lost {}", exception.is_none()));
    }

    fn pause_writing(&mut self) {
        self.0.add("pause");
    }

    fn resume_writing(&mut self) {
        self.0.add("resume");
    }
}

async fn cat(log: &Log) -> Result<SubprocessTransport> {
    subprocess_exec(|| Notes(log.clone()), "cat").await
}

async fn sleeper(log: &Log) -> Result<SubprocessTransport> {
    subprocess_exec(|| Notes(log.clone()), "sleep")
        .arg("100")
        .await
}

/// `test_events.SubprocessTestsMixin.test_subprocess_exec`,
/// `test_events.SubprocessTestsMixin.test_subprocess_interactive`
#[test]
fn a_protocol_is_given_what_a_child_writes() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        let child = cat(&log).await?;
        assert_eq!(log.all(), ["made"], "before the call returns");
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(b"Python ");
        until(|| log.data(1) == b"Python ").await?;
        stdin.write(b"The Winner");
        until(|| log.data(1) == b"Python The Winner").await?;
        child.close();
        log.until("lost true").await?;
        assert_eq!(child.get_returncode(), Some(-9));
        let all = log.all();
        assert_eq!(all.len(), 6, "{all:?}");
        for fd in 0..3 {
            assert!(log.has(&format!("pipe {fd} lost None")), "{all:?}");
        }
        assert!(log.has("exited Some(-9)"), "{all:?}");
        assert!(child.is_closing());
        assert!(child.get_pipe_transport(3).is_none());
        assert!(child.get_pipe_transport(-1).is_none());
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_shell`,
/// `test_subprocess.SubprocessMixin.test_subprocess_protocol_events`
#[test]
fn everything_is_told_once_and_in_order() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), "echo Python")
            .stdin(DEVNULL)
            .stderr(DEVNULL)
            .await?;
        log.until("lost true").await?;
        assert_eq!(log.data(1), b"Python\n");
        let all = log.all();
        assert_eq!(all.first().map(String::as_str), Some("made"));
        assert_eq!(all.last().map(String::as_str), Some("lost true"));
        let mut between = all[1..all.len() - 1].to_vec();
        between.sort();
        assert_eq!(between, ["exited Some(0)", "pipe 1 lost None"]);
        assert!(child.get_pipe_transport(0).is_none());
        // The end is told before the input is read, and nothing of it is missing.
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), "head -c 3000000 /dev/zero").await?;
        let output = child.get_pipe_transport(1).expect("a pipe");
        output.pause_reading();
        sleep(0.02).await?;
        output.resume_reading();
        log.until("lost true").await?;
        assert_eq!(log.data(1).len(), 3_000_000);
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_exitcode`,
/// `test_events.SubprocessTestsMixin.test_subprocess_close_after_finish`,
/// `test_subprocess.SubprocessTransportTests.test_proc_exited`
#[test]
fn a_child_that_has_ended_is_nobody_to_signal() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), "exit 7")
            .stdin(DEVNULL)
            .stdout(DEVNULL)
            .stderr(DEVNULL)
            .await?;
        log.until("lost true").await?;
        assert_eq!(log.all(), ["made", "exited Some(7)", "lost true"]);
        assert_eq!(child.get_returncode(), Some(7));
        assert!(child.get_pipe_transport(0).is_none());
        assert!(child.get_pipe_transport(1).is_none());
        error_of::<ProcessLookupError>(child.send_signal(libc::SIGTERM));
        error_of::<ProcessLookupError>(child.terminate());
        error_of::<ProcessLookupError>(child.kill());
        child.close();
        child.close();
        assert!(child.is_closing());
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_kill`,
/// `test_events.SubprocessTestsMixin.test_subprocess_terminate`,
/// `test_events.SubprocessTestsMixin.test_subprocess_send_signal`
#[test]
fn a_child_is_sent_signals() -> Result<()> {
    everywhere(|| async {
        for number in [libc::SIGKILL, libc::SIGTERM, libc::SIGHUP] {
            let log = Log::default();
            let child = sleeper(&log).await?;
            match number {
                libc::SIGKILL => child.kill()?,
                libc::SIGTERM => child.terminate()?,
                other => child.send_signal(other)?,
            }
            log.until("lost true").await?;
            assert_eq!(child.get_returncode(), Some(-number));
        }
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_stderr`,
/// `test_events.SubprocessTestsMixin.test_subprocess_stderr_redirect_to_stdout`
#[test]
fn the_two_outputs_are_told_apart_or_are_one() -> Result<()> {
    const BOTH: &str = "cat; echo OUT; echo ERR >&2";
    everywhere(|| async {
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), BOTH).await?;
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(b"test ");
        stdin.close();
        log.until("lost true").await?;
        assert_eq!(log.data(1), b"test OUT\n");
        assert_eq!(log.data(2), b"ERR\n");
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), BOTH)
            .stderr(STDOUT)
            .await?;
        assert!(child.get_pipe_transport(2).is_none());
        child.get_pipe_transport(0).expect("a pipe").close();
        log.until("lost true").await?;
        assert_eq!(log.data(1), b"OUT\nERR\n");
        Ok(())
    })
}

/// `test_events.SubprocessTestsMixin.test_subprocess_close_client_stream`
#[test]
fn a_child_whose_output_is_closed_hears_of_it() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        // It is told by an error, not by a signal.
        let child = subprocess_shell(
            || Notes(log.clone()),
            "trap '' PIPE; read line; echo $line; read line; echo $line 2>/dev/null || echo ERR >&2",
        )
        .await?;
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(b"test\n");
        until(|| log.data(1) == b"test\n").await?;
        child.get_pipe_transport(1).expect("a pipe").close();
        log.until("pipe 1 lost None").await?;
        stdin.write(b"xxx\n");
        log.until("lost true").await?;
        assert_eq!(log.data(2), b"ERR\n");
        assert_eq!(child.get_returncode(), Some(0));
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_write_pipe_disconnect_on_close`: who ends takes the other end
/// of its input along, and that is told.
#[test]
fn the_input_is_lost_when_nobody_reads_it() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), "exec 0<&-; sleep 100").await?;
        log.until("pipe 0 lost None").await?;
        assert_eq!(child.get_returncode(), None);
        child.close();
        log.until("lost true").await?;
        let log = Log::default();
        let child = sleeper(&log).await?;
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(&vec![0; 1 << 20]);
        log.until("pause").await?;
        child.kill()?;
        log.until("pipe 0 lost Some(Some(BrokenPipe))").await?;
        log.until("lost true").await
    })
}

#[test]
fn a_protocol_is_paused_while_the_child_does_not_read() -> Result<()> {
    everywhere(|| async {
        let log = Log::default();
        let child = subprocess_shell(|| Notes(log.clone()), "read go; wc -c").await?;
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(&[vec![b'x'; 1 << 20], b"\n".to_vec()].concat());
        stdin.write(&vec![0; 1 << 20]);
        log.until("pause").await?;
        log.until("resume").await?;
        stdin.close();
        log.until("lost true").await?;
        assert_eq!(log.data(1).trim_ascii(), b"1048576");
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_close_kill_running`,
/// `test_subprocess.SubprocessMixin.test_cancel_post_init`: whoever is gone before the child's end takes
/// it along.
#[test]
fn a_child_goes_with_the_task_that_calls_its_protocol() -> Result<()> {
    struct Bad(Log);
    impl SubprocessProtocol for Bad {
        fn pipe_data_received(&mut self, _: &SubprocessTransport, _: i32, _: &[u8]) {
            panic!("out of cheese");
        }
        fn connection_lost(&mut self, _: Option<Exception>) {
            self.0.add("never");
        }
    }
    everywhere(|| async {
        let log = Log::default();
        let ours = log.clone();
        let child = subprocess_shell(move || Bad(ours), "echo; sleep 100").await?;
        until(|| child.get_returncode().is_some()).await?;
        assert_eq!(child.get_returncode(), Some(-9));
        assert!(log.all().is_empty());
        Ok(())
    })
}

#[test]
fn another_protocol_may_be_called() -> Result<()> {
    everywhere(|| async {
        let (first, second) = (Log::default(), Log::default());
        let child = cat(&first).await?;
        let stdin = child.get_pipe_transport(0).expect("a pipe");
        stdin.write(b"one");
        until(|| first.data(1) == b"one").await?;
        child.set_protocol(Notes(second.clone()));
        stdin.write(b"two");
        stdin.close();
        second.until("lost true").await?;
        assert_eq!(second.data(1), b"two");
        assert_eq!(first.all(), ["made"]);
        Ok(())
    })
}

/// `test_subprocess.SubprocessMixin.test_popen_error`, with a protocol; and what is written to a pipe
/// that is read from.
#[test]
fn mistakes_are_errors() -> Result<()> {
    everywhere(|| async {
        let missing = subprocess_exec(|| (), "/nowhere/to/be/found").await;
        assert_eq!(kind(missing), std::io::ErrorKind::NotFound);
        let log = Log::default();
        let child = cat(&log).await?;
        let output = child.get_pipe_transport(1).expect("a pipe");
        assert!(!output.can_write_eof());
        output.write(b"wrong way");
        log.until("pipe 1 lost Some(Some(Unsupported))").await?;
        child.close();
        log.until("lost true").await
    })
}

/// The task of the child is cancelled with all others at the end of a program.
#[test]
fn a_program_that_ends_takes_its_children_along() -> Result<()> {
    let pid = asyncio_core::run(async {
        let child = sleeper(&Log::default()).await?;
        sleep(0).await?;
        Ok(child.get_pid())
    })?;
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // Its number, its name, and what it does: a zombie does nothing any more.
        status.map_or(true, |status| status.contains(") Z "))
    };
    let begin = std::time::Instant::now();
    while !gone() {
        assert!(begin.elapsed().as_secs() < 30, "it goes on");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}
