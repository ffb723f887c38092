//! What the command line says.

use std::ffi::OsString;
use std::path::PathBuf;

use super::PROFILES;
use crate::Failure;

pub(crate) const USAGE: &str = "\
cargo xtask conformance [OPTIONS]

  --python PATH   the CPython to compare with (default: a 3.13 on PATH or of pyenv)
  --offline       compare with the recorded corpus only
  --fuzz N        generate N programs for each profile and compare them live (default 3000)
  --seed S        generate the same programs again (default: a fresh seed, which is printed)
  --area A        only these hand-written programs (may be repeated)
  --profile P     only these generated programs (may be repeated)
  --print         write the hand-written programs to standard output
  --record        record the corpus anew (needs CPython 3.13)

With --area alone no generated program runs, with --profile alone no hand-written one.
Exit status: 0 all equal, 1 a divergence, 2 the comparison could not be made.";

/// The options, checked.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) python: Option<PathBuf>,
    pub(crate) offline: bool,
    pub(crate) fuzz: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) areas: Vec<String>,
    pub(crate) profiles: Vec<String>,
    pub(crate) print: bool,
    pub(crate) record: bool,
}

impl Options {
    /// None where help was asked for.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::prelude::*;

        let mut options = Self {
            python: None,
            offline: false,
            fuzz: 3000,
            seed: None,
            areas: Vec::new(),
            profiles: Vec::new(),
            print: false,
            record: false,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("python") => options.python = Some(parser.value()?.into()),
                Long("offline") => options.offline = true,
                Long("fuzz") => options.fuzz = parser.value()?.parse()?,
                Long("seed") => options.seed = Some(parser.value()?.parse()?),
                Long("area") => options.areas.push(parser.value()?.string()?),
                Long("profile") => {
                    let profile = parser.value()?.string()?;
                    if !PROFILES.contains(&profile.as_str()) {
                        return Err(format!("no profile {profile:?}").into());
                    }
                    options.profiles.push(profile);
                }
                Long("print") => options.print = true,
                Long("record") => options.record = true,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    /// Whether the hand-written programs of an area are asked for.
    pub(crate) fn wants_area(&self, area: &str) -> bool {
        self.all() || self.areas.iter().any(|wanted| wanted == area)
    }

    /// Whether the generated programs of a profile are asked for.
    pub(crate) fn wants_profile(&self, profile: &str) -> bool {
        self.all() || self.profiles.iter().any(|wanted| wanted == profile)
    }

    const fn all(&self) -> bool {
        self.areas.is_empty() && self.profiles.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Options {
        Options::parse(args.iter().map(OsString::from))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn areas_and_profiles_restrict_each_other() {
        let all = parsed(&[]);
        assert!(all.wants_area("locks") && all.wants_profile("locks") && all.fuzz == 3000);
        let area = parsed(&["--area", "locks"]);
        assert!(
            area.wants_area("locks") && !area.wants_area("core") && !area.wants_profile("locks")
        );
        let profile = parsed(&["--profile=core", "--profile", "all"]);
        assert!(profile.wants_profile("all") && profile.wants_profile("core"));
        assert!(!profile.wants_area("core") && !profile.wants_profile("locks"));
    }

    #[test]
    fn nonsense_is_refused() {
        for args in [
            &["--profile", "nonsense"][..],
            &["--fuzz", "many"],
            &["--what"],
            &["--seed"],
        ] {
            assert!(
                Options::parse(args.iter().map(OsString::from)).is_err(),
                "{args:?}"
            );
        }
    }
}
