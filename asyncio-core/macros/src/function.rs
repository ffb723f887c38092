//! The head of a function.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::{Mistake, is_arrow, is_punct};

/// An `async fn` without arguments, in its parts.
pub(crate) struct Function {
    pub(crate) attributes: TokenStream,
    pub(crate) visibility: TokenStream,
    pub(crate) name: Ident,
    /// With the arrow; empty where nothing is returned.
    pub(crate) output: TokenStream,
    pub(crate) body: Group,
}

impl Function {
    pub(crate) fn parse(attribute: &str, item: TokenStream) -> Result<Self, Mistake> {
        let here = Span::call_site();
        let mut tokens = item.into_iter().peekable();
        let mut attributes = TokenStream::new();
        while tokens.peek().is_some_and(|token| is_punct(token, '#')) {
            attributes.extend(tokens.by_ref().take(2));
        }
        let mut visibility = TokenStream::new();
        let mut is_async = false;
        let function = loop {
            match tokens.next() {
                Some(TokenTree::Ident(word)) => match word.to_string().as_str() {
                    "fn" => break word.span(),
                    "async" => is_async = true,
                    "pub" => {
                        visibility.extend([TokenTree::Ident(word)]);
                        let group = |token: &TokenTree| matches!(token, TokenTree::Group(_));
                        visibility.extend(tokens.next_if(group));
                    }
                    other => {
                        let text = format!(
                            "`{other}` cannot be run on an event loop: #[{attribute}] goes on an \
                             `async fn` without other qualifiers"
                        );
                        return Err(Mistake::new(word.span(), text));
                    }
                },
                _ => {
                    let text = format!("#[{attribute}] goes on an `async fn`");
                    return Err(Mistake::new(here, text));
                }
            }
        };
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return Err(Mistake::new(function, "a name is missing after `fn`"));
        };
        if !is_async {
            let text = format!("`{name}` is not async: write `async fn {name}`");
            return Err(Mistake::new(function, text));
        }
        let arguments = match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group,
            other => {
                let span = other.map_or(function, |token| token.span());
                let text = format!("`{name}` must not be generic: nobody says for which types");
                return Err(Mistake::new(span, text));
            }
        };
        if !arguments.stream().is_empty() {
            let help = match attribute {
                "main" => "read `std::env::args()` in it",
                _ => "write one test for each value, or a loop in it",
            };
            let text = format!("`{name}` takes no arguments, for nobody gives it any: {help}");
            return Err(Mistake::new(arguments.span(), text));
        }
        let (output, body) = parse_rest(tokens.collect())
            .ok_or_else(|| Mistake::new(function, format!("`{name}` has no body")))?;
        Ok(Self {
            attributes,
            visibility,
            name,
            output,
            body,
        })
    }
}

/// The return type, if there is one, and the body.
fn parse_rest(mut rest: Vec<TokenTree>) -> Option<(TokenStream, Group)> {
    let TokenTree::Group(body) = rest.pop()? else {
        return None;
    };
    let starts_well = match rest.first() {
        None => true,
        Some(TokenTree::Punct(punct)) => is_arrow(punct, rest.get(1)),
        Some(_) => false,
    };
    (starts_well && body.delimiter() == Delimiter::Brace)
        .then(|| (rest.into_iter().collect(), body))
}
