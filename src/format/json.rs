//! A value as JSON, in the order of its fields, with Go's numbers and escapes.

use std::fmt::Write;

use super::go::{go_exponent, rfc3339};
use super::value::{Kind, Value};

impl Value {
    /// JSON without any space, as `{{json .}}` gives it.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, None, 0);
        out
    }

    /// JSON over several lines, each level indented by `width` spaces.
    pub fn json_indented(&self, width: usize) -> String {
        let mut out = String::new();
        self.write_json(&mut out, Some(width), 0);
        out
    }

    fn write_json(&self, out: &mut String, indent: Option<usize>, level: usize) {
        match self {
            Value::Nil(_) => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => out.push_str(&value.to_string()),
            Value::Uint(value) => out.push_str(&value.to_string()),
            Value::Float(value) => out.push_str(&json_float(*value)),
            Value::String(text) | Value::Heading { text, .. } => json_string(out, text),
            Value::Time(time) => json_string(out, &rfc3339(*time)),
            Value::Duration(duration) => out.push_str(&duration.as_nanos().to_string()),
            Value::List(items) => {
                let items = items.iter().map(|item| (None, item));
                write_members(out, '[', items, ']', indent, level);
            }
            Value::Map(map) => {
                let members = map.iter().map(|(key, value)| (Some(key.as_str()), value));
                write_members(out, '{', members, '}', indent, level);
            }
            Value::Struct(fields) => {
                let members = fields
                    .iter()
                    .filter(|field| match field.kind {
                        Kind::Plain | Kind::JsonOnly => true,
                        Kind::OmitEmpty => !field.value.is_empty(),
                        Kind::Method => false,
                    })
                    .map(|field| (Some(field.json), &field.value));
                write_members(out, '{', members, '}', indent, level);
            }
        }
    }
}

fn write_members<'a>(
    out: &mut String,
    open: char,
    members: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    close: char,
    indent: Option<usize>,
    level: usize,
) {
    out.push(open);
    let mut any = false;
    for (key, value) in members {
        if any {
            out.push(',');
        }
        any = true;
        break_line(out, indent, level + 1);
        if let Some(key) = key {
            json_string(out, key);
            out.push_str(if indent.is_some() { ": " } else { ":" });
        }
        value.write_json(out, indent, level + 1);
    }
    if any {
        break_line(out, indent, level);
    }
    out.push(close);
}

fn break_line(out: &mut String, indent: Option<usize>, level: usize) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * level));
    }
}

fn json_string(out: &mut String, text: &str) {
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
            // Line separators break JavaScript, so Go escapes them always.
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn json_float(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-6..1e21).contains(&size) {
        return go_exponent(&format!("{value:e}"));
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::format::Nil;
    use crate::object;

    #[test]
    fn json_has_podmans_names_and_order() {
        let value = object! {
            "Id": "abc",
            "Empty"?: "",
            "cgroupVersion" as "CgroupsVersion": "v2",
            "Labels": Value::map(&BTreeMap::from([("b".to_owned(), "2"), ("a".to_owned(), "1 <")])),
            "None": Value::Nil(Nil::Map),
            "Ports": Vec::<Value>::new(),
            "Wait": Duration::from_secs(30),
            fn "Running": "yes",
        };
        let expected = r#"{"Id":"abc","cgroupVersion":"v2","Labels":{"a":"1 <","b":"2"},"None":null,"Ports":[],"Wait":30000000000}"#;
        assert_eq!(value.json(), expected);
        assert_eq!(Value::List(vec![object! { "A": 1i64 }]).json_indented(2), "[\n  {\n    \"A\": 1\n  }\n]");
        assert_eq!(Value::List(Vec::new()).json_indented(4), "[]");
        assert_eq!(Value::from("a\u{1}\"\n").json(), r#""a\u0001\"\n""#);
    }
}
