//! Clusters, asked by PostgreSQL's own programs and from outside.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_db::testing::{ClusterError, PgCluster, PgPrograms, StopMode};

fn shared() -> &'static PgCluster {
    PgCluster::shared().unwrap_or_else(|error| panic!("{error}"))
}

/// `psql`, where the installation has it.
fn psql(cluster: &PgCluster, dsn: &str, sql: &str) -> Option<Output> {
    let mut command = Command::new(cluster.programs().program("psql")?);
    command
        .args([
            "-X",
            "-A",
            "-t",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            dsn,
        ])
        .env("PGPASSWORD", PgCluster::PASSWORD)
        .stdin(Stdio::null());
    Some(command.output().expect("psql can be run"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn one(rows: &[Vec<Option<String>>]) -> &str {
    let value = rows.first().and_then(|row| row.first()?.as_deref());
    value.expect("one value")
}

/// Waits until a check holds, for some seconds.
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_answers_at_its_socket_and_its_port() {
    let cluster = shared();
    for dsn in [cluster.dsn(), cluster.tcp_dsn_of("postgres", "postgres")] {
        let Some(output) = psql(cluster, &dsn, "SELECT 6 * 7") else {
            // An installation without psql is asked by hand below.
            break;
        };
        assert_eq!(text(&output.stdout), "42", "{}", text(&output.stderr));
    }
    assert_eq!(
        one(&cluster.query("SELECT 6 * 7").expect("an answer")),
        "42"
    );
    assert!(TcpStream::connect(("127.0.0.1", cluster.port())).is_ok());
    assert!(UnixStream::connect(cluster.socket()).is_ok());
    assert!(cluster.is_running());
}

#[test]
fn the_folder_is_closed_to_others() {
    let mode = fs::metadata(shared().folder()).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o700);
}

#[test]
fn statements_return_the_rows_of_all_of_them_and_nulls() {
    let rows = shared()
        .query("SELECT 'a', NULL, ''; SELECT 2")
        .expect("rows");
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [vec![text("a"), None, text("")], vec![text("2")]]);
}

#[test]
fn an_error_of_the_server_has_its_code() {
    let failed = shared().query("SELECT 1 / 0").expect_err("no answer");
    let ClusterError::Server {
        sqlstate, message, ..
    } = &failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!((&**sqlstate, &**message), ("22012", "division by zero"));
}

/// Roles, what is added to their address, and whether they come in with TLS or why they do not.
type Cases<'a> = &'a [(&'a str, &'a str, Result<&'a str, &'a str>)];

/// Lets them try, where there is a psql.
fn come_in(cluster: &PgCluster, cases: Cases<'_>) {
    // TLS, as the server sees it.
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for (role, parameters, expected) in cases {
        let dsn = format!("{}{parameters}", cluster.tcp_dsn_of(role, "postgres"));
        let Some(output) = psql(cluster, &dsn, ask) else {
            continue;
        };
        let (said, failed) = (text(&output.stdout), text(&output.stderr));
        match expected {
            Ok(tls) => assert_eq!(said, *tls, "{role} {parameters}: {failed}"),
            Err(reason) => assert!(failed.contains(reason), "{role} {parameters}: {failed:?}"),
        }
    }
}

#[test]
fn roles_come_in_as_they_are_said_to() {
    let cluster = shared();
    let rejected = Err("pg_hba.conf rejects");
    come_in(
        cluster,
        &[
            ("all_scram", "?sslmode=disable", Ok("f")),
            ("all_md5", "?sslmode=disable", Ok("f")),
            ("all_plain", "?sslmode=disable", Ok("f")),
            ("tls_only", "?sslmode=disable", rejected),
            ("no_tls", "?sslmode=disable", Ok("f")),
            ("nobody_at_all", "?sslmode=disable", rejected),
        ],
    );
    let stored = cluster
        .query("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%' ORDER BY 1");
    assert_eq!(stored.expect("rows").len(), 2);
}

#[test]
fn roles_come_in_with_tls_as_they_are_said_to() {
    let cluster = match PgCluster::builder().tls().create() {
        Err(ClusterError::NoTls) => return,
        made => made.expect("a cluster"),
    };
    let certificates = cluster.certificates().expect("certificates");
    let root = certificates.authority().display();
    let verified = format!("?sslmode=verify-full&sslrootcert={root}");
    let known = format!(
        "{verified}&sslcert={}&sslkey={}",
        certificates.client().display(),
        certificates.client_key().display()
    );
    let rejected = Err("pg_hba.conf rejects");
    let unknown = Err("requires a valid client certificate");
    come_in(
        &cluster,
        &[
            (
                "all_scram",
                "?sslmode=require&channel_binding=require",
                Ok("t"),
            ),
            ("tls_only", "?sslmode=disable", rejected),
            ("tls_only", "?sslmode=allow", Ok("t")),
            ("tls_only", &verified, Ok("t")),
            ("no_tls", "?sslmode=require", rejected),
            ("no_tls", "?sslmode=prefer", Ok("f")),
            ("certified", &known, Ok("t")),
            ("certified", &verified, unknown),
        ],
    );
    assert_eq!(one(&cluster.query("SHOW ssl").expect("a setting")), "on");
}

#[test]
fn settings_and_access_are_taken_over() {
    let cluster = PgCluster::builder()
        .access("local all postgres reject")
        .access("local all postgres trust")
        .create();
    // The first line that fits decides, so that not even the administrator is let in.
    assert!(
        matches!(cluster, Err(ClusterError::Server { .. })),
        "{cluster:?}"
    );

    let cluster = PgCluster::builder()
        .setting("cluster_name", r"it's a \ path")
        .setting("max_connections", "11")
        .create()
        .expect("a cluster");
    let shown = cluster
        .query("SHOW cluster_name; SHOW max_connections")
        .expect("settings");
    assert_eq!(
        shown,
        [[Some(r"it's a \ path".to_owned())], [Some("11".to_owned())]]
    );
    assert!(cluster.log().contains("ready to accept connections"));
}

#[test]
fn a_bad_setting_fails_with_what_the_server_said() {
    let failed = PgCluster::builder().setting("work_mem", "plenty").create();
    let failed = failed.expect_err("no server").to_string();
    assert!(failed.starts_with("postgres has failed: "), "{failed}");
    assert!(failed.contains("work_mem"), "{failed}");
}

#[test]
fn data_outlives_every_way_to_restart() {
    let cluster = PgCluster::create().expect("a cluster");
    cluster.query("CREATE TABLE kept (x int)").expect("a table");
    for (rows, mode) in [StopMode::Fast, StopMode::Immediate]
        .into_iter()
        .enumerate()
    {
        cluster.query("INSERT INTO kept VALUES (1)").expect("a row");
        let (port, pid) = (cluster.port(), cluster.server_pid());
        cluster.restart(mode).expect("it starts again");
        assert_eq!(cluster.port(), port);
        assert_ne!(cluster.server_pid().expect("it runs"), pid.expect("it ran"));
        let count = cluster.query("SELECT count(*) FROM kept").expect("a count");
        assert_eq!(one(&count), (rows + 1).to_string());
    }
    assert!(cluster.log().contains("automatic recovery in progress"));
}

#[test]
fn a_server_that_is_stopped_takes_no_connections_and_starts_again() {
    let cluster = PgCluster::create().expect("a cluster");
    for _ in 0..2 {
        cluster.stop(StopMode::Fast).expect("it stops");
        assert!(!cluster.is_running());
        assert!(matches!(
            cluster.query("SELECT 1"),
            Err(ClusterError::Io { .. })
        ));
        assert!(matches!(
            cluster.server_pid(),
            Err(ClusterError::NotRunning)
        ));
        // Stopping once more does nothing.
        cluster.stop(StopMode::Immediate).expect("it stays stopped");
        cluster.start().expect("it starts");
        cluster.start().expect("it has started");
        cluster.query("SELECT 1").expect("an answer");
    }
}

#[test]
fn a_server_that_died_is_started_again() {
    let cluster = PgCluster::create().expect("a cluster");
    let pid = cluster.server_pid().expect("it runs").to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("kill can be run").success());
    soon("the server is gone", || !cluster.is_running());
    // What its children hold of shared memory goes with them, shortly after.
    soon("it starts", || cluster.start().is_ok());
    cluster.query("SELECT 1").expect("an answer");
}

#[test]
fn a_paused_server_answers_when_it_goes_on() {
    let cluster = PgCluster::create().expect("a cluster");
    let server = cluster.server_pid().expect("it runs");
    cluster.pause(server).expect("it stops in its tracks");
    thread::scope(|scope| {
        let asked = scope.spawn(|| cluster.query("SELECT 1"));
        thread::sleep(Duration::from_millis(100));
        assert!(!asked.is_finished());
        cluster.resume(server).expect("it goes on");
        let answer = asked.join().expect("no panic");
        assert_eq!(one(&answer.expect("an answer")), "1");
    });
}

#[test]
fn a_paused_backend_is_seen_and_hinders_no_stop() {
    let cluster = PgCluster::create().expect("a cluster");
    assert_eq!(cluster.backends().expect("a list"), []);
    thread::scope(|scope| {
        let asked = scope.spawn(|| cluster.query("SELECT pg_sleep(60)"));
        soon("a backend", || {
            cluster.backends().expect("a list").len() == 1
        });
        let backend = cluster.backends().expect("a list")[0];
        cluster.pause(backend).expect("it stops in its tracks");
        cluster.stop(StopMode::Fast).expect("it stops");
        assert!(asked.join().expect("no panic").is_err());
    });
    assert!(cluster.pause(0).is_err() && cluster.pause(-1).is_err() && cluster.pause(1).is_err());
}

#[test]
fn a_database_of_ones_own_is_dropped_with_its_value() {
    let cluster = shared();
    let database = cluster.create_database().expect("a database");
    let name = database.name().to_owned();
    database
        .query("CREATE TABLE here (x int)")
        .expect("a table");
    assert!(cluster.query("SELECT * FROM here").is_err());
    if let Some(output) = psql(cluster, &database.dsn(), "SELECT current_database()") {
        assert_eq!(text(&output.stdout), name);
    }
    let there = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    assert_eq!(cluster.query(&there).expect("rows").len(), 1);
    drop(database);
    assert_eq!(cluster.query(&there).expect("rows").len(), 0);
}

#[test]
fn two_clusters_stand_beside_each_other() {
    let (one, two) = (PgCluster::create(), PgCluster::create());
    let (one, two) = (one.expect("a cluster"), two.expect("a cluster"));
    assert_ne!((one.port(), one.folder()), (two.port(), two.folder()));
    one.query("CREATE DATABASE mine").expect("a database");
    let there = "SELECT 1 FROM pg_database WHERE datname = 'mine'";
    assert_eq!(two.query(there).expect("rows").len(), 0);
}

#[test]
fn the_programs_are_those_of_a_server() {
    let programs = PgPrograms::find().expect("programs");
    for name in ["initdb", "postgres"] {
        let path = programs.program(name).expect("it is there");
        let mut version = Command::new(path);
        let output = version.arg("--version").output().expect("it can be run");
        assert!(text(&output.stdout).contains("PostgreSQL"));
    }
    assert_eq!(programs.program("no-such-program"), None);
}

#[test]
fn a_connection_is_closed_by_a_stop() {
    let cluster = PgCluster::create().expect("a cluster");
    let mut stream = UnixStream::connect(cluster.socket()).expect("a connection");
    cluster.stop(StopMode::Immediate).expect("it stops");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end");
}
