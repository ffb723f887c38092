//! The password file.

use std::fs;
use std::path::Path;

use super::Secret;

/// Looks a password up: `host:port:database:user:password` a line, where `*` fits anything.
///
/// A file that is missing or cannot be read has no passwords. One that others than its owner may read is
/// passed over, which is reported as an event of `tracing`.
pub(super) fn find(
    file: &Path,
    host: &str,
    port: u16,
    database: &str,
    user: &str,
) -> Option<Secret> {
    let data = fs::metadata(file).ok()?;
    if !data.is_file() {
        tracing::warn!(file = %file.display(), "the password file is no plain file");
        return None;
    }
    if open_to_others(&data) {
        tracing::warn!(
            file = %file.display(),
            "the password file is passed over, for others may read it; its permissions must be 0600 or less"
        );
        return None;
    }
    look_up(&fs::read_to_string(file).ok()?, host, port, database, user)
}

fn look_up(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    // Who asks for a folder of Unix sockets finds it by that, or as the machine itself.
    let machine = if host.starts_with('/') {
        "localhost"
    } else {
        host
    };
    let port = port.to_string();
    text.lines().find_map(|line| {
        let line = line.trim_end_matches('\r');
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (mut fields, mut rest) = ([const { String::new() }; 4], line);
        for field in &mut fields {
            (*field, rest) = next(rest)?;
        }
        let [its_host, its_port, its_database, its_user] = &fields;
        let fits = |field: &str, wanted: &str| field == "*" || field == wanted;
        let found = (fits(its_host, host) || its_host == machine)
            && fits(its_port, &port)
            && fits(its_database, database)
            && fits(its_user, user);
        found.then(|| Secret::new(&unescape(rest)))
    })
}

/// The field at the start, without its escapes, and what follows the colon after it.
fn next(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    let end = text.find(|letter| {
        let ends = letter == ':' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    Some((unescape(&text[..end]), &text[end + 1..]))
}

/// A backslash takes the next character as it is.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next().unwrap_or('\\')),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(unix)]
fn open_to_others(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    data.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &fs::Metadata) -> bool {
    false
}
