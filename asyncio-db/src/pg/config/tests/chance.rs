//! Parameters by chance: nothing panics, nothing is lost, nothing is shown.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Config, pgpass};
use super::files::Folder;
use super::{Address, Case, Surroundings, resolve};

/// Texts without the character that ends texts.
fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{1,12}"
}

/// Texts that are made of what parsers look at.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "postgres(ql)?://",
        "[a-z]{1,5}",
        "[0-9]{1,6}",
        "(host|port|user|password|dbname|sslmode|passfile|service|options)=",
        Just("%".to_owned()),
        "%[0-9a-fA-F]{2}",
        r"[:@/?&=,'\\ \[\]+#]",
        "\\PC{1,2}",
    ];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// All bytes but letters and digits, as a URL has them.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

/// A value as libpq's lists of keys have it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

proptest! {
    #[test]
    fn no_dsn_panics(dsn in prop_oneof![any::<String>(), pieces()], env in pieces(), hosts in pieces()) {
        let variables = [("PGPORT", &*env), ("PGHOST", &hosts), ("PGSSLMODE", &env)];
        let around = Surroundings::new(&variables, None, Some("me"));
        if let Ok(found) = resolve::resolve(&Config::from_dsn(&dsn), &around) {
            prop_assert!(!found.servers.is_empty());
            prop_assert!(!found.user.is_empty() && !found.database.is_empty());
            for server in &found.servers {
                if let Address::Tcp { host, port } = &server.address {
                    prop_assert!(!host.is_empty() && *port != 0);
                }
            }
        }
    }

    #[test]
    fn a_url_comes_back_as_it_was(
        user in text(),
        password in text(),
        database in text(),
        hosts in vec(("[^\u{0}/\\[]{1,6}", proptest::option::of(1..u16::MAX)), 1..4),
        value in text(),
    ) {
        let written = hosts.iter().map(|(host, port)| {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            format!("{}{port}", encoded(host))
        });
        let dsn = format!(
            "postgresql://{}:{}@{}/{}?own={}",
            encoded(&user), encoded(&password), written.collect::<Vec<_>>().join(","),
            encoded(&database), encoded(&value),
        );
        let found = Case::dsn(&dsn).resolve();
        let found = found.map_err(|error| TestCaseError::fail(format!("{dsn}: {error}")))?;
        prop_assert_eq!((&found.user, &found.database), (&user, &database));
        prop_assert_eq!(&found.server_settings["own"], &value);
        prop_assert_eq!(found.servers.len(), hosts.len());
        for (server, (host, port)) in found.servers.iter().zip(hosts) {
            let port = port.unwrap_or(5432);
            prop_assert_eq!(&server.address, &Address::Tcp { host, port });
            prop_assert_eq!(server.password.as_ref().map(|secret| secret.reveal()), Some(&*password));
        }
    }

    #[test]
    fn keys_and_values_come_back_as_they_were(
        user in text(), password in text(), database in text(), value in text(), space in "[ \t]{0,2}",
    ) {
        let dsn = [("host", "h"), ("user", &user), ("password", &password), ("dbname", &database), ("own", &value)]
            .map(|(key, value)| format!("{key}{space}={space}{}", quoted(value)))
            .join(" ");
        let found = Case::dsn(&dsn).resolve();
        let found = found.map_err(|error| TestCaseError::fail(format!("{dsn}: {error}")))?;
        prop_assert_eq!((&found.user, &found.database), (&user, &database));
        prop_assert_eq!(&found.server_settings["own"], &value);
        let secret = found.servers[0].password.as_ref().map(|secret| secret.reveal());
        prop_assert_eq!(secret, Some(&*password));
    }

    #[test]
    fn no_password_is_shown(secret in "[a-z]{3}[:/?@&=%+#,' \\\\]{0,3}QX[0-9]{6}", odd in 0..4_usize) {
        let dsn = [
            format!("postgresql://me:{secret}@h/db"),
            format!("postgresql://me:{}@h/db", encoded(&secret)),
            format!("host=h user=me password={secret}"),
            format!("host=h user=me password={}", quoted(&secret)),
        ];
        // The part that is left of it wherever it is cut.
        let part = &secret[secret.len() - 8..];
        let config = Config::from_dsn(&dsn[odd]);
        let around = Surroundings::new(&[], None, Some("me"));
        match resolve::resolve(&config, &around) {
            Err(error) => {
                let shown = format!("{error} {error:?} {config:?}");
                prop_assert!(!shown.contains(part), "{}: {}", dsn[odd], shown);
            }
            // Where it was encoded as it is to be, it is a password and nothing else.
            Ok(found) if odd % 2 == 1 => {
                let shown = format!("{config:?} {found:?}");
                prop_assert!(!shown.contains(part), "{}: {}", dsn[odd], shown);
            }
            Ok(_) => {}
        }
    }

    #[test]
    fn a_line_of_the_password_file_is_found_again(
        fields in proptest::array::uniform4("[^\u{0}\r\n*]{1,8}"), password in "[^\u{0}\r\n]{1,8}", port in 1..u16::MAX,
    ) {
        let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
        let [host, other, database, user] = &fields;
        let line = |host: &str| {
            let parts = [host, &port.to_string(), database, user, &password];
            parts.map(escaped).join(":")
        };
        // A line that begins as a comment does is one.
        prop_assume!(!host.starts_with('#') && !other.starts_with('#') && host != other);
        let folder = Folder::new();
        let text = format!("{}\n{}\n", line(other), line(host));
        let file = folder.file("passwords", &text, 0o600);
        let found = pgpass::find(file.as_ref(), host, port, database, user);
        prop_assert_eq!(found.as_ref().map(|secret| secret.reveal()), Some(&*password));
    }

    #[test]
    fn no_password_file_panics(text in prop_oneof![any::<String>(), pieces()], dsn in pieces()) {
        let folder = Folder::new();
        let file = folder.file("passwords", &text, 0o600);
        let config = Config::from_dsn(&dsn).host("h").passfile(file);
        let around = Surroundings::new(&[], None, Some("me"));
        // Whether it is found is not what is asked here.
        let _ = resolve::resolve(&config, &around);
    }

    #[test]
    fn no_service_file_panics(text in vec(prop_oneof![Just("[a]".to_owned()), pieces()], 0..6)) {
        let folder = Folder::new();
        let file = folder.file("services", &text.join("\n"), 0o600);
        let config = Config::new().service("a").servicefile(file);
        let around = Surroundings::new(&[], None, Some("me"));
        let found = resolve::resolve(&config, &around);
        if !text.iter().any(|line| line.contains("[a]")) {
            prop_assert!(found.is_err());
        }
    }
}
