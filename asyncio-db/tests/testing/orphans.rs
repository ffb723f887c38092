//! No server outlives its test, whatever becomes of it.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio, exit};

use asyncio_db::testing::PgCluster;

use super::cluster::soon;

/// How the child of the test below is to end.
const ENDING: &str = "ASYNCIO_DB_TEST_ENDING";

fn alive(pid: &str) -> bool {
    // A zombie is none of ours: the system's first process, or who stands in for it, is to reap it.
    let shown = Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
    let shown = shown.expect("ps can be run").stdout;
    shown.first().is_some_and(|state| *state != b'Z')
}

/// Runs this very test in a child that ends in some way, and looks at what is left.
#[test]
fn a_server_ends_with_its_process() {
    if let Ok(ending) = env::var(ENDING) {
        child(&ending);
    }
    for ending in ["kill", "abort", "exit", "paused"] {
        let this = env::current_exe().expect("this program");
        let mut child = Command::new(this)
            .args([
                "orphans::a_server_ends_with_its_process",
                "--exact",
                "--nocapture",
            ])
            .env(ENDING, ending)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let said = output.lines().map_while(Result::ok);
        let mut said = said.filter_map(|line| Some(line.split_once("cluster: ")?.1.to_owned()));
        let said = said.next().expect("the cluster of the child");
        let (pid, folder) = said.split_once(' ').expect("two words");
        assert!(alive(pid) && Path::new(folder).exists(), "{ending}");
        if ending == "kill" || ending == "paused" {
            child.kill().expect("it can be killed");
        }
        // The end of its input lets the others go on.
        drop(child.stdin.take());
        child.wait().expect("it ends");
        soon("the server is gone", || !alive(pid));
        soon("the folder is gone", || !Path::new(folder).exists());
    }
}

#[expect(clippy::print_stdout, reason = "that is how the parent hears of it")]
fn child(ending: &str) -> ! {
    let cluster = PgCluster::shared().expect("a cluster");
    let pid = cluster.server_pid().expect("it runs");
    if ending == "paused" {
        cluster.pause(pid).expect("it stops in its tracks");
    }
    println!("\ncluster: {pid} {}", cluster.folder().display());
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).expect("an end");
    match ending {
        "exit" => exit(0),
        _ => std::process::abort(),
    }
}

#[test]
fn a_server_ends_with_a_test_that_panics() {
    let mut seen = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let cluster = PgCluster::create().expect("a cluster");
        seen = Some((
            cluster.server_pid().expect("it runs").to_string(),
            cluster.folder().to_owned(),
        ));
        panic!("as tests do");
    }));
    assert!(panicked.is_err());
    let (pid, folder) = seen.expect("it was there");
    assert!(!alive(&pid) && !folder.exists());
}
