//! A document as block-style YAML: keys in order of the alphabet, as the tools of Kubernetes write them.

use serde_json::Value;

pub(crate) fn text(document: &Value) -> String {
    let mut out = String::new();
    write(&mut out, document, 0, Place::Start);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Where a value begins.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Of the document.
    Start,
    AfterKey,
    AfterDash,
}

fn write(out: &mut String, value: &Value, level: usize, place: Place) {
    match value {
        Value::Object(map) if map.is_empty() => end(out, "{}", place),
        Value::Array(items) if items.is_empty() => end(out, "[]", place),
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 || place == Place::AfterKey {
                    line(out, level);
                }
                out.push_str(&scalar(key, level));
                out.push(':');
                let below = if value.is_array() { level } else { level + 1 };
                write(out, value, below, Place::AfterKey);
            }
        }
        Value::Array(items) => {
            for item in items {
                line(out, level);
                out.push_str("- ");
                write(out, item, level + 1, Place::AfterDash);
            }
        }
        Value::String(text) => end(out, &scalar(text, level), place),
        other => end(out, &other.to_string(), place),
    }
}

fn end(out: &mut String, text: &str, place: Place) {
    if place == Place::AfterKey {
        out.push(' ');
    }
    out.push_str(text);
}

fn line(out: &mut String, level: usize) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.extend(std::iter::repeat_n("  ", level));
}

/// Bare where it reads back as the same string, else quoted; several lines as a block.
fn scalar(text: &str, level: usize) -> String {
    let is_block = text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    if is_block {
        let mark = if text.ends_with('\n') { "|" } else { "|-" };
        let indented: Vec<String> = text
            .lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("{}{line}", "  ".repeat(level)) })
            .collect();
        return format!("{mark}\n{}", indented.join("\n"));
    }
    if text.chars().any(char::is_control) {
        // JSON's strings are YAML's double-quoted ones.
        return Value::from(text).to_string();
    }
    if looks_like_another_type(text) {
        return format!("\"{text}\"");
    }
    let special = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c));
    let bare_dash = text.starts_with('-') && text.len() > 1 && !text.starts_with("- ") && !text.starts_with("---");
    if (special && !bare_dash) || text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

/// What some reader of YAML 1.1 or 1.2 takes for a number, a truth, nothing, a time or a number to the base of 60.
fn looks_like_another_type(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    let is_word = matches!(
        word.as_str(),
        "" | "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "~" | "y" | "n" | "=" | "<<"
    );
    let digits = word.trim_start_matches(['-', '+']);
    let based = ["0x", "0o", "0b"].iter().any(|base| digits.starts_with(base));
    let starts_as_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let only = |more: &str| digits.chars().all(|c| c.is_ascii_digit() || more.contains(c));
    is_word
        || matches!(digits, ".inf" | ".nan")
        || based
        || (starts_as_number
            && (text.parse::<f64>().is_ok()
                || (only("_.") && digits.matches('.').count() < 2)
                || (only(":._") && text.contains(':'))
                || (only("-") && digits.len() == 10)
                || is_time(text)))
}

/// `2026-01-31T09:00:00Z`.
fn is_time(text: &str) -> bool {
    text.get(..11).is_some_and(|day| day.ends_with(['T', 't', ' ']) && day.matches('-').count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_as_kubernetes_writes_them() {
        let document = json!({
            "spec": { "containers": [{ "name": "a", "command": ["sleep", "100"], "empty": {} }], "none": [] },
            "kind": "Pod",
        });
        let expected = "kind: Pod\nspec:\n  containers:\n  - command:\n    - sleep\n    - \"100\"\n    empty: {}\n    name: a\n  none: []\n";
        assert_eq!(text(&document), expected);
    }

    #[test]
    fn strings_read_back_as_strings() {
        let table = [
            ("plain", "plain"),
            ("x y", "x y"),
            ("100", "\"100\""),
            ("1e3", "\"1e3\""),
            ("0x1f", "\"0x1f\""),
            ("12:30:45", "\"12:30:45\""),
            ("2026-01-02", "\"2026-01-02\""),
            ("1.2.3.4", "1.2.3.4"),
            ("true", "\"true\""),
            ("No", "\"No\""),
            ("", "\"\""),
            ("-c", "-c"),
            ("- c", "'- c'"),
            ("a: b", "'a: b'"),
            ("it's#1", "it's#1"),
            ("it's # 1", "'it''s # 1'"),
            ("{x}", "'{x}'"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\u{7}", "\"a\\u0007\""),
        ];
        for (string, expected) in table {
            assert_eq!(scalar(string, 1), expected, "{string:?}");
        }
    }
}
