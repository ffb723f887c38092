//! The parameters of encryption, and their files.

use std::fs;
use std::path::{Path, PathBuf};

use super::resolve::{Sources, error};
use super::{
    ChannelBinding, RootCertificates, Secret, SslMode, TlsParameters, TlsVersion, file_error,
};
use crate::ClientConfigurationError;

impl SslMode {
    /// What it is called among parameters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(text: &str) -> Result<Self, ClientConfigurationError> {
        // asyncpg also takes the names of its constants.
        let name = text.replace('_', "-");
        let found = SSL_MODES.iter().find(|mode| mode.name() == name);
        found.copied().ok_or_else(|| {
            let names = SSL_MODES.map(Self::name).join(" ");
            error(format!("the parameter sslmode must be one of: {names}"))
        })
    }

    /// Whether it goes without encryption where it must.
    const fn is_weak(self) -> bool {
        matches!(self, Self::Disable | Self::Allow | Self::Prefer)
    }
}

const SSL_MODES: [SslMode; 6] = [
    SslMode::Disable,
    SslMode::Allow,
    SslMode::Prefer,
    SslMode::Require,
    SslMode::VerifyCa,
    SslMode::VerifyFull,
];

/// Finds out about encryption. Where no server is reached by TCP there is none, and no file is looked at.
pub(super) fn resolve(
    sources: &Sources<'_>,
    by_tcp: bool,
) -> Result<TlsParameters, ClientConfigurationError> {
    let direct = sources.is("sslnegotiation", ["postgres", "direct"])?;
    let told = sources.get("sslmode");
    let told = told.map(|mode| SslMode::parse(&mode)).transpose()?;
    let root = sources.get("sslrootcert");
    let system = root.as_deref() == Some("system");
    let mode = match told {
        // Anybody can have a certificate from such an authority, for a name of their own.
        Some(mode) if system && mode != SslMode::VerifyFull => {
            return Err(error("sslrootcert=system needs sslmode=verify-full"));
        }
        // Who speaks TLS at once has no way to do without.
        Some(mode) if direct && mode.is_weak() => {
            return Err(error("sslnegotiation=direct needs sslmode=require or more"));
        }
        Some(mode) => mode,
        None if !by_tcp => SslMode::Disable,
        None if system => SslMode::VerifyFull,
        None if direct => SslMode::Require,
        None => SslMode::Prefer,
    };
    let binding = sources.get("channel_binding");
    let binding = binding.map(|binding| ChannelBinding::parse("channel_binding", &binding));
    let version = |name: &str| {
        let version = sources.get(name);
        version
            .map(|version| TlsVersion::parse(name, &version))
            .transpose()
    };
    let mut found = TlsParameters {
        mode,
        direct,
        roots: RootCertificates::Unverified,
        certificate: None,
        key: None,
        key_password: sources.get("sslpassword").map(|text| Secret::new(&text)),
        revoked: None,
        min_version: version("ssl_min_protocol_version")?,
        max_version: version("ssl_max_protocol_version")?,
        // It has the better of two values by default.
        server_name_indication: !sources.is("sslsni", ["1", "0"])?,
        channel_binding: binding.transpose()?.unwrap_or(ChannelBinding::Prefer),
    };
    let (min, max) = (found.min_version, found.max_version);
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(error("the range of versions of TLS is empty"));
    }
    if by_tcp && mode != SslMode::Disable {
        if !mode.is_weak() {
            found.roots = roots(sources, mode, root.as_deref())?;
            found.revoked = revoked(sources)?;
        }
        (found.certificate, found.key) = identity(sources)?;
    }
    Ok(found)
}

/// The authorities. With `require` they are asked if there are any, as libpq does.
fn roots(
    sources: &Sources<'_>,
    mode: SslMode,
    told: Option<&str>,
) -> Result<RootCertificates, ClientConfigurationError> {
    const WHAT: &str = "the file of root certificates";
    match told {
        Some("system") => Ok(RootCertificates::System),
        Some(file) => readable(WHAT, Path::new(file)).map(RootCertificates::File),
        None => {
            let usual = sources.around.at_home(".postgresql/root.crt");
            match usual {
                Some(file) if file.exists() => Ok(RootCertificates::File(file)),
                _ if mode == SslMode::Require => Ok(RootCertificates::Unverified),
                Some(file) => Err(file_error(
                    WHAT,
                    &file,
                    "does not exist; name one with sslrootcert",
                )),
                None => Err(error(format!(
                    "{WHAT} is not named, and there is no home to look for it; name it with sslrootcert"
                ))),
            }
        }
    }
}

fn revoked(sources: &Sources<'_>) -> Result<Option<PathBuf>, ClientConfigurationError> {
    match sources.get("sslcrl") {
        Some(file) => readable("the file of revoked certificates", Path::new(&file)).map(Some),
        None => Ok(usual(sources, "root.crl")),
    }
}

/// The client's certificate and its key, for who has one.
fn identity(
    sources: &Sources<'_>,
) -> Result<(Option<PathBuf>, Option<PathBuf>), ClientConfigurationError> {
    let certificate = match sources.get("sslcert") {
        Some(file) => Some(readable("the client's certificate", Path::new(&file))?),
        None => usual(sources, "postgresql.crt"),
    };
    if certificate.is_none() {
        return Ok((None, None));
    }
    let key = match sources.get("sslkey") {
        Some(file) => Some(PathBuf::from(file)),
        None => usual(sources, "postgresql.key"),
    };
    let key = key.ok_or_else(|| error("there is a client's certificate, and no key for it"))?;
    let key = readable("the client's key", &key)?;
    private(&key)?;
    Ok((certificate, Some(key)))
}

/// A file of the usual place, if it is there.
fn usual(sources: &Sources<'_>, name: &str) -> Option<PathBuf> {
    let file = sources.around.at_home(".postgresql")?.join(name);
    file.exists().then_some(file)
}

/// A file that is there and may be read.
fn readable(what: &str, file: &Path) -> Result<PathBuf, ClientConfigurationError> {
    match fs::File::open(file) {
        Ok(_readable) => Ok(file.to_owned()),
        Err(why) => Err(file_error(what, file, format!("cannot be read: {why}"))),
    }
}

/// Refuses a key that others may read. One of root's may be read by a group, which is how systems give
/// keys to services.
#[cfg(unix)]
fn private(key: &Path) -> Result<(), ClientConfigurationError> {
    use std::os::unix::fs::MetadataExt;
    let Ok(data) = fs::metadata(key) else {
        return Ok(());
    };
    let others = if data.uid() == 0 { 0o037 } else { 0o077 };
    if data.mode() & others == 0 {
        return Ok(());
    }
    let why = "may be read by others; its permissions must be 0600 or less";
    Err(file_error("the client's key", key, why))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), ClientConfigurationError> {
    Ok(())
}
