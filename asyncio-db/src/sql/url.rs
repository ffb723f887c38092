//! URLs of databases.

use std::fmt;
use std::path::PathBuf;

use super::errors::ArgumentError;

/// Where a database is, as a URL says it (`sqlalchemy.engine.URL`).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    shown: String,
    pub(super) target: Target,
}

#[derive(Clone, PartialEq, Eq)]
// Elsewhere it is not to be shown: it may have a password in it.
#[cfg_attr(test, derive(Debug))]
pub(super) enum Target {
    /// What asyncpg would be told.
    Postgres(String),
    /// None is a database in memory.
    Sqlite(Option<PathBuf>),
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, ArgumentError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let message = "could not parse a URL: it begins with the kind of database and \"://\"";
            return Err(ArgumentError::new(message));
        };
        let target = match scheme {
            "postgresql" | "postgres" | "postgresql+asyncpg" => {
                Target::Postgres(format!("postgresql://{rest}"))
            }
            "sqlite" | "sqlite+aiosqlite" => Target::Sqlite(sqlite_path(rest)?),
            _ => {
                let message = "there is no such kind of database: \"postgresql+asyncpg\" and \
                               \"sqlite+aiosqlite\" are there, each also without what follows the plus";
                return Err(ArgumentError::new(message));
            }
        };
        Ok(Self {
            shown: format!("{scheme}://{}", without_password(rest)),
            target,
        })
    }
}

/// `/name` is relative, `//name` is absolute.
fn sqlite_path(rest: &str) -> Result<Option<PathBuf>, ArgumentError> {
    let (path, settings) = rest.split_once('?').unwrap_or((rest, ""));
    if !settings.is_empty() {
        let message = "a URL of SQLite's has no settings here: `EngineBuilder::sqlite` takes them";
        return Err(ArgumentError::new(message));
    }
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(None),
        None => Err(ArgumentError::new(
            "a database of SQLite's has no host: \"sqlite:///relative\" or \"sqlite:////absolute\"",
        )),
        Some("" | ":memory:") => Ok(None),
        Some(path) => Ok(Some(PathBuf::from(path))),
    }
}

/// `user:password@host` as `user:***@host`, and no setting called password.
fn without_password(rest: &str) -> String {
    let (place, settings) = match rest.split_once('?') {
        Some((place, settings)) => (place, Some(settings)),
        None => (rest, None),
    };
    let mut shown = match place.rsplit_once('@') {
        Some((who, host)) => match who.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    for (number, setting) in settings
        .into_iter()
        .flat_map(|it| it.split('&'))
        .enumerate()
    {
        shown.push(if number == 0 { '?' } else { '&' });
        match setting.split_once('=') {
            Some((name, _)) if name.contains("password") => shown.push_str(&format!("{name}=***")),
            _ => shown.push_str(setting),
        }
    }
    shown
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_database() {
        let target = |url: &str| Url::parse(url).map(|url| url.target);
        let dsn = "postgresql://u:p@h/db?host=/tmp".to_owned();
        for scheme in ["postgresql", "postgres", "postgresql+asyncpg"] {
            let url = format!("{scheme}://u:p@h/db?host=/tmp");
            assert_eq!(target(&url), Ok(Target::Postgres(dsn.clone())));
        }
        for memory in ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///"] {
            assert_eq!(target(memory), Ok(Target::Sqlite(None)));
        }
        assert_eq!(
            target("sqlite:///a/b.db"),
            Ok(Target::Sqlite(Some("a/b.db".into())))
        );
        assert_eq!(
            target("sqlite:////a/b.db"),
            Ok(Target::Sqlite(Some("/a/b.db".into())))
        );
        for wrong in [
            "",
            "file.db",
            "mysql://u:secret@h/db",
            "sqlite://host/file",
            "sqlite:///a?b=c",
        ] {
            let error = target(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = |url| Url::parse(url).expect(url).to_string();
        assert_eq!(
            shown("postgresql://u:p@ss:word@h/db"),
            "postgresql://u:***@h/db"
        );
        assert_eq!(
            shown("postgresql://h/db?user=u&password=x"),
            "postgresql://h/db?user=u&password=***"
        );
        assert_eq!(shown("sqlite:///a.db"), "sqlite:///a.db");
    }
}
