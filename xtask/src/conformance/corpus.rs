//! The programs and traces that are checked in.
//!
//! Hand-written programs are lines of `scenarios/AREA.jsonl`, their traces lines of
//! `traces/AREA.jsonl`. Generated ones are in `generated/PROFILE.jsonl.gz`, program and trace on one line.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};

use super::PROFILES;
use super::options::Options;
use super::peer;
use crate::Failure;
use crate::interp::Outcome;

/// Programs, each with what CPython made of it where that is recorded.
pub(crate) type Cases = Vec<(Json, Option<Outcome>)>;

/// All that is checked in of what the options ask for.
pub(crate) struct Corpus {
    pub(crate) hand_written: Vec<(String, Cases)>,
    pub(crate) generated: Vec<(String, Cases)>,
    /// Where programs and traces do not belong together.
    pub(crate) gaps: Vec<String>,
}

impl Corpus {
    /// Loads what the options ask for.
    pub(crate) fn load(options: &Options) -> Result<Self, Failure> {
        let mut corpus = Self {
            hand_written: Vec::new(),
            generated: Vec::new(),
            gaps: Vec::new(),
        };
        for (area, programs) in hand_written(options)? {
            let mut traces = recorded(&area)?;
            let mut cases = Vec::new();
            for program in programs {
                let trace = traces.remove(name(&program));
                if trace.is_none() {
                    corpus.gaps.push(format!(
                        "{area}: no trace is recorded for {:?}",
                        name(&program)
                    ));
                }
                cases.push((program, trace));
            }
            for orphan in traces.keys() {
                corpus.gaps.push(format!(
                    "{area}: a trace is recorded for {orphan:?}, which is no program"
                ));
            }
            corpus.hand_written.push((area, cases));
        }
        for profile in PROFILES
            .into_iter()
            .filter(|profile| options.wants_profile(profile))
        {
            corpus
                .generated
                .push((profile.to_owned(), load_generated(profile)?));
        }
        Ok(corpus)
    }
}

/// Where the language, its scripts and its corpus are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// The hand-written programs of the areas that the options ask for, by area.
pub(crate) fn hand_written(options: &Options) -> Result<Vec<(String, Vec<Json>)>, Failure> {
    let mut areas = Vec::new();
    for entry in directory().join("scenarios").read_dir()? {
        let path = entry?.path();
        let (Some(area), Some("jsonl")) = (
            path.file_stem().and_then(|stem| stem.to_str()),
            path.extension().and_then(|e| e.to_str()),
        ) else {
            continue;
        };
        if options.wants_area(area) {
            areas.push((area.to_owned(), programs(&path)?));
        }
    }
    if let Some(missing) = options
        .areas
        .iter()
        .find(|area| options.wants_area(area) && !areas.iter().any(|(found, _)| found == *area))
    {
        return Err(format!("no hand-written programs of area {missing:?}").into());
    }
    // The profiles' order, and then by name what has no profile.
    let rank = |area: &str| {
        PROFILES
            .iter()
            .position(|name| *name == area)
            .unwrap_or(PROFILES.len())
    };
    areas.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    Ok(areas)
}

/// The name of a program.
pub(crate) fn name(program: &Json) -> &str {
    program["name"].as_str().unwrap_or_default()
}

/// Where the traces of an area's hand-written programs are.
pub(crate) fn traces(area: &str) -> PathBuf {
    directory().join("traces").join(format!("{area}.jsonl"))
}

/// Writes a profile's generated programs. The file depends on its contents alone.
pub(crate) fn store_generated(profile: &str, cases: &[(Json, Vec<String>)]) -> Result<(), Failure> {
    let path = generated(profile);
    fs::create_dir_all(directory().join("generated"))?;
    let mut gzip = GzEncoder::new(File::create(path)?, Compression::best());
    for (program, trace) in cases {
        writeln!(gzip, "{}", json!({"program": program, "trace": trace}))?;
    }
    gzip.finish()?;
    Ok(())
}

fn load_generated(profile: &str) -> Result<Cases, Failure> {
    let path = generated(profile);
    let file = File::open(&path).map_err(|error| {
        format!(
            "{}: {error}: run cargo xtask conformance --record --profile {profile}",
            path.display()
        )
    })?;
    let mut cases = Vec::new();
    for mut json in lines(GzDecoder::new(file), &path)? {
        let outcome = peer::outcome(&json)
            .ok_or_else(|| format!("{}: a line without a trace", path.display()))?;
        cases.push((json["program"].take(), Some(outcome)));
    }
    Ok(cases)
}

fn generated(profile: &str) -> PathBuf {
    directory()
        .join("generated")
        .join(format!("{profile}.jsonl.gz"))
}

fn programs(path: &Path) -> Result<Vec<Json>, Failure> {
    let programs = lines(File::open(path)?, path)?;
    let mut names = HashSet::new();
    for program in &programs {
        if name(program).is_empty() {
            return Err(format!("{}: a program without a name", path.display()).into());
        }
        if !names.insert(name(program)) {
            return Err(format!(
                "{}: two programs are named {:?}",
                path.display(),
                name(program)
            )
            .into());
        }
    }
    drop(names);
    Ok(programs)
}

fn recorded(area: &str) -> Result<HashMap<String, Outcome>, Failure> {
    let path = traces(area);
    if !path.exists() {
        return Ok(HashMap::new());
    }
    let mut traces = HashMap::new();
    for json in lines(File::open(&path)?, &path)? {
        let outcome = peer::outcome(&json)
            .ok_or_else(|| format!("{}: a line without a trace", path.display()))?;
        traces.insert(name(&json).to_owned(), outcome);
    }
    Ok(traces)
}

fn lines(input: impl Read, path: &Path) -> Result<Vec<Json>, Failure> {
    let mut found = Vec::new();
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let line = line.map_err(|error| format!("{}: {error}", path.display()))?;
        if !line.trim().is_empty() {
            let json = serde_json::from_str(&line)
                .map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))?;
            found.push(json);
        }
    }
    Ok(found)
}
