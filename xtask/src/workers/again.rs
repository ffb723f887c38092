//! Runs given programs many times, and tells what happened in a run that ended otherwise.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value as Json;

use super::lanes::{Runner, faults_in};
use crate::Failure;
use crate::conformance::corpus;

/// Runs each program of a file, one on a line, so many times; `-` is the standard input. Says how many
/// have a fault.
pub(super) fn again(path: &Path, times: usize, workers: &[usize]) -> Result<usize, Failure> {
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin())?
    } else {
        fs::read_to_string(path)?
    };
    let mut runner = Runner::new(workers)?;
    let mut bad = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let program: Json = serde_json::from_str(line)?;
        bad += usize::from(one(&mut runner, &program, times)?);
    }
    Ok(bad)
}

/// Whether one program has a fault.
fn one(runner: &mut Runner, program: &Json, times: usize) -> Result<bool, Failure> {
    let name = corpus::name(program);
    let said = match runner.tell(&vec![program; times])? {
        Ok(said) => said,
        Err(manner) => {
            say!("{name}: {manner}");
            return Ok(true);
        }
    };
    let answers = &said.answers;
    if let Some(why) = answers.iter().find_map(|answer| answer["skip"].as_str()) {
        say!("{name}: not compared: {why}");
    }
    let as_must = answers.iter().filter(|answer| answer["mild"] != "nothing");
    let explained = answers.iter().filter_map(|it| it["explained"].as_u64());
    let faults: Vec<_> = answers.iter().flat_map(faults_in).collect();
    let unexplained = answers
        .iter()
        .flat_map(|answer| answer["unexplained"].as_array().into_iter().flatten())
        .filter_map(Json::as_str)
        .collect::<Vec<_>>();
    say!(
        "{name}: run {times} times, {} times the same as in any order; {} runs explained, {} unexplained, {} faults",
        as_must.count(),
        explained.sum::<u64>(),
        unexplained.len(),
        faults.len()
    );
    match (faults.first(), unexplained.first()) {
        (Some((kind, text)), _) => say!("  {kind}: {text}"),
        (None, Some(text)) => say!("  unexplained: {text}"),
        (None, None) => {}
    }
    let faulty = |answer: &&Json| !faults_in(answer).is_empty();
    let story = |answer: &Json| {
        answer["story"]
            .as_array()
            .filter(|it| !it.is_empty())
            .cloned()
    };
    let story = match answers.iter().find(faulty) {
        Some(answer) => story(answer),
        None => answers.iter().find_map(story),
    };
    for line in story.iter().flatten().filter_map(Json::as_str) {
        say!("    {line}");
    }
    let anonymous = said.anonymous();
    if let Some(text) = &anonymous {
        say!("  {text}");
    }
    Ok(!faults.is_empty() || anonymous.is_some())
}
