//! libpq's `key=value`, settings, times, and what is shown.

use std::time::Duration;

use super::super::{IntoConfig, SslMode};
use super::{Case, Config, shown, told};

/// `test_connect.TestConnectParams.test_connect_params`: `params_ssl_negotiation_dsn`,
/// `params_ssl_negotiation_env`, `params_ssl_negotiation_params`
#[test]
fn tls_at_once() {
    let dsn = "postgres://me:pw@localhost/db";
    let direct = |case: Case<'_>| case.found().tls.direct;
    let by_dsn = Case::dsn(&format!("{dsn}?sslnegotiation=direct"));
    assert!(direct(by_dsn.env(&[("PGSSLNEGOTIATION", "postgres")])));
    let env = [("PGSSLNEGOTIATION", "direct")];
    assert!(direct(Case::dsn(dsn).env(&env)));
    assert!(!direct(
        Case::dsn(dsn)
            .env(&env)
            .with(|config| config.direct_tls(false))
    ));
    assert!(direct(
        Case::dsn(dsn).with(|config| config.direct_tls(true))
    ));
    assert!(!direct(Case::dsn(dsn)));
    Case::dsn(&format!("{dsn}?sslnegotiation=maybe"))
        .fails("sslnegotiation must be one of: postgres direct");
    // It needs encryption, which is then required unless it was said otherwise.
    assert_eq!(Case::dsn(dsn).env(&env).found().tls.mode, SslMode::Require);
    Case::dsn(&format!("{dsn}?sslmode=prefer"))
        .env(&env)
        .fails("needs sslmode=require");
}

#[test]
fn keys_and_values_as_of_libpq() {
    Case::dsn("host=h port=1 dbname=db user=me password=pw").gives("me pw db h:1 any");
    Case::dsn("  host = h   port= 1 dbname ='my db' user='it\\'s' password=a\\ b\\\\ ")
        .gives("it's a b\\ my db h:1 any");
    Case::dsn("host='' user=me dbname=''")
        .env(&[("PGHOST", "envhost")])
        .gives("me - me envhost:5432 any");
    Case::dsn("host=a host=b user=me").gives("me - me b:5432 any");
    let found = Case::dsn("user=me host=/tmp search_path=a,b").found();
    assert_eq!(found.server_settings["search_path"], "a,b");
    for (wrong, reason) in [
        ("host=h user", "has no value"),
        ("host=h =x", "has no value"),
        ("a b=c", "has no value"),
        ("host='h", "has no end"),
        ("user", "invalid DSN"),
    ] {
        Case::dsn(wrong).fails(reason);
    }
}

#[test]
fn settings_of_the_environment_yield_to_all_others() {
    let env = [("PGAPPNAME", "env"), ("PGOPTIONS", "-c jit=off")];
    let dsn = "postgresql://h/?fallback_application_name=last";
    let found = Case::dsn(dsn).env(&env).found();
    assert_eq!(found.server_settings["application_name"], "env");
    assert_eq!(found.server_settings["options"], "-c jit=off");
    let found = Case::dsn(dsn).found();
    assert_eq!(found.server_settings["application_name"], "last");
    let found = Case::dsn(&format!("{dsn}&application_name=dsn"))
        .env(&env)
        .found();
    assert_eq!(found.server_settings["application_name"], "dsn");
    let found = Case::dsn(&format!("{dsn}&application_name=dsn"))
        .env(&env)
        .with(|config| config.server_setting("application_name", "kw"))
        .found();
    assert_eq!(found.server_settings["application_name"], "kw");
}

#[test]
fn the_time_to_connect() {
    let seconds = |case: Case<'_>| case.found().timeout.map(|limit| limit.as_secs());
    assert_eq!(seconds(Case::dsn("connect_timeout=7 host=h")), Some(7));
    assert_eq!(seconds(Case::dsn("connect_timeout=1 host=h")), Some(2));
    assert_eq!(seconds(Case::dsn("connect_timeout=0 host=h")), None);
    assert_eq!(seconds(Case::dsn("connect_timeout=-1 host=h")), None);
    assert_eq!(
        seconds(Case::new().env(&[("PGCONNECT_TIMEOUT", "9")])),
        Some(9)
    );
    let keyword = Case::dsn("connect_timeout=7 host=h");
    let keyword = keyword.with(|config| config.timeout(Duration::from_secs(3)));
    assert_eq!(seconds(keyword), Some(3));
    Case::dsn("connect_timeout=soon host=h").fails("no number of seconds");
}

#[test]
fn what_libpq_knows_and_we_do_not_is_no_setting() {
    Case::dsn("host=h hostaddr=127.0.0.1").fails("the parameter hostaddr is not supported");
    Case::dsn("host=h gssencmode=require").fails("gssencmode must be one of: disable prefer");
    Case::dsn("host=h client_encoding=latin1").fails("client_encoding must be one of");
    let found = Case::dsn("host=h gssencmode=prefer keepalives=1 client_encoding=UTF8").found();
    assert!(found.server_settings.is_empty());
    let found = Case::dsn("postgresql://h/db?ssl=true").found();
    assert_eq!(found.tls.mode, SslMode::Require);
    assert!(
        Case::dsn("host=a,b load_balance_hosts=random")
            .found()
            .load_balance_hosts
    );
    let random = Case::dsn("host=a,b").with(|config| config.load_balance_hosts(true));
    assert!(random.found().load_balance_hosts && !Case::dsn("host=a,b").found().load_balance_hosts);
}

#[test]
fn passwords_are_never_shown() {
    let secret = "s3cr3t";
    for case in [
        Case::dsn("postgresql://me:s3cr3t@h/db?sslpassword=s3cr3t"),
        Case::dsn("host=h password=s3cr3t sslpassword='s3cr3t'"),
        Case::new().with(|config| config.password(secret).sslpassword(secret)),
        Case::new().env(&[("PGPASSWORD", secret), ("PGSSLPASSWORD", secret)]),
    ] {
        let found = case.found();
        assert!(
            found.servers[0]
                .password
                .as_ref()
                .is_some_and(|known| known.reveal() == secret)
        );
        assert!(
            found
                .tls
                .key_password
                .as_ref()
                .is_some_and(|known| known.reveal() == secret)
        );
        for shown in [format!("{:?}", case.config), format!("{found:#?}")] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    // Nor is what may be a part of one that was written wrongly.
    for dsn in [
        "postgresql://me:s3/s3cr3t@h:s3cr3t/db?s3cr3t",
        "postgresql://me:x@s3cr3t:s3cr3t@h/db",
        "postgresql://me:x?s3cr3t@h/db",
        "postgresql://me:[s3cr3t@h/db?port=s3cr3t",
        "s3cr3t://me:s3cr3t",
        "host=h sslmode=s3cr3t",
        "host=h password='s3cr3t",
        "host=h password=x s3cr3t",
    ] {
        if let Err(error) = Case::dsn(dsn).resolve() {
            assert!(!error.contains(secret), "{dsn}: {error}");
        }
    }
}

#[test]
fn texts_and_configurations_are_taken() {
    fn take(config: impl IntoConfig) -> String {
        let case = Case::new().with(|_| config.into_config());
        shown(&case.found())
    }
    let dsn = "postgresql://me@h/db";
    let (config, owned) = (Config::from_dsn(dsn), dsn.to_owned());
    for found in [
        take(dsn),
        take(dsn.to_owned()),
        take(&owned),
        take(&config),
        take(config),
    ] {
        assert_eq!(found, "me - db h:5432 any");
    }
    assert_eq!(take(told(Config::new())), "kwrole kwpw kwdb kwhost:456 any");
}

#[test]
fn a_mistake_is_told_when_it_is_resolved() {
    let config = Config::from_dsn("nonsense");
    let failed = config.resolve().expect_err("it is none");
    assert!(failed.to_string().starts_with("invalid DSN"));
    assert!(format!("{config:?}").contains("invalid DSN"));
}
