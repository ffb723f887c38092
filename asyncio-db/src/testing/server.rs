//! A program that ends with the process that started it.
//!
//! A server that outlives its test would hold a port and a folder until somebody finds it. No
//! destructor prevents that, for a process may be killed, may abort, or may keep its server in a
//! `static`. What always happens is that the system closes the files of a process. So a small shell
//! script stands between: it has the reading end of a pipe whose writing end only we hold (the standard
//! library opens it so that no other child inherits it), and when that is at its end, whatever the
//! reason, the script ends the program and removes the folder.
//!
//! *Refused:* `PR_SET_PDEATHSIG`, which Linux alone has, which takes `unsafe`, and which is sent when
//! the *thread* that started the program ends, as those of a test harness do.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ClusterError;
use super::account::Account;

/// How often something is looked at that tells nobody when it changes.
const GLANCE: Duration = Duration::from_millis(5);

/// Runs `"$@"`, and lives as long as it does. `$1` is the folder that goes with it.
///
/// A child waits for the end of the pipe, then asks the program to quit at once (and first to go on,
/// should it be stopped). It sends SIGTERM as well, for a shell makes what runs in its background deaf to
/// SIGQUIT, which a server undoes and `initdb` does not. The system sends SIGHUP to a group of processes
/// that lost its parent while one of them is stopped, which must not end the script. The child leaves a mark so that the script knows that nobody is left to remove the
/// folder. Who reads is a command of the shell's own: killing it leaves nothing behind.
const SCRIPT: &str = r#"
folder=$1
shift
trap '' HUP
exec 3<&0 </dev/null
"$@" >/dev/null 3<&- &
program=$!
(
    exec >/dev/null
    read -r _ <&3
    : >"$folder/abandoned"
    kill -CONT "$program"
    kill -QUIT "$program"
    kill -TERM "$program"
) 2>/dev/null &
watch=$!
echo "$program"
exec >/dev/null 3<&-
wait "$program"
status=$?
if [ -e "$folder/abandoned" ]; then
    rm -rf "$folder"
else
    kill "$watch" 2>/dev/null
fi
exit "$status"
"#;

/// A program that is running.
#[derive(Debug)]
pub(super) struct Guarded {
    script: Child,
    pid: Pid,
    /// Its end is what the script waits for.
    _lifeline: ChildStdin,
}

impl Guarded {
    /// Starts a program whose errors go to a file.
    pub(super) fn start(
        account: Account,
        folder: &Path,
        log: &Path,
        program: &[String],
    ) -> Result<Self, ClusterError> {
        let what = || format!("start {}", program.first().map_or("nothing", |name| name));
        let errors = File::options()
            .append(true)
            .create(true)
            .open(log)
            .map_err(ClusterError::io(format!("open {}", log.display())))?;
        account.own(log)?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(folder)
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // The account may not enter the folder in which the test runs.
            .current_dir(folder)
            // The caller's own settings of the client and the server are not those of a test.
            .env_remove("PGDATA")
            .env_remove("PGPORT")
            .env_remove("PGOPTIONS")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            // Ctrl-C is meant for the test, whose end ends the server.
            .process_group(0);
        account.apply(&mut command);
        let mut script = command.spawn().map_err(ClusterError::io(what()))?;
        let (Some(lifeline), Some(said)) = (script.stdin.take(), script.stdout.take()) else {
            return Err(ClusterError::io(what())(
                std::io::ErrorKind::BrokenPipe.into(),
            ));
        };
        let mut line = String::new();
        BufReader::new(said)
            .read_line(&mut line)
            .map_err(ClusterError::io(what()))?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let Some(pid) = pid else {
            // The end of the lifeline ends what there is.
            drop(lifeline);
            let _ = script.wait();
            return Err(ClusterError::io(what())(
                std::io::ErrorKind::InvalidData.into(),
            ));
        };
        Ok(Self {
            script,
            pid,
            _lifeline: lifeline,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends the program a signal.
    pub(super) fn signal(&self, signal: Signal) {
        // That there is nobody left to hear it is found out by `wait`.
        let _ = kill_process(self.pid, signal);
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, ClusterError> {
        self.script
            .try_wait()
            .map_err(ClusterError::io("wait for a program"))
    }

    /// Waits for its end.
    pub(super) fn wait(
        &mut self,
        what: &'static str,
        patience: Duration,
    ) -> Result<ExitStatus, ClusterError> {
        eventually(what, patience, || self.ended())
    }
}

/// Asks again and again until there is an answer.
pub(super) fn eventually<T>(
    what: &'static str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, ClusterError>,
) -> Result<T, ClusterError> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() >= patience {
            return Err(ClusterError::TimedOut {
                what,
                after: patience,
            });
        }
        thread::sleep(GLANCE);
    }
}
