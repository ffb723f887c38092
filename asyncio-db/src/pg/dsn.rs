//! Where a server is, in one line.

use super::errors::InterfaceError;
use super::protocol::Address;
use super::target::{SslMode, Target};

/// Reads `postgresql://user:password@host:port/database?host=/directory`.
pub(crate) fn parse(dsn: &str) -> Result<Target, InterfaceError> {
    let rest = dsn
        .strip_prefix("postgresql://")
        .or_else(|| dsn.strip_prefix("postgres://"))
        .ok_or_else(|| InterfaceError::new("a DSN begins with postgresql://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(password.replace("%20", " "))),
        None => (who, None),
    };
    let (host, port) = host.rsplit_once(':').unwrap_or((host, "5432"));
    let (mut host, mut port) = (host.to_owned(), port.to_owned());
    let mut target = Target {
        user: if user.is_empty() { "postgres" } else { user }.to_owned(),
        password,
        ..Target::default()
    };
    target.database = if database.is_empty() {
        target.user.clone()
    } else {
        database.to_owned()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("host", value)) => value.clone_into(&mut host),
            Some(("port", value)) => value.clone_into(&mut port),
            Some(("user", value)) => value.clone_into(&mut target.user),
            Some(("sslmode", "disable")) => target.ssl = SslMode::Disable,
            Some(("sslmode", "require")) => target.ssl = SslMode::Require,
            _ => return Err(InterfaceError::new(format!("unknown option {pair}"))),
        }
    }
    let port: u16 = port
        .parse()
        .map_err(|_| InterfaceError::new("the port is not a number"))?;
    target.addresses = vec![if host.starts_with('/') {
        Address::Unix(format!("{host}/.s.PGSQL.{port}").into())
    } else {
        Address::Tcp { host, port }
    }];
    Ok(target)
}
