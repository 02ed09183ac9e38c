//! Words for taking JSON apart: what is not there and what is null read alike.

use serde_json::{Map, Value};

/// What stands at a path of keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

/// A text; anything else is empty.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A text that says something.
pub(crate) fn some_text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    Some(text(value, key)).filter(|text| !text.is_empty())
}

pub(crate) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

pub(crate) fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// A number that asks for something: zero is what clients send for "as you like".
pub(crate) fn some_number(value: &Value, key: &str) -> Option<String> {
    Some(number(value, key)).filter(|number| *number != 0).map(|number| number.to_string())
}

/// The elements of a list.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list; a text alone is a list of one.
pub(crate) fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    match value.get(key) {
        Some(Value::String(text)) => vec![text],
        _ => list(value, key).iter().filter_map(Value::as_str).collect(),
    }
}

/// The members of an object.
pub(crate) fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// Whether a value says nothing: clients send every field they know.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(says_nothing),
        Value::Object(object) => object.values().all(says_nothing),
    }
}

/// An object, taken out of its value.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// `sha256:` before an id that has it not.
pub(crate) fn digest(id: &str) -> String {
    if id.is_empty() || id.starts_with("sha256:") { id.to_owned() } else { format!("sha256:{id}") }
}
