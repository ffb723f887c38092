//! What stands in the attribute's parentheses.

use proc_macro::{Span, TokenStream, TokenTree};

use crate::{Mistake, is_punct};

/// Each setting as the text of what it becomes.
pub(crate) struct Settings {
    /// `Option<bool>`
    pub(crate) debug: String,
    /// `bool`
    pub(crate) virtual_clock: String,
    /// `Option<u64>`
    pub(crate) seed: String,
    /// `Option<usize>`, for many threads: `None` is as many as there are processors. Nothing for the
    /// event loop, which has one.
    pub(crate) worker_threads: Option<String>,
    /// Where asyncio-core is found.
    pub(crate) place: String,
}

impl Settings {
    /// Reads them; `place` is where asyncio-core is found unless they say so.
    pub(crate) fn parse(
        attribute: &str,
        place: &str,
        arguments: TokenStream,
    ) -> Result<Self, Mistake> {
        let mut settings = Self {
            debug: NONE.to_owned(),
            virtual_clock: "false".to_owned(),
            seed: NONE.to_owned(),
            worker_threads: None,
            place: place.to_owned(),
        };
        let arguments: Vec<TokenTree> = arguments.into_iter().collect();
        let mut known: Vec<(String, Span)> = Vec::new();
        let mut flavor = None;
        for argument in arguments.split(|token| is_punct(token, ',')) {
            let Some(argument) = Argument::parse(argument)? else {
                continue;
            };
            if known.iter().any(|(name, _)| *name == argument.name) {
                return argument.mistake(format!("`{}` is given twice", argument.name));
            }
            known.push((argument.name.clone(), argument.span));
            match argument.name.as_str() {
                "debug" => settings.debug = some(argument.flag()?),
                "virtual_clock" => settings.virtual_clock = argument.flag()?.to_string(),
                "seed" => settings.seed = some(argument.number("`seed = 7`")?),
                "flavor" => flavor = Some(argument.flavor()?),
                "worker_threads" => {
                    settings.worker_threads = Some(some(argument.threads()?));
                }
                "crate" => {
                    let Some(value) = argument.value else {
                        return argument.mistake("write `crate = path::to::asyncio_core`");
                    };
                    settings.place = value;
                }
                "start_paused" => {
                    return argument.mistake("the clock that jumps is `virtual_clock = true` here");
                }
                "shuffle" | "rng_seed" => {
                    return argument.mistake(
                        "an order that chance decides is `seed = 7` here, or another number",
                    );
                }
                other => {
                    return argument.mistake(format!(
                        "#[{attribute}] knows no `{other}`: there are `debug`, `virtual_clock`, \
                         `seed`, `flavor`, `worker_threads` and `crate`"
                    ));
                }
            }
        }
        settings.agree(flavor, &known)?;
        Ok(settings)
    }

    /// Looks for settings that do not go together.
    fn agree(&mut self, flavor: Option<Flavor>, known: &[(String, Span)]) -> Result<(), Mistake> {
        let span_of = |name: &str| known.iter().find(|(known, _)| known == name);
        if matches!(flavor, Some(Flavor::Loop)) && self.worker_threads.is_some() {
            let span = span_of("worker_threads").map_or_else(Span::call_site, |(_, span)| *span);
            let text = "an event loop has one thread: for many say `flavor = \"multi_thread\"`";
            return Err(Mistake::new(span, text));
        }
        if matches!(flavor, Some(Flavor::MultiThread)) {
            self.worker_threads.get_or_insert_with(|| NONE.to_owned());
        }
        if self.worker_threads.is_none() {
            return Ok(());
        }
        let mut clashes = Vec::new();
        if self.virtual_clock == "true" {
            let why = "on many threads nobody can tell when nothing is ready";
            clashes.push(("virtual_clock", why));
        }
        clashes.push(("seed", "on many threads the order is nobody's"));
        for (name, why) in clashes {
            if let Some((_, span)) = span_of(name) {
                let text = format!("{why}: leave out either `{name}` or the threads");
                return Err(Mistake::new(*span, text));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Flavor {
    Loop,
    MultiThread,
}

const NONE: &str = "::core::option::Option::None";

fn some(value: impl std::fmt::Display) -> String {
    format!("::core::option::Option::Some({value})")
}

/// `name` or `name = value`.
struct Argument {
    name: String,
    value: Option<String>,
    span: Span,
}

impl Argument {
    fn parse(tokens: &[TokenTree]) -> Result<Option<Self>, Mistake> {
        let Some(name) = tokens.first() else {
            return Ok(None);
        };
        let value = match tokens.get(1) {
            None => None,
            Some(equals) if is_punct(equals, '=') => {
                let value: TokenStream = tokens[2..].iter().cloned().collect();
                Some(value.to_string())
            }
            Some(_) => return Err(Mistake::new(name.span(), "write `name = value`")),
        };
        Ok(Some(Self {
            name: name.to_string(),
            value,
            span: name.span(),
        }))
    }

    fn mistake<T>(&self, text: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake::new(self.span, text))
    }

    fn flag(&self) -> Result<bool, Mistake> {
        match self.value.as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => self.mistake(format!(
                "`{}` is `true` or `false`, not `{other}`",
                self.name
            )),
        }
    }

    fn number(&self, example: &str) -> Result<u64, Mistake> {
        let name = &self.name;
        let Some(value) = &self.value else {
            return self.mistake(format!("write {example}"));
        };
        match value.replace('_', "").parse() {
            Ok(number) => Ok(number),
            Err(_) => self.mistake(format!(
                "`{name}` is a number, as in {example}, not `{value}`"
            )),
        }
    }

    fn threads(&self) -> Result<u64, Mistake> {
        match self.number("`worker_threads = 4`")? {
            0 => self.mistake("there must be a thread: write `worker_threads = 1`, or more"),
            count => Ok(count),
        }
    }

    fn flavor(&self) -> Result<Flavor, Mistake> {
        match self.value.as_deref() {
            Some("\"loop\"") => Ok(Flavor::Loop),
            Some("\"multi_thread\"") => Ok(Flavor::MultiThread),
            Some("\"current_thread\"") => {
                self.mistake("one thread is the event loop's: write `flavor = \"loop\"`")
            }
            _ => self.mistake("write `flavor = \"loop\"` or `flavor = \"multi_thread\"`"),
        }
    }
}
