//! From what was told to what holds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::hosts::{self, HostSpec};
use super::surroundings::Surroundings;
use super::{
    Address, Config, ConnectionParameters, Params, Secret, Server, SessionAttrs, pgpass, service,
    tls,
};
use crate::ClientConfigurationError;

/// Where servers put their Unix sockets, and where else one may be.
const USUAL_HOSTS: [&str; 5] = [
    "/run/postgresql",
    "/var/run/postgresql",
    "/tmp",
    "/private/tmp",
    "localhost",
];

const USUAL_PORT: u16 = 5432;

const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The variables of the environment, by parameter.
const VARIABLES: [(&str, &str); 23] = [
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gsslib", "PGGSSLIB"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslpassword", "PGSSLPASSWORD"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslsni", "PGSSLSNI"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// The settings of the server's that come from the environment.
const SETTINGS: [(&str, &str); 2] = [("application_name", "PGAPPNAME"), ("options", "PGOPTIONS")];

/// All that can be asked, the more important first.
pub(super) struct Sources<'a> {
    told: Vec<&'a Params>,
    pub(super) around: &'a Surroundings,
}

impl Sources<'_> {
    /// A parameter, from the first that has it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let told = self.told.iter().find_map(|params| params.get(name));
        told.map(str::to_owned).or_else(|| {
            let (_, variable) = VARIABLES.iter().find(|(known, _)| *known == name)?;
            self.around.variable(variable)
        })
    }

    /// Whether a parameter has the second of two values; it has the first by default.
    pub(super) fn is(
        &self,
        name: &str,
        values: [&str; 2],
    ) -> Result<bool, ClientConfigurationError> {
        let [no, yes] = values;
        match self.get(name).as_deref() {
            None => Ok(false),
            Some(value) if value == no => Ok(false),
            Some(value) if value == yes => Ok(true),
            Some(_) => Err(error(format!(
                "the parameter {name} must be one of: {no} {yes}"
            ))),
        }
    }
}

pub(super) fn resolve(
    config: &Config,
    around: &Surroundings,
) -> Result<ConnectionParameters, ClientConfigurationError> {
    let dsn = config.dsn.as_ref().map_err(Clone::clone)?;
    let mut sources = Sources {
        told: vec![&config.keywords, dsn],
        around,
    };
    let service = service(&sources)?;
    sources.told.extend(&service);

    let required = |name: &str, what: &str| {
        let found = sources.get(name);
        found.ok_or_else(|| {
            error(format!(
                "no name of a {what} was given, nor can one be found"
            ))
        })
    };
    let user = match around.account() {
        Some(account) => sources.get("user").unwrap_or_else(|| account.to_owned()),
        None => required("user", "role")?,
    };
    let database = sources.get("dbname").unwrap_or_else(|| user.clone());
    let places = places(config, &sources)?;
    let by_tcp = places
        .iter()
        .any(|place| matches!(place.address, Address::Tcp { .. }));
    let passwords = Passwords::of(&sources);
    let servers = places.into_iter().map(|place| Server {
        password: passwords.find(&place, &database, &user),
        address: place.address,
    });
    let attrs = sources.get("target_session_attrs");
    let attrs = attrs.map(|attrs| SessionAttrs::parse("target_session_attrs", &attrs));
    let gsslib = sources.get("gsslib").unwrap_or_else(|| "gssapi".to_owned());
    if !matches!(&*gsslib, "gssapi" | "sspi") {
        return Err(error("the parameter gsslib must be one of: gssapi sspi"));
    }
    let found = ConnectionParameters {
        servers: servers.collect(),
        load_balance_hosts: sources.is("load_balance_hosts", ["disable", "random"])?,
        server_settings: settings(&sources),
        target_session_attrs: attrs.transpose()?.unwrap_or(SessionAttrs::Any),
        tls: tls::resolve(&sources, by_tcp)?,
        krbsrvname: sources.get("krbsrvname"),
        gsslib,
        timeout: timeout(config, &sources)?,
        user,
        database,
    };
    // They end texts in the protocol, so that what follows would be taken for something else.
    let settings = found.server_settings.iter();
    let texts = settings.flat_map(|(name, value)| [name, value]);
    if texts
        .chain([&found.user, &found.database])
        .any(|text| text.contains('\0'))
    {
        return Err(error("a parameter must not hold a character NUL"));
    }
    Ok(found)
}

/// The parameters of the service, where one is named.
fn service(sources: &Sources<'_>) -> Result<Option<Params>, ClientConfigurationError> {
    let Some(name) = sources.get("service") else {
        return Ok(None);
    };
    let own = sources.get("servicefile").map(PathBuf::from);
    let own = own.or_else(|| sources.around.at_home(".pg_service.conf"));
    let folder = sources.around.variable("PGSYSCONFDIR").map(PathBuf::from);
    let shared = folder.map(|folder| folder.join("pg_service.conf"));
    for file in own.into_iter().chain(shared) {
        if let Some(params) = service::find(&file, &name)? {
            return Ok(Some(params));
        }
    }
    Err(error(
        "the service that is named is not defined in a service file",
    ))
}

/// A server, with the host and the port by which its password is known.
struct Place {
    host: String,
    port: u16,
    address: Address,
}

/// The servers, in their order.
fn places(config: &Config, sources: &Sources<'_>) -> Result<Vec<Place>, ClientConfigurationError> {
    let told = sources.told.iter().find_map(|params| params.hosts.clone());
    let told = match told {
        None => sources
            .around
            .variable("PGHOST")
            .map(|hosts| hosts::parse(&hosts, false))
            .transpose()?,
        told => told,
    };
    let usual = told.is_none();
    let hosts = told.unwrap_or_else(|| {
        let hosts = USUAL_HOSTS.iter().map(|host| HostSpec {
            host: (*host).to_owned(),
            port: None,
        });
        hosts.collect()
    });
    if hosts.is_empty() || hosts.iter().any(|spec| spec.host.is_empty()) {
        return Err(error("a host is empty"));
    }
    let ports = match (&config.ports, sources.get("port")) {
        (Some(ports), _) => {
            if ports.contains(&0) {
                return Err(error("a port is no number from 1 to 65535"));
            }
            ports.iter().copied().map(Some).collect()
        }
        (None, Some(list)) => hosts::parse_ports(&list)?,
        (None, None) => vec![None],
    };
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(error(format!(
            "there are {} ports for {} hosts",
            ports.len(),
            hosts.len()
        )));
    }
    let several = ports.iter().cycle();
    let servers = hosts.into_iter().zip(several).map(|(spec, port)| {
        // A keyword counts more than what stands beside the host.
        let port = if config.ports.is_some() {
            port.or(spec.port)
        } else {
            spec.port.or(*port)
        };
        let port = port.unwrap_or(USUAL_PORT);
        let address = if spec.host.starts_with('/') {
            let path = PathBuf::from(&spec.host);
            Address::Unix(if spec.host.contains("/.s.PGSQL.") {
                path
            } else {
                path.join(format!(".s.PGSQL.{port}"))
            })
        } else {
            Address::Tcp {
                host: spec.host.clone(),
                port,
            }
        };
        let host = if usual {
            "localhost".to_owned()
        } else {
            spec.host
        };
        Place {
            host,
            port,
            address,
        }
    });
    Ok(servers.collect())
}

/// Where passwords come from.
struct Passwords {
    given: Option<Secret>,
    file: Option<PathBuf>,
}

impl Passwords {
    fn of(sources: &Sources<'_>) -> Self {
        let file = sources.get("passfile").map(PathBuf::from);
        Self {
            given: sources
                .get("password")
                .map(|password| Secret::new(&password)),
            file: file.or_else(|| sources.around.at_home(".pgpass")),
        }
    }

    fn find(&self, place: &Place, database: &str, user: &str) -> Option<Secret> {
        self.given.clone().or_else(|| {
            let file = self.file.as_deref()?;
            pgpass::find(file, &place.host, place.port, database, user)
        })
    }
}

fn settings(sources: &Sources<'_>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Some(name) = sources.get("fallback_application_name") {
        settings.insert("application_name".to_owned(), name);
    }
    for (name, variable) in SETTINGS {
        if let Some(value) = sources.around.variable(variable) {
            settings.insert(name.to_owned(), value);
        }
    }
    // The more important come last, and replace.
    for params in sources.told.iter().rev() {
        settings.extend(params.settings.clone());
    }
    settings
}

/// Keyword and default are asyncpg's, everything else is libpq's: seconds, of which none or fewer are
/// without a limit, and one is too short for a slow network.
fn timeout(
    config: &Config,
    sources: &Sources<'_>,
) -> Result<Option<Duration>, ClientConfigurationError> {
    if config.timeout.is_some() {
        return Ok(config.timeout);
    }
    let Some(seconds) = sources.get("connect_timeout") else {
        return Ok(Some(USUAL_TIMEOUT));
    };
    let seconds: i64 = seconds
        .trim()
        .parse()
        .map_err(|_| error("the parameter connect_timeout is no number of seconds"))?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.max(2))))
}

pub(super) fn error(text: impl Into<String>) -> ClientConfigurationError {
    ClientConfigurationError::new(text)
}
