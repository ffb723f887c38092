//! Lists of hosts, each perhaps with its port.

use super::dsn::decode;
use crate::ClientConfigurationError;

/// A host as it was written, and the port beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostSpec {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// Reads `host`, `host:port`, `[address]:port`, `/folder`, and any of these with commas between.
///
/// In the authority of a URL they are `encoded`; there a comma or a colon that was encoded divides nothing.
pub(super) fn parse(list: &str, encoded: bool) -> Result<Vec<HostSpec>, ClientConfigurationError> {
    list.split(',').map(|host| one(host, encoded)).collect()
}

fn one(text: &str, encoded: bool) -> Result<HostSpec, ClientConfigurationError> {
    let plain = |part: &str| {
        if encoded {
            decode(part, false)
        } else {
            Ok(part.to_owned())
        }
    };
    let (host, port) = if text.starts_with('/') {
        (text, "")
    } else if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest
            .split_once(']')
            .ok_or_else(|| error("an address in brackets has no end"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => port,
            None if after.is_empty() => "",
            None => {
                return Err(error(
                    "an address in brackets is followed by more than a port",
                ));
            }
        };
        (address, port)
    } else if text.matches(':').count() > 1 && !encoded {
        // An address of IPv6, which only a URL needs brackets for.
        (text, "")
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    let host = plain(host)?;
    if host.is_empty() {
        return Err(error("a host in a list of them is empty"));
    }
    let port = plain(port)?;
    let port = (!port.is_empty()).then(|| parse_port(&port)).transpose()?;
    Ok(HostSpec { host, port })
}

/// Reads ports with commas between; an empty one stands for what is usual.
pub(super) fn parse_ports(list: &str) -> Result<Vec<Option<u16>>, ClientConfigurationError> {
    list.split(',')
        .map(str::trim)
        .map(|port| (!port.is_empty()).then(|| parse_port(port)).transpose())
        .collect()
}

fn parse_port(text: &str) -> Result<u16, ClientConfigurationError> {
    // A sign would be taken for part of a number.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| error("a port is no number from 1 to 65535"))
}

fn error(text: &str) -> ClientConfigurationError {
    ClientConfigurationError::new(text)
}
