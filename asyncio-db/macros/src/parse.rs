//! The head of a struct, and its fields.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::Mistake;

/// A struct that is to be a table.
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) visibility: String,
    pub(crate) table_name: String,
    /// Where the traits are found.
    pub(crate) place: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) span: Span,
}

/// A field that is a column.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) column: String,
    pub(crate) type_: String,
    pub(crate) primary_key: bool,
    pub(crate) generated: bool,
    pub(crate) unique: bool,
    pub(crate) references: Option<String>,
}

/// One of the words in `#[table(…)]`, and what it is set to.
struct Setting {
    name: String,
    value: Option<TokenStream>,
    span: Span,
}

const PLACE: &str = "::asyncio_db::sql";

type Tokens = std::iter::Peekable<proc_macro::token_stream::IntoIter>;

impl Struct {
    pub(crate) fn parse(item: TokenStream) -> Result<Self, Mistake> {
        let mut tokens = item.into_iter().peekable();
        let settings = take_settings(&mut tokens)?;
        let visibility = take_visibility(&mut tokens);
        match tokens.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "struct" => {}
            other => {
                let span = other.map_or_else(Span::call_site, |token| token.span());
                return Err(Mistake::new(span, "#[derive(Table)] goes on a struct"));
            }
        }
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return Err(Mistake::new(Span::call_site(), "a name is missing"));
        };
        let span = name.span();
        let fields = match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => group,
            Some(token) if is_punct(&token, '<') => {
                let text = format!("`{name}` must not be generic: a table has one type of rows");
                return Err(Mistake::new(token.span(), text));
            }
            _ => {
                let text = format!("`{name}` has no fields with names, which are the columns");
                return Err(Mistake::new(span, text));
            }
        };
        let mut table = Self {
            table_name: in_snake_case(&name.to_string()),
            name: name.to_string(),
            visibility,
            place: PLACE.to_owned(),
            fields: Field::parse_all(&fields)?,
            span,
        };
        for setting in settings {
            match setting.name.as_str() {
                "name" => table.table_name = setting.text()?,
                "crate" => table.place = setting.tokens()?.to_string(),
                other => {
                    let text = format!("a table has no `{other}`: there are `name` and `crate`");
                    return Err(Mistake::new(setting.span, text));
                }
            }
        }
        if table.fields.is_empty() {
            return Err(Mistake::new(span, "a table without columns has no rows"));
        }
        Ok(table)
    }
}

impl Field {
    fn parse_all(group: &Group) -> Result<Vec<Self>, Mistake> {
        let mut tokens = group.stream().into_iter().peekable();
        let mut fields = Vec::new();
        while tokens.peek().is_some() {
            fields.push(Self::parse(&mut tokens)?);
        }
        Ok(fields)
    }

    fn parse(tokens: &mut Tokens) -> Result<Self, Mistake> {
        let settings = take_settings(tokens)?;
        take_visibility(tokens);
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return Err(Mistake::new(
                Span::call_site(),
                "the name of a field is missing",
            ));
        };
        tokens.next(); // the colon
        let mut type_ = TokenStream::new();
        let mut depth = 0_usize;
        for token in tokens.by_ref() {
            match &token {
                TokenTree::Punct(it) if it.as_char() == ',' && depth == 0 => break,
                TokenTree::Punct(it) if it.as_char() == '<' => depth += 1,
                TokenTree::Punct(it) if it.as_char() == '>' => depth = depth.saturating_sub(1),
                _ => {}
            }
            type_.extend([token]);
        }
        let name = name.to_string();
        let mut field = Self {
            column: name.trim_start_matches("r#").to_owned(),
            name,
            type_: type_.to_string(),
            primary_key: false,
            generated: false,
            unique: false,
            references: None,
        };
        for setting in settings {
            match setting.name.as_str() {
                "primary_key" => field.primary_key = setting.flag()?,
                "generated" => field.generated = setting.flag()?,
                "unique" => field.unique = setting.flag()?,
                "column" => field.column = setting.text()?,
                "references" => field.references = Some(setting.tokens()?.to_string()),
                other => {
                    let text = format!(
                        "a column has no `{other}`: there are `primary_key`, `generated`, `unique`, \
                         `column` and `references`"
                    );
                    return Err(Mistake::new(setting.span, text));
                }
            }
        }
        Ok(field)
    }
}

impl Setting {
    fn flag(&self) -> Result<bool, Mistake> {
        match self.value {
            None => Ok(true),
            Some(_) => {
                let text = format!("`{}` is not set to anything", self.name);
                Err(Mistake::new(self.span, text))
            }
        }
    }

    fn tokens(self) -> Result<TokenStream, Mistake> {
        let text = format!("write `{} = …`", self.name);
        self.value.ok_or_else(|| Mistake::new(self.span, text))
    }

    fn text(self) -> Result<String, Mistake> {
        let (name, span) = (self.name.clone(), self.span);
        let text = self.tokens()?.to_string();
        let inner = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        match inner {
            Some(inner) if !inner.is_empty() && !inner.contains('\\') => Ok(inner.to_owned()),
            _ => Err(Mistake::new(span, format!("write `{name} = \"a name\"`"))),
        }
    }
}

/// Takes the attributes; what stands in those of ours.
fn take_settings(tokens: &mut Tokens) -> Result<Vec<Setting>, Mistake> {
    let mut settings = Vec::new();
    while tokens.next_if(|token| is_punct(token, '#')).is_some() {
        let Some(TokenTree::Group(attribute)) = tokens.next() else {
            break;
        };
        let mut attribute = attribute.stream().into_iter();
        match attribute.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "table" => {}
            _ => continue,
        }
        let Some(TokenTree::Group(group)) = attribute.next() else {
            continue;
        };
        let all: Vec<TokenTree> = group.stream().into_iter().collect();
        for setting in all.split(|token| is_punct(token, ',')) {
            let Some(name) = setting.first() else {
                continue;
            };
            let value = match setting.get(1) {
                None => None,
                Some(equals) if is_punct(equals, '=') => {
                    Some(setting[2..].iter().cloned().collect())
                }
                Some(other) => return Err(Mistake::new(other.span(), "write `name = value`")),
            };
            settings.push(Setting {
                name: name.to_string(),
                value,
                span: name.span(),
            });
        }
    }
    Ok(settings)
}

fn take_visibility(tokens: &mut Tokens) -> String {
    let is_pub =
        |token: &TokenTree| matches!(token, TokenTree::Ident(it) if it.to_string() == "pub");
    let Some(word) = tokens.next_if(is_pub) else {
        return String::new();
    };
    let is_group = |token: &TokenTree| matches!(token, TokenTree::Group(it) if it.delimiter() == Delimiter::Parenthesis);
    match tokens.next_if(is_group) {
        Some(group) => format!("{word}{group}"),
        None => word.to_string(),
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// `OrderLine` as `order_line`.
fn in_snake_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.trim_start_matches("r#").chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}
