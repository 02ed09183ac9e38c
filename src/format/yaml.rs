//! A value as YAML, for `info`: keys in order of the alphabet, as Go's libraries write maps.

use super::value::{Kind, Value};

/// Block style, two spaces a level, no newline at the end.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0, true);
    out.trim_start_matches('\n').trim_end().to_owned()
}

fn write(out: &mut String, value: &Value, level: usize, at_line_start: bool) {
    let members: Vec<(&str, &Value)> = match value {
        Value::Struct(fields) => {
            let mut members: Vec<(&str, &Value)> = fields
                .iter()
                .filter(|field| match field.kind {
                    Kind::Plain | Kind::JsonOnly => true,
                    Kind::OmitEmpty => field.value.truth(),
                    Kind::Method => false,
                })
                .map(|field| (field.json, &field.value))
                .collect();
            members.sort_by_key(|(key, _)| *key);
            members
        }
        Value::Map(map) => map.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        Value::List(items) if !items.is_empty() => {
            for item in items {
                out.push('\n');
                indent(out, level.saturating_sub(1));
                out.push_str("- ");
                write(out, item, level, true);
            }
            return;
        }
        Value::List(_) => {
            out.push_str(" []");
            return;
        }
        scalar => {
            if !at_line_start {
                out.push(' ');
            }
            out.push_str(&plain(scalar, level));
            return;
        }
    };
    if members.is_empty() {
        out.push_str(if at_line_start { "{}" } else { " {}" });
        return;
    }
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 || !at_line_start {
            out.push('\n');
            indent(out, level);
        }
        out.push_str(key);
        out.push(':');
        write(out, value, level + 1, false);
    }
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}

fn plain(value: &Value, level: usize) -> String {
    match value {
        Value::Nil(_) => "null".into(),
        Value::String(text) => string(text, level),
        Value::Time(_) | Value::Duration(_) => format!("{:?}", value.go_string()),
        other => other.go_string(),
    }
}

fn string(text: &str, level: usize) -> String {
    if text.contains('\n') {
        let mark = if text.ends_with('\n') { "|" } else { "|-" };
        let lines: Vec<String> = text.lines().map(|line| format!("{}{line}", "  ".repeat(level))).collect();
        return format!("{mark}\n{}", lines.join("\n"));
    }
    let looks_like_another_type = text.is_empty()
        || text.parse::<f64>().is_ok()
        || matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "~" | "y" | "n"
        );
    if looks_like_another_type {
        return format!("\"{text}\"");
    }
    let special_start = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c));
    if special_start || text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn yaml_is_as_podman_prints_it() {
        let value = object! {
            "store": object! { "number": 3i64, "options": Value::Map(Default::default()) },
            "host": object! {
                "variant": "",
                "list": vec!["a".to_owned(), "b".into()],
                "maps": vec![object! { "size": 1i64, "host_id": 5i64 }],
                "status": "true",
                "version": "x version 1\ncommit: 2",
                "text": "a: b",
                "nothing": Value::Nil(crate::format::Nil::List),
            },
        };
        let expected = "host:\n  list:\n  - a\n  - b\n  maps:\n  - host_id: 5\n    size: 1\n  nothing: null\n  status: \"true\"\n  text: 'a: b'\n  \
                        variant: \"\"\n  version: |-\n    x version 1\n    commit: 2\nstore:\n  number: 3\n  options: {}";
        assert_eq!(yaml(&value), expected);
    }
}
