//! The list of asyncio's names: `conformance/asyncio-api.tsv`, read and checked.

/// One public name of asyncio.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: String,
    /// The version of CPython that brought it.
    pub(super) since: String,
    pub(super) area: String,
    /// The crate where it is, or will be.
    pub(super) home: String,
    /// The signature in Python, or why the name does not apply.
    pub(super) note: String,
    pub(super) state: State,
}

/// What has become of a name here.
#[derive(Debug)]
pub(super) enum State {
    Mapped {
        rust: String,
        /// An expression that names it for the compiler, where the path alone does not.
        check: String,
        differs: String,
    },
    /// It applies, and is not there yet.
    Missing,
    /// It applies, and is left out, for this reason.
    LeftOut { reason: String },
    /// It does not apply to Rust.
    Absent,
}

const COLUMNS: [&str; 10] = [
    "name", "kind", "since", "area", "crate", "applies", "note", "rust", "check", "differs",
];

/// Reads the list; columns at the end of a row may be left out.
pub(super) fn parse(text: &str) -> Result<Vec<Name>, String> {
    let mut lines = text.lines();
    if lines
        .next()
        .is_none_or(|head| !head.split('\t').eq(COLUMNS))
    {
        return Err(format!("the columns are to be {}", COLUMNS.join(", ")));
    }
    let mut names: Vec<Name> = Vec::new();
    for line in lines {
        let name = row(line).map_err(|error| format!("{line:?}: {error}"))?;
        if names.iter().any(|other| other.name == name.name) {
            return Err(format!("{} is there twice", name.name));
        }
        names.push(name);
    }
    Ok(names)
}

fn row(line: &str) -> Result<Name, String> {
    let mut cells = line.split('\t').map(str::to_owned);
    let mut next = || cells.next().unwrap_or_default();
    let [name, _kind, since, area, home, applies] = [(); 6].map(|()| next());
    let [note, rust, check, differs] = [(); 4].map(|()| next());
    if cells.next().is_some() {
        return Err("more columns than there are names for".to_owned());
    }
    let state = match applies.as_str() {
        "yes" if rust.is_empty() && check.is_empty() && differs.is_empty() => State::Missing,
        "yes" if rust.is_empty() && check.is_empty() => State::LeftOut { reason: differs },
        "yes" => {
            let last = rust.rsplit("::").next().unwrap_or_default();
            if !rust.contains("::") {
                return Err("the Rust path has to begin with a crate".to_owned());
            }
            if !check.is_empty() && !check.contains(last) {
                return Err(format!("the check does not name {last}"));
            }
            State::Mapped {
                rust,
                check,
                differs,
            }
        }
        "na" if rust.is_empty() && !note.is_empty() => State::Absent,
        "na" => return Err("a name that does not apply has a reason and no path".to_owned()),
        other => return Err(format!("applies is yes or na, not {other:?}")),
    };
    Ok(Name {
        name,
        since,
        area,
        home,
        note,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(row: &str) -> Result<Vec<Name>, String> {
        parse(&format!("{}\n{row}\n", COLUMNS.join("\t")))
    }

    #[test]
    fn rows_that_contradict_themselves_are_refused() {
        let start = "asyncio.run\tfunction\t3.7\trunners\tasyncio-core";
        assert!(with(&format!("{start}\tyes")).is_ok());
        assert!(with(&format!("{start}\tna\twhy")).is_ok());
        assert!(with(&format!("{start}\tyes\t\t\t\twhy it is left out")).is_ok());
        for wrong in [
            format!("{start}\tno\twhy"),
            format!("{start}\tna"),
            format!("{start}\tna\twhy\tasyncio_core::run"),
            format!("{start}\tyes\t\trun"),
            format!("{start}\tyes\t\t\tasyncio_core::run\tdiffers"),
            format!("{start}\tyes\t\tasyncio_core::run\tasyncio_core::stop"),
            format!("{start}\tyes\t\ta::b\t\t\tmore"),
            format!("{start}\tyes\n{start}\tyes"),
        ] {
            assert!(with(&wrong).is_err(), "{wrong}");
        }
        assert!(parse("name\tkind\n").is_err());
    }
}
