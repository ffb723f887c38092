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
    /// Where asyncio-core is found.
    pub(crate) place: String,
}

impl Settings {
    pub(crate) fn parse(attribute: &str, arguments: TokenStream) -> Result<Self, Mistake> {
        let mut settings = Self {
            debug: NONE.to_owned(),
            virtual_clock: "false".to_owned(),
            seed: NONE.to_owned(),
            place: "::asyncio_core".to_owned(),
        };
        let arguments: Vec<TokenTree> = arguments.into_iter().collect();
        let mut known: Vec<String> = Vec::new();
        for argument in arguments.split(|token| is_punct(token, ',')) {
            let Some(argument) = Argument::parse(argument)? else {
                continue;
            };
            if known.contains(&argument.name) {
                let text = format!("`{}` is given twice", argument.name);
                return Err(Mistake::new(argument.span, text));
            }
            known.push(argument.name.clone());
            match argument.name.as_str() {
                "debug" => settings.debug = some(argument.flag()?),
                "virtual_clock" => settings.virtual_clock = argument.flag()?.to_string(),
                "seed" => settings.seed = some(argument.number("`seed = 7`")?),
                "crate" => {
                    settings.place = argument
                        .value
                        .ok_or("write `crate = path::to::asyncio_core`")
                        .map_err(|text| Mistake::new(argument.span, text))?;
                }
                "flavor" | "worker_threads" => {
                    let text = format!(
                        "an event loop has one thread. For many use #[tokio::{attribute}]: \
                         `create_task` and the rest work there too"
                    );
                    return Err(Mistake::new(argument.span, text));
                }
                "start_paused" => {
                    let text = "the clock that jumps is `virtual_clock = true` here";
                    return Err(Mistake::new(argument.span, text));
                }
                "shuffle" | "rng_seed" => {
                    let text = "an order that chance decides is `seed = 7` here, or another number";
                    return Err(Mistake::new(argument.span, text));
                }
                other => {
                    let text = format!(
                        "#[{attribute}] knows no `{other}`: there are `debug`, `virtual_clock`, \
                         `seed` and `crate`"
                    );
                    return Err(Mistake::new(argument.span, text));
                }
            }
        }
        Ok(settings)
    }
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

    fn flag(&self) -> Result<bool, Mistake> {
        match self.value.as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => {
                let text = format!("`{}` is `true` or `false`, not `{other}`", self.name);
                Err(Mistake::new(self.span, text))
            }
        }
    }

    fn number(&self, example: &str) -> Result<u64, Mistake> {
        let name = &self.name;
        let Some(value) = &self.value else {
            return Err(Mistake::new(self.span, format!("write {example}")));
        };
        value.replace('_', "").parse().map_err(|_| {
            let text = format!("`{name}` is a number, as in {example}, not `{value}`");
            Mistake::new(self.span, text)
        })
    }
}
