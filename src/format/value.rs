//! A value to be shown: as JSON with Podman's names, order and indentation, or through a Go template.
//!
//! `serde_json::Value` will not do: a template treats an unknown field of a structure as an error and an unknown key of
//! a map as `<no value>`, prints the one as `{a b}` and the other as `map[k:v]`, knows some fields by another name
//! than JSON, and can ask for words that JSON does not have (`.RunningFor`).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::go::{go_duration, go_float, go_time, zero_time};

/// What a template can see.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, and what kind of nothing Go would have had there.
    Nil(Nil),
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(String),
    Time(Timestamp),
    Duration(Duration),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Struct(Vec<Field>),
    /// The heading of a table: any field of it is a word in capitals.
    Heading {
        text: String,
        words: &'static [(&'static str, &'static str)],
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nil {
    /// `<nil>`, `null`.
    Pointer,
    /// The key was not in the map: `<no value>`, `null`.
    NoValue,
    /// `[]`, `null`.
    List,
    /// `map[]`, `null`.
    Map,
}

/// One field of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What JSON calls it.
    pub json: &'static str,
    /// What templates call it.
    pub name: &'static str,
    pub kind: Kind,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Left out of JSON when empty.
    OmitEmpty,
    /// Only templates see it, by asking for it: Go's methods.
    Method,
    /// Only JSON sees it; templates have a method of the same name.
    JsonOnly,
}

/// Builds a [`Value::Struct`]. `"Name": value`; `"json" as "Name": value` where the two differ; a `?` before the
/// colon leaves it out of JSON when empty; `fn "Name": value` is for templates only; `json "Name": value` for JSON only.
/// `asked ASKED;` before the first field: only what that [`Asked`] wants is made.
#[macro_export]
macro_rules! object {
    (@fields $v:ident $asked:ident) => {};
    (@fields $v:ident $asked:ident fn $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $name, $name, $crate::format::Kind::Method, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (@fields $v:ident $asked:ident json $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $name, $name, $crate::format::Kind::JsonOnly, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (@fields $v:ident $asked:ident $json:literal as $name:literal ? : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $json, $name, $crate::format::Kind::OmitEmpty, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (@fields $v:ident $asked:ident $json:literal as $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $json, $name, $crate::format::Kind::Plain, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (@fields $v:ident $asked:ident $name:literal ? : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $name, $name, $crate::format::Kind::OmitEmpty, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (@fields $v:ident $asked:ident $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        if $asked.for_field($name) {
            $crate::format::Field::add(&mut $v, $name, $name, $crate::format::Kind::Plain, $crate::format::Value::from($value));
        }
        $crate::object!(@fields $v $asked $($($rest)*)?);
    };
    (asked $asked:ident; $($body:tt)*) => {{
        let fields = { let mut fields = Vec::new(); $crate::object!(@fields fields $asked $($body)*); fields };
        $crate::format::Value::Struct(fields)
    }};
    ($($body:tt)*) => {{
        let all = $crate::format::All;
        $crate::object!(asked all; $($body)*)
    }};
}

/// What [`object!`] makes of a list's items where all of it is wanted.
pub struct All;

impl All {
    pub const fn for_field(&self, _: &str) -> bool {
        true
    }
}

/// The fields that a template asks for by name: of a thousand items the others need not be made.
pub struct Asked<'a>(pub Option<Vec<&'a str>>);

impl Asked<'_> {
    pub fn for_field(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(&name))
    }
}

impl Field {
    /// What `object!` puts its fields together with.
    pub fn add(fields: &mut Vec<Field>, json: &'static str, name: &'static str, kind: Kind, value: Value) {
        fields.push(Field { json, name, kind, value });
    }
}

impl Value {
    /// `map[string]string{}` and the like: never nil.
    pub fn map<T: Into<Value> + Clone>(map: &BTreeMap<String, T>) -> Value {
        Value::Map(map.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect())
    }

    /// A map that Go leaves nil when nothing is in it.
    pub fn map_or_nil<T: Into<Value> + Clone>(map: &BTreeMap<String, T>) -> Value {
        if map.is_empty() { Value::Nil(Nil::Map) } else { Value::map(map) }
    }

    pub fn list<T: Into<Value> + Clone>(items: &[T]) -> Value {
        Value::List(items.iter().map(|item| item.clone().into()).collect())
    }

    /// A slice that Go leaves nil when nothing is in it.
    pub fn list_or_nil<T: Into<Value> + Clone>(items: &[T]) -> Value {
        if items.is_empty() { Value::Nil(Nil::List) } else { Value::list(items) }
    }

    /// Go's zero time, which means "not yet".
    pub fn zero_time() -> Value {
        Value::Time(zero_time())
    }

    /// A time, or Go's zero time.
    pub fn time_or_zero(time: Option<Timestamp>) -> Value {
        Value::Time(time.unwrap_or_else(zero_time))
    }

    /// Whether `omitempty` leaves it out.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Nil(_) => true,
            Value::Bool(value) => !value,
            Value::Int(value) => *value == 0,
            Value::Uint(value) => *value == 0,
            Value::Float(value) => *value == 0.0,
            Value::String(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Duration(duration) => duration.is_zero(),
            Value::Struct(_) | Value::Time(_) | Value::Heading { .. } => false,
        }
    }

    /// Whether `if` takes it for true.
    pub fn truth(&self) -> bool {
        match self {
            Value::Struct(_) | Value::Time(_) | Value::Heading { .. } => true,
            other => !other.is_empty(),
        }
    }

    /// What Go's `%v` prints.
    pub fn go_string(&self) -> String {
        let mut text = String::new();
        self.print(&mut text);
        text
    }

    fn print(&self, out: &mut String) {
        match self {
            Value::Nil(Nil::Pointer) => out.push_str("<nil>"),
            Value::Nil(Nil::NoValue) => out.push_str("<no value>"),
            Value::Nil(Nil::List) => out.push_str("[]"),
            Value::Nil(Nil::Map) => out.push_str("map[]"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => out.push_str(&value.to_string()),
            Value::Uint(value) => out.push_str(&value.to_string()),
            Value::Float(value) => out.push_str(&go_float(*value)),
            Value::String(text) => out.push_str(text),
            Value::Heading { text, .. } => out.push_str(text),
            Value::Time(time) => out.push_str(&go_time(*time)),
            Value::Duration(duration) => out.push_str(&go_duration(*duration)),
            Value::List(items) => print_separated(out, '[', items.iter(), ']'),
            Value::Map(map) => {
                out.push_str("map[");
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.print(out);
                }
                out.push(']');
            }
            Value::Struct(fields) => {
                let data = fields.iter().filter(|field| field.kind != Kind::Method).map(|field| &field.value);
                print_separated(out, '{', data, '}');
            }
        }
    }
}

fn print_separated<'a>(out: &mut String, open: char, items: impl Iterator<Item = &'a Value>, close: char) {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        item.print(out);
    }
    out.push(close);
}

macro_rules! from {
    ($($kind:ty => $value:ident $(as $cast:ty)?),* $(,)?) => {
        $(impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                Value::$value(value $(as $cast)?)
            }
        })*
    };
}

from! {
    bool => Bool, i64 => Int, i32 => Int as i64, u64 => Uint, u32 => Uint as u64, u16 => Uint as u64, usize => Uint as u64,
    f64 => Float, String => String, Timestamp => Time, Duration => Duration, Vec<Value> => List,
    BTreeMap<String, Value> => Map,
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::String(text.clone())
    }
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Value {
        Value::List(items.into_iter().map(Value::String).collect())
    }
}

impl From<&std::path::Path> for Value {
    fn from(path: &std::path::Path) -> Value {
        Value::String(path.display().to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Nil(Nil::Pointer), Into::into)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Nil(Nil::Pointer),
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => Value::Uint(value),
                (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => {
                Value::Map(map.into_iter().map(|(key, value)| (key, Value::from(value))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_print_as_in_go() {
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
        assert_eq!(value.go_string(), "{abc  v2 map[a:1 < b:2] map[] [] 30s}");
    }
}
