//! The attributes `#[asyncio_core::main]` and `#[asyncio_core::test]`.
//!
//! They are documented where they are used, in [asyncio-core](https://docs.rs/asyncio-core). What they
//! have to understand of Rust is the head of a function, so that no parser of the language is needed.

mod function;
mod settings;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use function::Function;
use settings::Settings;

/// Runs an `async fn main` on an event loop.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("main", CORE, arguments, item)
}

/// Runs an `async fn` on an event loop as a test.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("test", CORE, arguments, item)
}

/// [`macro@main`] for programs that know asyncio-compat alone.
#[proc_macro_attribute]
pub fn compat_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("main", COMPAT, arguments, item)
}

/// [`macro@test`] for programs that know asyncio-compat alone.
#[proc_macro_attribute]
pub fn compat_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("test", COMPAT, arguments, item)
}

const CORE: &str = "::asyncio_core";
const COMPAT: &str = "::asyncio_compat";

/// What is wrong, and where.
struct Mistake {
    text: String,
    span: Span,
}

impl Mistake {
    fn new(span: Span, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            span,
        }
    }

    /// As `compile_error!` at the place.
    fn into_tokens(self) -> TokenStream {
        let text = TokenTree::Literal(Literal::string(&self.text));
        let mut group = Group::new(Delimiter::Brace, TokenStream::from(text));
        group.set_span(self.span);
        let path: TokenStream = "::core::compile_error!".parse().unwrap_or_default();
        let path = path.into_iter().map(|mut token| {
            token.set_span(self.span);
            token
        });
        path.chain([TokenTree::Group(group)]).collect()
    }
}

fn expand(attribute: &str, place: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = Settings::parse(attribute, place, arguments)
        .and_then(|settings| Ok((settings, Function::parse(attribute, item.clone())?)));
    match parsed {
        Ok((settings, function)) => write(attribute, &settings, function),
        Err(mistake) => {
            let mut out = mistake.into_tokens();
            if item.to_string().contains("fn main") {
                // So that the mistake is the only one that is reported.
                out.extend(tokens("fn main() {}"));
            }
            out
        }
    }
}

/// The function without its `async`, which runs the one with it.
fn write(attribute: &str, settings: &Settings, function: Function) -> TokenStream {
    let Function {
        attributes,
        visibility,
        name,
        output,
        body,
    } = function;
    let place = &settings.place;
    let inner = Ident::new("program", Span::call_site());
    let mut out = TokenStream::new();
    if attribute == "test" {
        out.extend(tokens("#[::core::prelude::v1::test]"));
    }
    out.extend(attributes);
    out.extend(visibility);
    out.extend(tokens("fn"));
    let text = name.to_string();
    out.extend([
        TokenTree::Ident(name),
        TokenTree::Group(Group::new(Delimiter::Parenthesis, TokenStream::new())),
    ]);
    let mut outer = TokenStream::new();
    outer.extend(tokens("async fn"));
    outer.extend([
        TokenTree::Ident(inner),
        TokenTree::Group(Group::new(Delimiter::Parenthesis, TokenStream::new())),
    ]);
    let returns_nothing = output.is_empty();
    outer.extend(output);
    outer.extend([TokenTree::Group(body)]);
    let returned = match attribute {
        "main" => "-> ::std::process::ExitCode".to_owned(),
        // A test that should panic may return nothing else.
        _ if returns_nothing => String::new(),
        _ => format!("-> {place}::Result<()>"),
    };
    out.extend(tokens(&returned));
    let Settings {
        debug,
        virtual_clock,
        seed,
        worker_threads,
        place,
    } = settings;
    let (function, threads) = match worker_threads {
        None => (attribute.to_owned(), String::new()),
        Some(count) => (format!("{attribute}_on_threads"), format!("{count}, ")),
    };
    let call = format!(
        "{place}::attributes::{function}({place}::attributes::Settings {{ \
         debug: {debug}, virtual_clock: {virtual_clock}, seed: {seed}, \
         name: ::core::concat!(::core::module_path!(), \"::{text}\") }}, {threads}program)"
    );
    outer.extend(tokens(&call));
    if attribute == "test" && returns_nothing {
        outer.extend(tokens(".expect(\"the test could not be run\")"));
    }
    out.extend([TokenTree::Group(Group::new(Delimiter::Brace, outer))]);
    out
}

fn tokens(text: &str) -> TokenStream {
    // Text of ours, which is Rust.
    text.parse().unwrap_or_default()
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// `->`, as two tokens.
fn is_arrow(first: &Punct, second: Option<&TokenTree>) -> bool {
    first.as_char() == '-'
        && first.spacing() == Spacing::Joint
        && second.is_some_and(|token| is_punct(token, '>'))
}
