//! DSNs: URLs, and libpq's `key=value`.
//!
//! Nothing of a DSN is in an error, nor anything made from it: where a password holds a character that
//! should have been encoded, its rest is taken for something else.

use super::{Params, hosts};
use crate::ClientConfigurationError;

/// libpq's parameters that this client cannot honour. They are no settings of the server's either.
const UNSUPPORTED: [&str; 14] = [
    "gssdelegation",
    "hostaddr",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "max_protocol_version",
    "min_protocol_version",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "sslcertmode",
    "sslkeylogfile",
    "tcp_user_timeout",
];

/// libpq's parameters whose values ask for nothing but what is done anyhow.
const ALREADY_SO: [(&str, &[&str]); 4] = [
    ("gssencmode", &["disable", "prefer"]),
    ("keepalives", &["1"]),
    ("sslcompression", &["0"]),
    (
        "client_encoding",
        &["utf8", "UTF8", "utf-8", "UTF-8", "auto"],
    ),
];

/// The parameters that concern the client; all others are settings of the server's.
const OURS: [&str; 24] = [
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gsslib",
    "krbsrvname",
    "load_balance_hosts",
    "passfile",
    "password",
    "port",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "user",
];

/// Reads a DSN of either form.
pub(super) fn parse(dsn: &str) -> Result<Params, ClientConfigurationError> {
    if dsn.contains('\0') {
        return Err(error("a DSN must not hold a character NUL"));
    }
    for scheme in ["postgresql://", "postgres://"] {
        if let Some(rest) = dsn.strip_prefix(scheme) {
            return url(rest);
        }
    }
    let before_value = dsn.split(['=', ' ']).next().unwrap_or_default();
    if before_value.contains(':') || !dsn.contains('=') && !dsn.trim().is_empty() {
        return Err(error(
            "invalid DSN: it begins with postgresql:// or postgres://, or is a list of key=value",
        ));
    }
    pairs(dsn)
}

/// Takes over a parameter of a DSN or of a service file.
pub(super) fn set(
    params: &mut Params,
    name: &str,
    value: String,
) -> Result<(), ClientConfigurationError> {
    let name = match name {
        "database" => "dbname",
        name => name,
    };
    if let Some((_, harmless)) = ALREADY_SO.iter().find(|(known, _)| *known == name) {
        if value.is_empty() || harmless.contains(&&*value) {
            return Ok(());
        }
        return Err(error(&format!(
            "the parameter {name} must be one of: {}",
            harmless.join(" ")
        )));
    }
    if UNSUPPORTED.contains(&name) {
        return Err(error(&format!("the parameter {name} is not supported")));
    }
    if name == "host" {
        if params.hosts.is_none() && !value.is_empty() {
            params.hosts = Some(hosts::parse(&value, false)?);
        }
    } else if name == "ssl" && value == "true" {
        // What JDBC calls it.
        params
            .values
            .insert("sslmode".to_owned(), "require".to_owned());
    } else if OURS.contains(&name) {
        params.values.insert(name.to_owned(), value);
    } else {
        params.settings.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Undoes the encoding of a URL, where a plus may stand for a space. A percent sign that encodes nothing
/// stands for itself, as in Python.
pub(super) fn decode(text: &str, plus: bool) -> Result<String, ClientConfigurationError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two digits of base 16 make a byte.
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            (b'+', ..) if plus => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok();
    text.filter(|text| !text.contains('\0'))
        .ok_or_else(|| error("what a DSN has encoded is no text"))
}

/// `user:password@host:port,host:port/database?name=value&name=value`, without the scheme.
fn url(rest: &str) -> Result<Params, ClientConfigurationError> {
    let mut params = Params::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    if !hosts.is_empty() {
        params.hosts = Some(hosts::parse(hosts, true)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| error("a parameter of the DSN has no value"))?;
        set(&mut params, &decode(name, true)?, decode(value, true)?)?;
    }
    // What stands before the parameters counts more, as with asyncpg.
    for (name, value) in [("user", user), ("password", password), ("dbname", database)] {
        if !value.is_empty() {
            params.values.insert(name.to_owned(), decode(value, false)?);
        }
    }
    Ok(params)
}

/// `name=value name = 'a value'`, where a backslash takes the next character as it is.
fn pairs(text: &str) -> Result<Params, ClientConfigurationError> {
    let mut params = Params::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| error("a key of the DSN has no value"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(error("a key of the DSN has no value"));
        }
        let (value, after) = value(after.trim_start())?;
        if name == "host" {
            // As with libpq the last one counts.
            params.hosts = None;
        }
        set(&mut params, name, value)?;
        rest = after.trim_start();
    }
    Ok(params)
}

/// The value at the start, and what follows it.
fn value(text: &str) -> Result<(String, &str), ClientConfigurationError> {
    let quoted = text.strip_prefix('\'');
    let mut rest = quoted.unwrap_or(text).chars();
    let mut value = String::new();
    loop {
        let before = rest.as_str();
        match rest.next() {
            Some('\\') => value.extend(rest.next()),
            Some('\'') if quoted.is_some() => return Ok((value, rest.as_str())),
            Some(other) if quoted.is_none() && other.is_whitespace() => return Ok((value, before)),
            Some(other) => value.push(other),
            None if quoted.is_some() => return Err(error("a quoted value of the DSN has no end")),
            None => return Ok((value, "")),
        }
    }
}

fn error(text: &str) -> ClientConfigurationError {
    ClientConfigurationError::new(text)
}
