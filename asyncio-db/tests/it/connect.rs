//! How sessions begin: passwords, TLS, what is refused.

use asyncio_core::Result;
use asyncio_db::pg::{Config, InterfaceError, SessionAttrs, SslMode, connect};
use asyncio_db::testing::PgCluster;
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{error_of, everywhere};

/// An address by TCP, with a password where one is given.
fn tcp(cluster: &PgCluster, user: &str, password: Option<&str>) -> String {
    let dsn = cluster.tcp_dsn_of(user, "postgres");
    match password {
        None => dsn,
        Some(password) => dsn.replace(user, &format!("{user}:{password}")),
    }
}

/// A cluster that speaks TLS, for all tests that need one.
#[cfg(feature = "tls")]
pub(crate) fn tls_cluster() -> Option<&'static PgCluster> {
    use std::sync::OnceLock;

    use asyncio_db::testing::ClusterError;

    static CLUSTER: OnceLock<Result<PgCluster, ClusterError>> = OnceLock::new();
    crate::support::cluster()?;
    match CLUSTER.get_or_init(|| PgCluster::builder().tls().create()) {
        Ok(cluster) => Some(cluster),
        // What the server was built without cannot be tested with it.
        Err(ClusterError::NoTls) if !crate::support::in_ci() => None,
        Err(error) => panic!("there is no server to test with: {error:?}"),
    }
}

/// As it is written in an address.
fn password() -> String {
    PgCluster::PASSWORD.replace(' ', "%20")
}

#[test]
fn passwords_of_all_kinds() -> Result<()> {
    everywhere(|server| async move {
        let cluster = server.cluster;
        for user in ["all_scram", "all_md5", "all_plain"] {
            for mode in [SslMode::Disable, SslMode::Prefer] {
                let dsn = tcp(cluster, user, Some(&password()));
                let mut connection = connect(dsn).ssl(mode).await?;
                let who: Option<String> =
                    connection.fetchval("SELECT current_user::text", ()).await?;
                assert_eq!(who.as_deref(), Some(user));
                connection.close().await?;
                let error = connect(tcp(cluster, user, Some("wrong"))).ssl(mode).await;
                let error = error.expect_err("it is the wrong one");
                assert!(error.is_pg::<exc::InvalidPasswordError>(), "{error:?}");
                error_of::<InterfaceError>(connect(tcp(cluster, user, None)).ssl(mode).await);
            }
        }
        Ok(())
    })
}

#[test]
fn what_is_refused_says_why() -> Result<()> {
    everywhere(|server| async move {
        let cluster = server.cluster;
        let nobody = connect(tcp(cluster, "nobody_at_all", None)).await;
        let error = nobody.expect_err("it is refused");
        assert!(
            error.is_pg::<exc::InvalidAuthorizationSpecificationError>(),
            "{error:?}"
        );
        let database = connect(cluster.dsn_of("postgres", "there_is_none")).await;
        let error = database.expect_err("it is refused");
        assert!(error.is_pg::<exc::InvalidCatalogNameError>(), "{error:?}");
        error_of::<std::io::Error>(connect("postgresql://postgres@127.0.0.1:1/x").await);
        Ok(())
    })
}

#[cfg(feature = "tls")]
#[test]
fn encryption_as_it_is_asked_for() -> Result<()> {
    let Some(cluster) = tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        for (user, mode, encrypted) in [
            ("tls_only", SslMode::Prefer, Some(true)),
            ("tls_only", SslMode::Allow, Some(true)),
            ("tls_only", SslMode::Require, Some(true)),
            ("tls_only", SslMode::Disable, None),
            ("no_tls", SslMode::Prefer, Some(false)),
            ("no_tls", SslMode::Allow, Some(false)),
            ("no_tls", SslMode::Disable, Some(false)),
            ("no_tls", SslMode::Require, None),
        ] {
            let connected = connect(tcp(cluster, user, None)).ssl(mode).await;
            match (connected, encrypted) {
                (Ok(mut connection), Some(_)) => {
                    let found: Option<bool> = connection.fetchval(query, ()).await?;
                    assert_eq!(found, encrypted, "{user} {mode:?}");
                    // What interrupts it goes the same way.
                    let sleeping = connection.execute("SELECT pg_sleep(60)", ());
                    assert!(asyncio_core::timeout(0.01, sleeping).await.is_err());
                    assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
                }
                (Err(_), None) => {}
                (connected, _) => panic!("{user} {mode:?}: {connected:?}"),
            }
        }
        Ok(())
    })
}

#[cfg(feature = "tls")]
#[test]
fn authentication_is_bound_to_the_encryption() -> Result<()> {
    let Some(cluster) = tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        // The server offers SCRAM-SHA-256-PLUS over TLS, and refuses who could have bound to it and says
        // that it was not offered: so it was bound.
        let dsn = tcp(cluster, "all_scram", Some(&password()));
        let mut connection = connect(dsn).ssl(SslMode::Require).await?;
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

#[cfg(feature = "tls")]
#[test]
fn servers_prove_who_they_are() -> Result<()> {
    let Some(cluster) = tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        let certificates = cluster.certificates().expect("it speaks TLS");
        let config = Config::from_dsn(&tcp(cluster, "tls_only", None));
        let trusting = config
            .clone()
            .sslrootcert(certificates.authority().display().to_string());
        for mode in [SslMode::VerifyCa, SslMode::VerifyFull, SslMode::Require] {
            let connection = connect(&trusting).ssl(mode).await;
            connection.inspect_err(|error| error.add_note(format!("{mode:?}")))?;
        }
        for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
            assert!(
                connect(&config).ssl(mode).await.is_err(),
                "it is no authority of Mozilla's"
            );
        }
        Ok(())
    })
}

#[test]
fn a_session_that_is_ended_by_the_server_says_so() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let pid = connection.get_server_pid();
        let mut other = server.connection().await?;
        let sleeping = asyncio_core::create_task(async move {
            let error = connection.execute("SELECT pg_sleep(60)", ()).await;
            let error = error.expect_err("it is ended");
            assert!(error.is_pg::<exc::AdminShutdownError>(), "{error:?}");
            assert!(connection.is_closed());
            error_of::<InterfaceError>(connection.fetch("SELECT 1", ()).await);
            Ok(())
        });
        asyncio_core::sleep(0.01).await?;
        other
            .execute("SELECT pg_terminate_backend($1)", (pid,))
            .await?;
        sleeping.await
    })
}

#[test]
fn notices_are_told() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let own = std::sync::Arc::clone(&heard);
        let id = connection.add_log_listener(move |notice| {
            let mut heard = own.lock().expect("nobody panics with it");
            heard.push((notice.sqlstate().to_owned(), notice.message().to_owned()));
        });
        let script = "DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$";
        connection.execute(script, ()).await?;
        assert!(connection.remove_log_listener(id));
        connection.execute(script, ()).await?;
        let heard = heard.lock().expect("nobody panics with it").clone();
        assert_eq!(heard, [("01000".to_owned(), "mind the gap".to_owned())]);
        assert_eq!(connection.get_setting("client_encoding"), Some("UTF8"));
        connection
            .execute("SET application_name = 'told'", ())
            .await?;
        assert_eq!(connection.get_setting("application_name"), Some("told"));
        Ok(())
    })
}

#[test]
fn servers_are_chosen_by_what_they_are() -> Result<()> {
    everywhere(|server| async move {
        let config = Config::from_dsn(&server.cluster.dsn());
        for (attrs, good) in [
            (SessionAttrs::Any, true),
            (SessionAttrs::Primary, true),
            (SessionAttrs::ReadWrite, true),
            (SessionAttrs::PreferStandby, true),
            (SessionAttrs::Standby, false),
            (SessionAttrs::ReadOnly, false),
        ] {
            let connected = connect(config.clone().target_session_attrs(attrs)).await;
            assert_eq!(connected.is_ok(), good, "{attrs:?}: {connected:?}");
            if !good {
                error_of::<InterfaceError>(connected);
            }
        }
        // By default its sessions write nothing.
        let reading = config.server_setting("default_transaction_read_only", "on");
        let connected = connect(reading.target_session_attrs(SessionAttrs::ReadOnly)).await?;
        connected.close().await
    })
}

#[test]
fn the_first_server_that_answers_is_taken() -> Result<()> {
    everywhere(|server| async move {
        let folder = server.cluster.folder().display().to_string();
        let config = Config::from_dsn(&server.cluster.dsn());
        let connecting = config.hosts(["/nowhere/at/all".to_owned(), folder]);
        let mut connection = connect(connecting).await?;
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        connection.close().await
    })
}

#[cfg(feature = "tls")]
#[test]
fn a_client_is_known_by_its_certificate() -> Result<()> {
    let Some(cluster) = tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        let certificates = cluster.certificates().expect("it speaks TLS");
        let text = |path: &std::path::Path| path.display().to_string();
        let config = Config::from_dsn(&tcp(cluster, "certified", None))
            .ssl(SslMode::VerifyCa)
            .sslrootcert(text(certificates.authority()));
        assert!(connect(&config).await.is_err(), "nobody vouches for it");
        let config = config
            .sslcert(text(certificates.client()))
            .sslkey(text(certificates.client_key()));
        let mut connection = connect(config).await?;
        let who: Option<String> = connection.fetchval("SELECT current_user::text", ()).await?;
        assert_eq!(who.as_deref(), Some("certified"));
        connection.close().await
    })
}

#[cfg(feature = "tls")]
#[test]
fn a_binding_that_is_required_is_there() -> Result<()> {
    let Some(cluster) = tls_cluster() else {
        return Ok(());
    };
    everywhere(move |_| async move {
        let required = |dsn: String| Config::from_dsn(&format!("{dsn}?channel_binding=require"));
        let bound = required(tcp(cluster, "all_scram", Some(&password())));
        connect(&bound).ssl(SslMode::Require).await?.close().await?;
        // Without TLS there is nothing to bind to, and a password of another kind is not bound.
        error_of::<InterfaceError>(connect(&bound).ssl(SslMode::Disable).await);
        let other = required(tcp(cluster, "all_md5", Some(&password())));
        error_of::<InterfaceError>(connect(other).ssl(SslMode::Require).await);
        Ok(())
    })
}
