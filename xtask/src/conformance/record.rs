//! `--record`: writes the recorded corpus anew.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value as Json;

use super::options::Options;
use super::peer::{Peer, Reply};
use super::python::Python;
use super::run::PATIENCE;
use super::{PROFILES, corpus};
use crate::Failure;
use crate::interp::Outcome;
use crate::trace::Answer;

/// The generated programs kept of each profile.
const KEPT: usize = 200;
/// Some programs hang or are artefacts of CPython; so many are tried at most.
const TRIED: usize = 2 * KEPT;
/// The recorded programs are always the same ones.
const SEED: u64 = 0;

/// Records the traces of the hand-written programs, and the generated programs with theirs.
pub(crate) fn record(options: &Options, python: &Python) -> Result<(), Failure> {
    say!("recording with CPython {}", python.version);
    let asked = python.clone();
    let mut oracle = Peer::new(move || asked.oracle());
    for (area, programs) in corpus::hand_written(options)? {
        let mut text = String::new();
        for program in &programs {
            let name = corpus::name(program);
            let outcome = ask(&mut oracle, program)?;
            if let Outcome::Skip(why) = &outcome {
                say!("  {name} is skipped: {why}");
            }
            text.push_str(&format!(
                "{}\n",
                Answer {
                    name: name.to_owned(),
                    outcome
                }
            ));
        }
        let path = corpus::traces(&area);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, text)?;
        say!("{area}: {} hand-written programs", programs.len());
    }
    for profile in PROFILES
        .into_iter()
        .filter(|profile| options.wants_profile(profile))
    {
        let kept = generated(profile, python, &mut oracle)?;
        corpus::store_generated(profile, &kept)?;
        say!("{profile}: {} generated programs", kept.len());
    }
    Ok(())
}

fn generated(
    profile: &str,
    python: &Python,
    oracle: &mut Peer,
) -> Result<Vec<(Json, Vec<String>)>, Failure> {
    let mut generator = python
        .generator(profile, SEED, TRIED)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = generator
        .stdout
        .take()
        .ok_or("a generator without output")?;
    let mut kept = Vec::new();
    for line in BufReader::new(output).lines() {
        let program: Json = serde_json::from_str(&line?)?;
        if kept.len() < KEPT
            && let Outcome::Trace(lines) = ask(oracle, &program)?
        {
            kept.push((program, lines));
        }
    }
    let status = generator.wait()?;
    if !status.success() {
        return Err(format!("generate.py failed: {status}").into());
    }
    if kept.len() < KEPT {
        return Err(format!(
            "CPython finishes only {} of {TRIED} programs of {profile}",
            kept.len()
        )
        .into());
    }
    Ok(kept)
}

fn ask(oracle: &mut Peer, program: &Json) -> Result<Outcome, Failure> {
    match oracle.ask(&program.to_string(), PATIENCE)? {
        Reply::Answered(outcome) => Ok(outcome),
        Reply::Hung => Err(format!("the oracle hangs at {}", corpus::name(program)).into()),
        Reply::Crashed(why) => {
            Err(format!("the oracle fails at {}: {why}", corpus::name(program)).into())
        }
    }
}
