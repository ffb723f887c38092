//! Text the way Python writes it: `str()` of a number, `repr()` of a string, `json.dumps`.
//!
//! Traces are compared line for line with those of a Python program, so the few places where the
//! two languages format the same thing differently are gathered here.

use std::fmt::Write as _;

/// `str()` of a float: always with a point or an exponent, the exponent signed and of two digits.
pub(crate) fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number.is_nan() {
        return "nan".to_owned();
    }
    let plain = format!("{number:?}");
    match plain.split_once('e') {
        None => plain,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(rest) => ('-', rest),
                None => ('+', exponent),
            };
            format!("{}e{sign}{exponent:0>2}", digits.trim_end_matches(".0"))
        }
    }
}

/// `repr()` of a string, as far as programs can tell: quotes, backslashes and control characters.
pub(crate) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (c as u32) == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Appends `json.dumps` of a string: ASCII only, everything else escaped as UTF-16.
pub(crate) fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Bytes as a JSON string, each byte one character.
pub(crate) fn bytes(data: &[u8]) -> String {
    let text: String = data.iter().copied().map(char::from).collect();
    let mut out = String::with_capacity(text.len() + 2);
    json_string(&mut out, &text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_writes_them() {
        for (number, text) in [
            (0.125, "0.125"),
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (1e-5, "1e-05"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (-0.5, "-0.5"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn times_round_as_python_rounds_them() {
        let rounded = [0.0625, 0.1875, 0.3125, 0.4375].map(|t| format!("{t:.3}"));
        assert_eq!(rounded, ["0.062", "0.188", "0.312", "0.438"]);
    }

    #[test]
    fn strings_as_json_dumps_writes_them() {
        let mut out = String::new();
        json_string(&mut out, "a\"\\\n\u{1}é\u{7f}😀");
        assert_eq!(out, r#""a\"\\\n\u0001\u00e9\u007f\ud83d\ude00""#);
    }

    #[test]
    fn strings_as_repr_writes_them() {
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("a'\"\n"), "'a\\'\"\\n'");
    }
}
