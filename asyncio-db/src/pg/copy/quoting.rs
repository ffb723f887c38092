//! Names and values in the text of a command.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A name, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, quoted, so that it is the same whatever the server's settings.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A table by its name and its schema.
pub(super) fn table(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{}", identifier(schema), identifier(name)),
        None => identifier(name),
    }
}

/// Names, quoted and in parentheses.
pub(super) fn list(names: &[String]) -> String {
    let mut text = String::from("(");
    for (index, name) in names.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{}", identifier(name));
    }
    text.push(')');
    text
}

/// A query with values in the place of `$1`, `$2` and so on, wherever these are arguments: not in a
/// quoted text, a quoted name or a comment.
pub(super) fn inline<'q>(query: &'q str, values: &[String]) -> Cow<'q, str> {
    let bytes = query.as_bytes();
    let mut text = String::new();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if !continues_name(bytes, at) => {
                let digits = bytes[at + 1..]
                    .iter()
                    .take_while(|it| it.is_ascii_digit())
                    .count();
                let number = query[at + 1..at + 1 + digits].parse::<usize>().ok();
                let value = number.and_then(|number| values.get(number.checked_sub(1)?));
                if let Some(value) = value {
                    text.push_str(&query[from..at]);
                    text.push_str(value);
                    at += 1 + digits;
                    from = at;
                } else {
                    at = after_dollar_quoted(query, at);
                }
            }
            quote @ (b'\'' | b'"') => {
                let escapes = quote == b'\''
                    && at > 0
                    && matches!(bytes[at - 1], b'e' | b'E')
                    && !continues_name(bytes, at - 1);
                at = after_quoted(bytes, at, quote, escapes);
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                let len = bytes[at..].iter().position(|it| *it == b'\n');
                at = len.map_or(bytes.len(), |len| at + len);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = after_comment(bytes, at),
            _ => at += 1,
        }
    }
    if from == 0 {
        return Cow::Borrowed(query);
    }
    text.push_str(&query[from..]);
    Cow::Owned(text)
}

/// Whether what begins here belongs to a name before it.
fn continues_name(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    before.is_some_and(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'$' | 0x80..))
}

fn after_quoted(bytes: &[u8], at: usize, quote: u8, escapes: bool) -> usize {
    let mut at = at + 1;
    while let Some(it) = bytes.get(at) {
        match *it {
            b'\\' if escapes => at += 2,
            // Two of them stand for one, and then it begins anew.
            it if it == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn after_comment(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind a text between `$tag$` and `$tag$`; behind the dollar, where it begins none.
fn after_dollar_quoted(query: &str, at: usize) -> usize {
    let rest = &query[at + 1..];
    let Some(len) = rest.find('$') else {
        return at + 1;
    };
    let tag = &rest[..len];
    let mut letters = tag.bytes();
    let begins = letters
        .next()
        .is_none_or(|it| it.is_ascii_alphabetic() || matches!(it, b'_' | 0x80..));
    if !begins || !letters.all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | 0x80..)) {
        return at + 1;
    }
    let mark = &query[at..at + len + 2];
    let body = at + mark.len();
    query[body..]
        .find(mark)
        .map_or(query.len(), |len| body + len + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arguments_are_replaced() {
        let values = ["'one'".to_owned(), "2".to_owned()];
        for (query, inlined) in [
            ("SELECT $1, $2 + $2", "SELECT 'one', 2 + 2"),
            ("SELECT $1::text", "SELECT 'one'::text"),
            ("SELECT '$1', $2", "SELECT '$1', 2"),
            ("SELECT 'it''s $1', $2", "SELECT 'it''s $1', 2"),
            (r"SELECT E'\'$1', $2", r"SELECT E'\'$1', 2"),
            (r"SELECT '\', $2, '", r"SELECT '\', 2, '"),
            ("SELECT $$ $1 $$, $2", "SELECT $$ $1 $$, 2"),
            ("SELECT $a$ $1 $$ $a$, $2", "SELECT $a$ $1 $$ $a$, 2"),
            ("SELECT \"$1\", a$1, $2", "SELECT \"$1\", a$1, 2"),
            ("SELECT $2 -- $1\n, $1", "SELECT 2 -- $1\n, 'one'"),
            (
                "SELECT /* $1 /* */ $2 */ $1",
                "SELECT /* $1 /* */ $2 */ 'one'",
            ),
            ("SELECT $3, $", "SELECT $3, $"),
            ("SELECT 'é$1', $1", "SELECT 'é$1', 'one'"),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(inline(query, &values), inlined);
        }
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(table(Some("a"), "b\"c"), "\"a\".\"b\"\"c\"");
        assert_eq!(list(&["a".to_owned(), "B".to_owned()]), "(\"a\", \"B\")");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"\N"), r" E'\\N'");
    }
}
