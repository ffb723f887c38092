//! asyncpg's `test_connect.py`, as far as it is about sessions; `pg::config` has its cases of DSNs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_core::{Result, RuntimeError, sleep};
use asyncio_db::ExceptionExt as _;
use asyncio_db::exc;
use asyncio_db::pg::{Config, InterfaceError, SslMode, connect, create_pool};
use asyncio_db::testing::{ClusterError, PgCluster};

use crate::support::{error_of, everywhere, in_ci, on_tokio};

/// `test_get_settings_01`, `test_server_version_01`, `test_server_version_02`.
#[test]
fn a_session_says_what_the_server_is() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server
            .connect()
            .server_setting("application_name", "it")
            .await?;
        assert_eq!(connection.get_setting("client_encoding"), Some("UTF8"));
        assert_eq!(connection.get_setting("application_name"), Some("it"));
        connection
            .execute("SET TimeZone = 'Asia/Tokyo'", ())
            .await?;
        assert_eq!(connection.get_setting("TimeZone"), Some("Asia/Tokyo"));
        let version = connection.get_server_version();
        let number: Option<String> = connection.fetchval("SHOW server_version_num", ()).await?;
        let number: u32 = number.and_then(|it| it.parse().ok()).expect("a number");
        assert_eq!(
            (version.major, version.minor),
            (number / 10_000, number % 10_000)
        );
        Ok(())
    })
}

/// `test_connection_use_after_close`: what is closed is given away; a session that has ended says so.
#[test]
fn what_has_ended_is_of_no_use() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut other = server.connection().await?;
        let pid = connection.get_server_pid();
        other
            .execute("SELECT pg_terminate_backend($1, 10000)", (pid,))
            .await?;
        let first = connection.execute("SELECT 1", ()).await;
        assert!(first.is_err());
        assert!(connection.is_closed());
        for _ in 0..2 {
            error_of::<InterfaceError>(connection.execute("SELECT 1", ()).await);
            error_of::<InterfaceError>(connection.fetch("SELECT 1", ()).await);
            error_of::<InterfaceError>(connection.transaction().await);
            error_of::<InterfaceError>(connection.prepare("SELECT 1").await);
            error_of::<InterfaceError>(connection.reset().await);
        }
        connection.close().await
    })
}

/// `test_connect_args_validation`: what asyncpg finds out about arguments is mostly said by types here; what
/// is left is said by the server or by us.
#[test]
fn what_cannot_be_is_said() -> Result<()> {
    everywhere(|server| async move {
        let refused = server
            .connect()
            .server_setting("no such setting", "x")
            .await;
        assert!(refused.is_err());
        let refused = server.connect().server_setting("zero\0byte", "x").await;
        assert!(refused.is_err());
        Ok(())
    })
}

/// `test_auth_password_cleartext_callable`, `test_auth_password_cleartext_callable_coroutine`,
/// `test_auth_password_cleartext_callable_awaitable`: the function is asked each time, and its error is the
/// outcome.
#[test]
fn a_function_has_the_password() -> Result<()> {
    let access = "host all asked 127.0.0.1/32 password";
    let cluster = match PgCluster::builder().access(access).create() {
        Ok(cluster) => Arc::new(cluster),
        Err(ClusterError::NotFound) if !in_ci() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    cluster.query("CREATE ROLE asked LOGIN PASSWORD 'secret'")?;
    on_tokio(async move {
        let dsn = cluster.tcp_dsn_of("asked", "postgres");
        let asked = Arc::new(AtomicUsize::new(0));
        for round in 1..=3 {
            let count = Arc::clone(&asked);
            let connection = connect(Config::from_dsn(&dsn))
                .password_fn(move || {
                    let count = Arc::clone(&count);
                    async move {
                        sleep(0.001).await?;
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok("secret".to_owned())
                    }
                })
                .await?;
            connection.close().await?;
            assert_eq!(asked.load(Ordering::Relaxed), round);
        }
        let wrong = connect(Config::from_dsn(&dsn))
            .password_fn(async || Ok("wrong".to_owned()))
            .await;
        let error = wrong.expect_err("it is wrong");
        assert!(error.is_pg::<exc::InvalidPasswordError>(), "{error:?}");
        let failing = connect(Config::from_dsn(&dsn))
            .password_fn(async || Err(RuntimeError::new("no token").into()))
            .await;
        error_of::<RuntimeError>(failing);
        Ok(())
    })
}

/// A file of a test's own, which is taken away with it.
struct Written(std::path::PathBuf);

impl Written {
    fn new(name: &str, content: &str, mode: u32) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        static LAST: AtomicUsize = AtomicUsize::new(0);
        // The order of these numbers is of no importance, only that each is another.
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-db-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        Ok(Self(path))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn password_of(config: &Config) -> Result<Option<String>> {
    let found = config.resolve()?;
    Ok(found.servers[0]
        .password
        .as_ref()
        .map(|it| it.reveal().to_owned()))
}

/// `test_connect_pgpass_regular`: the first line that fits counts.
#[test]
fn a_password_is_found_in_its_file() -> Result<()> {
    let lines = "# a comment\nabc:*:*:user:password from pgpass for user@abc
localhost:*:*:*:password from pgpass for localhost
cde:5433:*:*:password from pgpass for cde:5433
*:*:*:testuser:password from pgpass for testuser
*:*:testdb:*:password from pgpass for testdb
*:*:test\\:db:test\\\\:password from pgpass with escapes
*:*:*:*:password from pgpass for nobody in particular
";
    let file = Written::new("pgpass", lines, 0o600)?;
    for (host, port, user, database, password) in [
        (
            "abc",
            5432,
            "user",
            "x",
            "password from pgpass for user@abc",
        ),
        (
            "localhost",
            5432,
            "a",
            "b",
            "password from pgpass for localhost",
        ),
        ("cde", 5433, "a", "b", "password from pgpass for cde:5433"),
        (
            "other",
            5432,
            "testuser",
            "x",
            "password from pgpass for testuser",
        ),
        (
            "other",
            5432,
            "x",
            "testdb",
            "password from pgpass for testdb",
        ),
        (
            "other",
            5432,
            "test\\",
            "test:db",
            "password from pgpass with escapes",
        ),
        (
            "other",
            5432,
            "x",
            "y",
            "password from pgpass for nobody in particular",
        ),
    ] {
        let config = Config::new()
            .host(host)
            .port(port)
            .user(user)
            .database(database)
            .passfile(file.path());
        assert_eq!(password_of(&config)?.as_deref(), Some(password));
        // What is told is worth more.
        assert_eq!(
            password_of(&config.password("told"))?.as_deref(),
            Some("told")
        );
    }
    Ok(())
}

/// `test_connect_pgpass_badness_mode`, `test_connect_pgpass_badness_non_file`,
/// `test_connect_pgpass_nonexistent`, `test_connect_pgpass_inaccessible_file`,
/// `test_connect_pgpass_inaccessible_directory`: a file that others can read is none, and so is what is no
/// file.
#[test]
fn a_file_of_passwords_that_is_none_is_passed_over() -> Result<()> {
    let open = Written::new("pgpass", "*:*:*:*:secret", 0o644)?;
    let config = Config::new().host("abc").user("user").database("db");
    assert_eq!(password_of(&config.clone().passfile(open.path()))?, None);
    for path in [
        std::env::temp_dir(),
        std::env::temp_dir().join("there/is/none"),
    ] {
        let path = path.display().to_string();
        assert_eq!(password_of(&config.clone().passfile(path))?, None);
    }
    Ok(())
}

/// `test_connect_connection_service_file`.
#[test]
fn a_service_says_where_the_server_is() -> Result<()> {
    let lines =
        "[one]\nhost=here\nport=5433\nuser=me\npassword=secret\ndbname=it\n\n[two]\nhost=there\n";
    let file = Written::new("service", lines, 0o600)?;
    let config = Config::new().servicefile(file.path()).service("one");
    let found = config.resolve()?;
    assert_eq!((&*found.user, &*found.database), ("me", "it"));
    assert_eq!(password_of(&config)?.as_deref(), Some("secret"));
    // What is told is worth more; and what is not there is said.
    assert_eq!(config.user("you").resolve()?.user, "you");
    let missing = Config::new()
        .servicefile(file.path())
        .service("three")
        .resolve();
    assert!(missing.is_err());
    Ok(())
}

/// `test_connection_ssl_to_no_ssl_server`, `test_connection_sslmode_no_ssl_server`.
#[test]
fn a_server_without_encryption_is_good_enough_or_not() -> Result<()> {
    everywhere(|server| async move {
        let dsn = server.cluster.tcp_dsn_of("postgres", "postgres");
        for (mode, good) in [
            (SslMode::Disable, true),
            (SslMode::Allow, true),
            (SslMode::Prefer, true),
            (SslMode::Require, false),
            (SslMode::VerifyCa, false),
            (SslMode::VerifyFull, false),
        ] {
            let connected = connect(Config::from_dsn(&dsn)).ssl(mode).await;
            assert_eq!(connected.is_ok(), good, "{mode:?}: {connected:?}");
        }
        Ok(())
    })
}

/// `test_ssl_connection_pool`, `test_nossl_connection_pool`, `test_executemany_uvloop_ssl_issue_700`.
#[cfg(feature = "tls")]
#[test]
fn a_pool_is_encrypted_or_not() -> Result<()> {
    let Some(cluster) = crate::connect::tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        for (user, mode, encrypted) in [
            ("tls_only", SslMode::Require, true),
            ("no_tls", SslMode::Prefer, false),
        ] {
            let dsn = cluster.tcp_dsn_of(user, "postgres");
            let pool = create_pool(connect(Config::from_dsn(&dsn)).ssl(mode))
                .min_size(2)
                .max_size(2)
                .await?;
            let mut tasks = Vec::new();
            for _ in 0..8 {
                let pool = pool.clone();
                tasks.push(asyncio_core::create_task(async move {
                    let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                    let mut lent = pool.acquire().await?;
                    assert_eq!(lent.fetchval(query, ()).await?, Some(encrypted));
                    lent.execute("CREATE TEMP TABLE IF NOT EXISTS t (a int, b text)", ())
                        .await?;
                    let rows = (0..2000).map(|n| (n, "x".repeat(100)));
                    lent.executemany("INSERT INTO t VALUES ($1, $2)", rows)
                        .await?;
                    lent.copy_records_to_table("t", (0..2000).map(|n| (n, "y".repeat(100))))
                        .await?;
                    Ok(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            pool.close().await?;
        }
        Ok(())
    })
}
