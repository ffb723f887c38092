//! What stands in the attribute's parentheses.

use proc_macro::{TokenStream, TokenTree};

use crate::{Mistake, is_punct};

pub(crate) struct Settings {
    /// `Option<bool>`, as text.
    pub(crate) debug: String,
    pub(crate) virtual_clock: bool,
    /// Where asyncio-core is found.
    pub(crate) place: String,
}

impl Settings {
    pub(crate) fn parse(attribute: &str, arguments: TokenStream) -> Result<Self, Mistake> {
        let mut settings = Self {
            debug: "::core::option::Option::None".to_owned(),
            virtual_clock: false,
            place: "::asyncio_core".to_owned(),
        };
        let arguments: Vec<TokenTree> = arguments.into_iter().collect();
        for argument in arguments.split(|token| is_punct(token, ',')) {
            let Some(name) = argument.first() else {
                continue;
            };
            let span = name.span();
            let value = match argument.get(1) {
                None => None,
                Some(equals) if is_punct(equals, '=') => {
                    Some(argument[2..].iter().cloned().collect::<TokenStream>())
                }
                Some(_) => return Err(Mistake::new(span, "write `name = value`")),
            };
            let value = value.map(|value| value.to_string());
            let flag = |name: &str| match value.as_deref() {
                None | Some("true") => Ok(true),
                Some("false") => Ok(false),
                Some(other) => {
                    let text = format!("`{name}` is `true` or `false`, not `{other}`");
                    Err(Mistake::new(span, text))
                }
            };
            match name.to_string().as_str() {
                name @ "debug" => {
                    settings.debug = format!("::core::option::Option::Some({})", flag(name)?);
                }
                name @ "virtual_clock" => settings.virtual_clock = flag(name)?,
                "crate" => {
                    settings.place = value.ok_or_else(|| {
                        Mistake::new(span, "write `crate = path::to::asyncio_core`")
                    })?;
                }
                "flavor" | "worker_threads" => {
                    let text = format!(
                        "an event loop has one thread. For many use #[tokio::{attribute}]: \
                         `create_task` and the rest work there too"
                    );
                    return Err(Mistake::new(span, text));
                }
                "start_paused" => {
                    let text = "the clock that jumps is `virtual_clock = true` here";
                    return Err(Mistake::new(span, text));
                }
                other => {
                    let text = format!(
                        "#[{attribute}] knows no `{other}`: there are `debug`, `virtual_clock` and \
                         `crate`"
                    );
                    return Err(Mistake::new(span, text));
                }
            }
        }
        Ok(settings)
    }
}
