//! The service file: parameters by sections.

use std::fs;
use std::path::Path;

use super::{Params, dsn, file_error};
use crate::ClientConfigurationError;

/// Reads a section of a file; `None` where there is no such file or section.
pub(super) fn find(file: &Path, service: &str) -> Result<Option<Params>, ClientConfigurationError> {
    let Ok(text) = fs::read_to_string(file) else {
        return Ok(None);
    };
    parse(&text, service).map_err(|why| file_error("the service file", file, why))
}

fn parse(text: &str, service: &str) -> Result<Option<Params>, ClientConfigurationError> {
    let mut found: Option<Params> = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            // The first section of that name counts.
            inside = found.is_none() && section.strip_suffix(']') == Some(service);
            if inside {
                found = Some(Params::default());
            }
        } else if inside && let Some(params) = &mut found {
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| ClientConfigurationError::new("has a line without a value"))?;
            match name.trim() {
                // One service cannot stand on another one.
                "service" => {
                    return Err(ClientConfigurationError::new(
                        "names a service in a service",
                    ));
                }
                name => dsn::set(params, name, value.trim().to_owned())?,
            }
        }
    }
    Ok(found)
}
