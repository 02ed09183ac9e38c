//! Texts and values as Go's `strconv` writes and reads them.

/// A text as Go's `%q` shows it.
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The words Go's `strconv.ParseBool` knows.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Value parsers for clap with the messages of Go's `strconv`.
pub mod number {
    use super::go_quote;

    fn wrong(function: &str, text: &str, out_of_range: bool) -> String {
        let why = if out_of_range { "value out of range" } else { "invalid syntax" };
        format!("strconv.{function}: parsing {}: {why}", go_quote(text))
    }

    fn integer<T: std::str::FromStr<Err = std::num::ParseIntError>>(function: &str, text: &str) -> Result<T, String> {
        text.parse::<T>().map_err(|error| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            wrong(function, text, matches!(error.kind(), PosOverflow | NegOverflow))
        })
    }

    pub fn u64(text: &str) -> Result<u64, String> {
        integer("ParseUint", text)
    }

    pub fn u16(text: &str) -> Result<u16, String> {
        integer("ParseUint", text)
    }

    pub fn u32(text: &str) -> Result<u32, String> {
        integer("ParseUint", text)
    }

    pub fn i64(text: &str) -> Result<i64, String> {
        integer("ParseInt", text)
    }

    pub fn i32(text: &str) -> Result<i32, String> {
        integer("ParseInt", text)
    }

    pub fn f64(text: &str) -> Result<f64, String> {
        text.parse().map_err(|_| wrong("ParseFloat", text, false))
    }
}
