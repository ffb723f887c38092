//! asyncpg's `test_connect.py`, as far as it is about sessions; `pg::config` has its cases of DSNs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_core::{Result, RuntimeError, sleep};
use asyncio_db::ExceptionExt as _;
use asyncio_db::exc;
use asyncio_db::pg::{Config, InterfaceError, connect};
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
