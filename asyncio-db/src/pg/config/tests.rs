//! What asyncpg's `test_connect.TestConnectParams` asks, and what libpq's documentation says beyond.

mod chance;
mod files;
mod sources;
mod tls;

use super::surroundings::Surroundings;
use super::{Address, Config, ConnectionParameters, SslMode, resolve};

/// A configuration and its surroundings.
struct Case<'a> {
    config: Config,
    variables: &'a [(&'a str, &'a str)],
}

impl<'a> Case<'a> {
    fn dsn(dsn: &str) -> Self {
        Self {
            config: Config::from_dsn(dsn),
            variables: &[],
        }
    }

    fn new() -> Self {
        Self::dsn("")
    }

    fn env(mut self, variables: &'a [(&'a str, &'a str)]) -> Self {
        self.variables = variables;
        self
    }

    fn with(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    fn resolve(&self) -> Result<ConnectionParameters, String> {
        let around = Surroundings::new(self.variables, None, Some("account"));
        resolve::resolve(&self.config, &around).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn found(&self) -> ConnectionParameters {
        self.resolve()
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.config))
    }

    /// Compares `role password database server,server attributes`.
    #[track_caller]
    fn gives(self, expected: &str) -> ConnectionParameters {
        let found = self.found();
        assert_eq!(shown(&found), expected);
        found
    }

    #[track_caller]
    fn fails(self, expected: &str) {
        let failed = self.resolve().expect_err("it is wrong");
        assert!(failed.contains(expected), "{failed}");
    }
}

fn shown(found: &ConnectionParameters) -> String {
    let passwords: Vec<&str> = found
        .servers
        .iter()
        .map(|server| {
            server
                .password
                .as_ref()
                .map_or("-", |secret| secret.reveal())
        })
        .collect();
    let same = passwords.windows(2).all(|pair| pair[0] == pair[1]);
    let passwords = if same {
        passwords[0].to_owned()
    } else {
        passwords.join(",")
    };
    let servers: Vec<String> = found
        .servers
        .iter()
        .map(|server| match &server.address {
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        })
        .collect();
    let (user, database) = (&found.user, &found.database);
    let attrs = found.target_session_attrs.name();
    format!(
        "{user} {passwords} {database} {} {attrs}",
        servers.join(",")
    )
}

const ENV: [(&str, &str); 5] = [
    ("PGUSER", "envrole"),
    ("PGDATABASE", "envdb"),
    ("PGPASSWORD", "envpw"),
    ("PGHOST", "envhost"),
    ("PGPORT", "1234"),
];

fn env_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ENV.iter().chain(more).copied().collect()
}

fn told(config: Config) -> Config {
    config
        .host("kwhost")
        .port(456)
        .user("kwrole")
        .password("kwpw")
        .database("kwdb")
}

#[test]
fn nothing_told_is_the_account_at_the_usual_places() {
    let found = Case::new().gives(
        "account - account /run/postgresql/.s.PGSQL.5432,/var/run/postgresql/.s.PGSQL.5432,\
         /tmp/.s.PGSQL.5432,/private/tmp/.s.PGSQL.5432,localhost:5432 any",
    );
    assert_eq!(found.timeout, Some(std::time::Duration::from_secs(60)));
    assert_eq!(found.tls.mode, SslMode::Prefer);
    let nobody = Surroundings::new(&[], None, None);
    let failed = resolve::resolve(&Config::new(), &nobody).expect_err("no role");
    assert!(failed.to_string().contains("no name of a role"));
}

/// `all_env_default_ssl`, `params_override_env`, `params_override_env_and_dsn`,
/// `dsn_overrides_env_partially`, `params_override_env_and_dsn_ssl_prefer`,
/// `dsn_overrides_env_partially_ssl_prefer`
#[test]
fn the_more_important_source_counts() {
    let found = Case::new()
        .env(&ENV)
        .gives("envrole envpw envdb envhost:1234 any");
    assert_eq!(found.tls.mode, SslMode::Prefer);
    Case::new()
        .env(&ENV)
        .with(told)
        .gives("kwrole kwpw kwdb kwhost:456 any");
    for mode in ["allow", "prefer"] {
        let env = env_and(&[("PGSSLMODE", mode)]);
        let found = Case::dsn("postgres://dsnrole:dsnpw@localhost/dsndb")
            .env(&env)
            .with(|config| told(config).ssl(SslMode::Disable))
            .gives("kwrole kwpw kwdb kwhost:456 any");
        assert_eq!(found.tls.mode, SslMode::Disable);
        let found = Case::dsn("postgres://dsnrole:dsnpw@localhost:5555/dsndb")
            .env(&env)
            .gives("dsnrole dsnpw dsndb localhost:5555 any");
        assert_eq!(found.tls.mode.name(), mode);
    }
}

/// `dsn_only`, `dsn_only_multi_host`, `dsn_only_multi_host_and_port`, `multi_host_single_port`
#[test]
fn a_url_says_it_all() {
    Case::dsn("postgres://me:pw@localhost:5555/db").gives("me pw db localhost:5555 any");
    Case::dsn("postgresql://me@one,two/db").gives("me - db one:5432,two:5432 any");
    Case::dsn("postgresql://me@one:11,two:22/db").gives("me - db one:11,two:22 any");
    Case::dsn("postgres:///db?host=127.0.0.1,127.0.0.2&port=5432&user=me")
        .gives("me - db 127.0.0.1:5432,127.0.0.2:5432 any");
}

/// `target_session_attrs`, `target_session_attrs_2`, `target_session_attrs_3`
#[test]
fn session_attributes() {
    let dsn = "postgresql://me@one,two/db?target_session_attrs=standby";
    Case::dsn(dsn).gives("me - db one:5432,two:5432 standby");
    Case::dsn(dsn)
        .with(|config| config.target_session_attrs(super::SessionAttrs::ReadWrite))
        .gives("me - db one:5432,two:5432 read-write");
    for attrs in [
        "any",
        "primary",
        "standby",
        "prefer-standby",
        "read-write",
        "read-only",
    ] {
        Case::dsn("postgresql://me@one/db")
            .env(&[("PGTARGETSESSIONATTRS", attrs)])
            .gives(&format!("me - db one:5432 {attrs}"));
    }
    Case::dsn("postgresql://me@one/db?target_session_attrs=best")
        .fails("target_session_attrs must be one of: any primary");
}

/// `krbsrvname`, `krbsrvname_2`, `krbsrvname_3`, `gsslib`, `gsslib_2`, `gsslib_3`, `gsslib_4`, `gsslib_5`
#[test]
fn kerberos() {
    let env = [("PGKRBSRVNAME", "env"), ("PGGSSLIB", "sspi")];
    let dsn = "postgresql://me@h/db?krbsrvname=dsn&gsslib=gssapi";
    let found = Case::dsn(dsn).env(&env).found();
    assert_eq!(
        (found.krbsrvname.as_deref(), &*found.gsslib),
        (Some("dsn"), "gssapi")
    );
    let found = Case::dsn(dsn)
        .env(&env)
        .with(|config| config.krbsrvname("kw").gsslib("sspi"))
        .found();
    assert_eq!(
        (found.krbsrvname.as_deref(), &*found.gsslib),
        (Some("kw"), "sspi")
    );
    let found = Case::dsn("postgresql://me@h/db").env(&env).found();
    assert_eq!(
        (found.krbsrvname.as_deref(), &*found.gsslib),
        (Some("env"), "sspi")
    );
    let found = Case::dsn("postgresql://me@h/db").found();
    assert_eq!((found.krbsrvname, &*found.gsslib), (None, "gssapi"));
    Case::dsn("postgresql://me@h/db?gsslib=other").fails("gsslib must be one of: gssapi sspi");
}

/// `dsn_ipv6_multi_host`, `dsn_ipv6_multi_host_port`, `dsn_ipv6_multi_host_query_part`
#[test]
fn addresses_of_ipv6() {
    Case::dsn("postgresql://me@[fe80::1%25eth0],[::1]/db")
        .gives("me - db fe80::1%eth0:5432,::1:5432 any");
    Case::dsn("postgresql://me@[fe80::1]:11,[::1]:22/db").gives("me - db fe80::1:11,::1:22 any");
    Case::dsn("postgresql:///db?user=me&host=[fe80::1],[::1]:7")
        .gives("me - db fe80::1:5432,::1:7 any");
    // libpq has them without brackets where there is no port.
    Case::dsn("host=fe80::1 user=me").gives("me - me fe80::1:5432 any");
    for wrong in ["[::1", "[::1]x", "[::1]:x", "[]"] {
        Case::dsn(&format!("postgresql://me@{wrong}/db"))
            .resolve()
            .expect_err(wrong);
    }
}

/// `dsn_combines_env_multi_host`, `dsn_multi_host_combines_env`, `params_multi_host_dsn_env_mix`,
/// `params_multi_host_dsn_env_mix_tuple`
#[test]
fn several_hosts_from_any_source() {
    let expected = "me - db one:11,two:22 any";
    Case::dsn("postgresql:///db")
        .env(&[("PGHOST", "one:11,two:22"), ("PGUSER", "me")])
        .gives(expected);
    Case::dsn("postgresql:///db?host=one:11,two:22")
        .env(&[("PGUSER", "me")])
        .gives(expected);
    Case::dsn("postgresql:///db")
        .env(&[("PGUSER", "me")])
        .with(|config| config.hosts(["one", "two"]))
        .gives("me - db one:5432,two:5432 any");
    Case::dsn("postgresql:///db")
        .env(&[("PGPORT", "11,22"), ("PGHOST", "one,two"), ("PGUSER", "me")])
        .gives(expected);
}

/// `params_combine_dsn_settings_override_and_ssl`, `params_settings_and_ssl_override_dsn`
#[test]
fn what_nobody_knows_is_a_setting_of_the_servers() {
    let dsn = "postgresql://dsnrole:dsnpw@localhost:5555/dsndb?own=no&own=yes&host=h&user=u&port=2&\
               database=d";
    let found = Case::dsn(&format!("{dsn}&sslmode=require"))
        .with(told)
        .gives("kwrole kwpw kwdb kwhost:456 any");
    assert_eq!(found.server_settings.len(), 1);
    assert_eq!(found.server_settings["own"], "yes");
    assert_eq!(found.tls.mode, SslMode::Require);
    let found = Case::dsn(&format!("{dsn}&sslmode=disable"))
        .with(told)
        .with(|config| {
            let config = config.server_setting("more", "too");
            config.ssl(SslMode::VerifyFull).sslrootcert("system")
        })
        .gives("kwrole kwpw kwdb kwhost:456 any");
    assert_eq!(found.tls.mode, SslMode::VerifyFull);
    let settings: Vec<_> = found.server_settings.iter().collect();
    assert_eq!(
        settings,
        [
            (&"more".to_owned(), &"too".to_owned()),
            (&"own".to_owned(), &"yes".to_owned())
        ]
    );
}

/// `dsn_only_unix`, `dsn_only_cloudsql`, `dsn_only_cloudsql_unix_and_tcp`,
/// `dsn_only_quoted_unix_host_port_in_params`
#[test]
fn unix_sockets() {
    Case::dsn("postgresql:///db?host=/a/folder&user=me")
        .gives("me - db /a/folder/.s.PGSQL.5432 any");
    Case::dsn("postgres:///db?host=/a/folder:with:colons&user=me")
        .gives("me - db /a/folder:with:colons/.s.PGSQL.5432 any");
    let found = Case::dsn("postgres:///db?host=127.0.0.1:1,/a/folder:x,localhost:2&user=me")
        .gives("me - db 127.0.0.1:1,/a/folder:x/.s.PGSQL.5432,localhost:2 any");
    assert_eq!(found.tls.mode, SslMode::Prefer);
    let found =
        Case::dsn("postgres://me@?port=6543&host=%2Ftmp").gives("me - me /tmp/.s.PGSQL.6543 any");
    assert_eq!(found.tls.mode, SslMode::Disable);
    Case::dsn("postgres://me@%2Fa%2Ffolder:99/db").gives("me - db /a/folder/.s.PGSQL.99 any");
    Case::new()
        .with(|config| config.host("/a/.s.PGSQL.7"))
        .gives("account - account /a/.s.PGSQL.7 any");
}

/// `dsn_only_quoted`, `dsn_only_unquoted_host`, `dsn_only_quoted_params`
#[test]
fn what_a_url_has_encoded() {
    Case::dsn("postgresql://m%40e:p%40w@o%40ne,t%40wo:543%33/d%62")
        .gives("m@e p@w db o@ne:5432,t@wo:5433 any");
    // An encoded comma or colon divides nothing.
    Case::dsn("postgresql://a%3Ab:c%2Cd@h/db").gives("a:b c,d db h:5432 any");
    Case::dsn("postgresql://me:p@w@host/db").gives("me p db w@host:5432 any");
    Case::dsn("postgresql:///d%62?user=m%40e&host=h%40st&port=543%33")
        .gives("m@e - db h@st:5433 any");
    // What encodes nothing stands for itself, and a plus is a space among parameters only.
    let found = Case::dsn("postgresql://me:100%+%zz@h/db?a=1+2%2B3").found();
    assert!(shown(&found).starts_with("me 100%+%zz "));
    assert_eq!(found.server_settings["a"], "1 2+3");
    for wrong in ["postgresql://me:%ff@h/db", "postgresql://me:%00@h/db"] {
        Case::dsn(wrong).fails("no text");
    }
}

/// `dsn_only_illegal_protocol`, `dsn_params_ports_mismatch_dsn_multi_hosts`
#[test]
fn what_makes_no_sense() {
    for dsn in [
        "pq:///db?host=/a&user=me",
        "http://host/",
        "db",
        "mysql://h:1",
    ] {
        Case::dsn(dsn).fails("invalid DSN");
    }
    Case::dsn("postgresql://one,two,three/db")
        .with(|config| config.ports([111, 222]))
        .fails("2 ports for 3 hosts");
    Case::dsn("postgresql:///db?host=a,b&port=1,2,3").fails("3 ports for 2 hosts");
    for port in ["0", "65536", "-1", "+1", "x", "1x", ""] {
        let case = Case::dsn(&format!("postgresql://h:{port}/db"));
        if port.is_empty() {
            case.gives("account - db h:5432 any");
        } else {
            case.fails("no number from 1 to 65535");
        }
    }
    Case::dsn("postgresql://a,,b/db").fails("is empty");
    Case::dsn("postgresql://h/db?novalue").fails("has no value");
    Case::dsn("postgresql://h/d\0b").fails("NUL");
    Case::new().with(|config| config.user("a\0b")).fails("NUL");
    Case::new().with(|config| config.host("")).fails("empty");
    Case::new()
        .with(|config| config.hosts::<&str>([]))
        .fails("empty");
    Case::new().with(|config| config.port(0)).fails("no number");
}
