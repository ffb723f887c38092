//! The modes of TLS and their files.

use super::super::{ChannelBinding, RootCertificates, SslMode, TlsParameters, TlsVersion, resolve};
use super::files::Folder;
use super::{Case, Config, Surroundings};

/// Resolves with a home, or none.
fn at_home(home: Option<&Folder>, dsn: &str) -> Result<TlsParameters, String> {
    let home = home.map(|home| home.path().to_owned());
    let around = Surroundings::new(&[], home, Some("me"));
    let found = resolve::resolve(&Config::from_dsn(dsn), &around);
    found
        .map(|found| found.tls)
        .map_err(|error| error.to_string())
}

/// `test_connect.TestConnectParams`, `test_connect.TestSSLConnection.test_ssl_connection_sslmode` and
/// `test_connection_sslmode_no_ssl_server`: whether the server has to prove anything, by the mode and by
/// whether the home has a file of authorities.
#[test]
fn who_has_to_vouch_by_mode_and_home() {
    let empty = Folder::new();
    let full = Folder::new();
    let root = full.file(".postgresql/root.crt", "pem", 0o644);
    let file = RootCertificates::File(root.into());
    for (mode, without, with) in [
        ("disable", true, false),
        ("allow", true, false),
        ("prefer", true, false),
        ("require", true, true),
        ("verify-ca", false, true),
        ("verify-full", false, true),
    ] {
        let dsn = format!("host=h sslmode={mode}");
        for home in [None, Some(&empty)] {
            match at_home(home, &dsn) {
                Ok(found) => {
                    assert!(without, "{mode}");
                    assert_eq!(found.roots, RootCertificates::Unverified);
                }
                Err(error) => {
                    assert!(!without, "{mode}");
                    assert!(error.contains("sslrootcert"), "{error}");
                }
            }
        }
        let found = at_home(Some(&full), &dsn).expect("it is fine");
        assert_eq!(found.mode.name(), mode);
        assert_eq!(found.roots == file, with, "{mode}");
        // asyncpg's constants have names with an underscore.
        let other = format!("host=h sslmode={}", mode.replace('-', "_"));
        assert_eq!(at_home(Some(&full), &other).expect("it is fine"), found);
    }
    Case::dsn("host=h sslmode=maybe").fails("sslmode must be one of: disable allow prefer require");
}

#[test]
fn files_are_those_of_dsn_environment_and_home() {
    let folder = Folder::new();
    let named = |name: &str| folder.file(name, "pem", 0o600);
    let files = ["root", "cert", "key", "crl"].map(|name| named(&format!("own/{name}")));
    let [root, cert, key, crl] = &files;
    let dsn = format!(
        "host=h sslmode=verify-ca sslrootcert={root} sslcert={cert} sslkey={key} sslcrl={crl} \
         sslpassword=pw"
    );
    let check = |found: TlsParameters| {
        assert_eq!(found.roots, RootCertificates::File(root.into()));
        let others = [&found.certificate, &found.key, &found.revoked];
        assert_eq!(
            others,
            [cert, key, crl].map(|path| Some(path.into())).each_ref()
        );
    };
    check(Case::dsn(&dsn).found().tls);
    let env = [
        ("PGSSLROOTCERT", &**root),
        ("PGSSLCERT", cert),
        ("PGSSLKEY", key),
        ("PGSSLCRL", crl),
        ("PGSSLMODE", "verify-ca"),
    ];
    check(Case::dsn("host=h").env(&env).found().tls);
    let keywords = |config: Config| {
        let config = config
            .ssl(SslMode::VerifyCa)
            .sslrootcert(root)
            .sslcert(cert);
        config.sslkey(key).sslcrl(crl)
    };
    check(Case::dsn("host=h").with(keywords).found().tls);

    let home = Folder::new();
    let usual = ["root.crt", "postgresql.crt", "postgresql.key", "root.crl"]
        .map(|name| home.file(&format!(".postgresql/{name}"), "pem", 0o600));
    let found = at_home(Some(&home), "host=h sslmode=require").expect("it is fine");
    assert_eq!(found.roots, RootCertificates::File((&usual[0]).into()));
    let others = [found.certificate, found.key, found.revoked];
    assert_eq!(others, [1, 2, 3].map(|at: usize| Some((&usual[at]).into())));
    // Weaker modes ask nobody to vouch; the client's certificate is offered all the same.
    let found = at_home(Some(&home), "host=h").expect("it is fine");
    assert_eq!(
        (found.roots, found.revoked),
        (RootCertificates::Unverified, None)
    );
    assert!(found.certificate.is_some());
}

#[cfg(unix)]
#[test]
fn a_key_is_the_owners_alone() {
    let folder = Folder::new();
    let cert = folder.file("cert", "pem", 0o644);
    // A key of root's may be read by a group; tests may run as root.
    let modes: &[(u32, bool)] = &[(0o600, true), (0o400, true), (0o604, false), (0o666, false)];
    for (mode, fine) in modes {
        let key = folder.file("key", "pem", *mode);
        let dsn = format!("host=h sslmode=require sslcert={cert} sslkey={key}");
        assert_eq!(Case::dsn(&dsn).resolve().is_ok(), *fine, "{mode:o}");
    }
}

#[test]
fn files_that_are_named_and_missing_are_errors() {
    let folder = Folder::new();
    let cert = folder.file("cert", "pem", 0o600);
    for (dsn, reason) in [
        (
            "sslmode=verify-ca sslrootcert=/none",
            "root certificates /none cannot be read",
        ),
        (
            "sslmode=require sslcrl=/none",
            "revoked certificates /none cannot be read",
        ),
        (
            "sslmode=require sslcert=/none",
            "client's certificate /none cannot be read",
        ),
        (&format!("sslmode=require sslcert={cert}"), "no key for it"),
        (
            &format!("sslmode=require sslcert={cert} sslkey=/none"),
            "key /none cannot be read",
        ),
    ] {
        Case::dsn(&format!("host=h {dsn}")).fails(reason);
        // Where nobody is reached by TCP, nobody looks.
        Case::dsn(&format!("host=/tmp {dsn}")).found();
    }
    Case::dsn("host=h sslmode=disable sslcert=/none").found();
}

#[test]
fn the_authorities_of_the_system() {
    let found = Case::dsn("host=h sslrootcert=system").found().tls;
    assert_eq!(
        (found.mode, found.roots),
        (SslMode::VerifyFull, RootCertificates::System)
    );
    Case::dsn("host=h sslrootcert=system sslmode=verify-full").found();
    Case::dsn("host=h sslrootcert=system sslmode=require").fails("needs sslmode=verify-full");
}

/// `test_connect.TestSSLConnection.test_tls_version`, as far as it is about parameters.
#[test]
fn versions_binding_and_the_name_of_the_server() {
    let env = [
        ("PGSSLMINPROTOCOLVERSION", "TLSv1.2"),
        ("PGSSLMAXPROTOCOLVERSION", "TLSv1.3"),
        ("PGSSLSNI", "0"),
        ("PGCHANNELBINDING", "require"),
    ];
    let found = Case::dsn("host=h").env(&env).found().tls;
    assert_eq!(
        (found.min_version, found.max_version),
        (Some(TlsVersion::Tls12), Some(TlsVersion::Tls13))
    );
    assert!(!found.server_name_indication);
    assert_eq!(found.channel_binding, ChannelBinding::Require);
    let found = Case::dsn("host=h").found().tls;
    assert_eq!((found.min_version, found.max_version), (None, None));
    assert!(found.server_name_indication);
    assert_eq!(found.channel_binding, ChannelBinding::Prefer);
    for (dsn, reason) in [
        (
            "ssl_min_protocol_version=SSLv3",
            "ssl_min_protocol_version must be one of: TLSv1 TLSv1.1",
        ),
        (
            "ssl_max_protocol_version=TLSv9",
            "ssl_max_protocol_version must be one of",
        ),
        (
            "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
            "the range of versions of TLS is empty",
        ),
        ("sslsni=maybe", "sslsni must be one of: 1 0"),
        (
            "channel_binding=maybe",
            "channel_binding must be one of: disable prefer require",
        ),
    ] {
        Case::dsn(&format!("host=h {dsn}")).fails(reason);
    }
}
