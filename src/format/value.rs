//! A value to be shown: as JSON with Podman's names, order and indentation, or through a Go template.
//!
//! `serde_json::Value` will not do: a template treats an unknown field of a structure as an error and an unknown key of
//! a map as `<no value>`, prints the one as `{a b}` and the other as `map[k:v]`, knows some fields by another name
//! than JSON, and can ask for words that JSON does not have (`.RunningFor`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
    fn is_empty(&self) -> bool {
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

/// `%v` of a float64: the shortest that reads back, with an exponent below 1e-4 and from 1e21.
pub fn go_float(value: f64) -> String {
    let size = value.abs();
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if value != 0.0 && !(1e-4..1e21).contains(&size) {
        return go_exponent(&format!("{value:e}"));
    }
    format!("{value}")
}

fn json_float(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-6..1e21).contains(&size) {
        return go_exponent(&format!("{value:e}"));
    }
    format!("{value}")
}

/// Rust's `1e-7` as Go's `1e-07`.
pub fn go_exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `0001-01-01T00:00:00Z`.
pub fn zero_time() -> Timestamp {
    jiff::civil::date(1, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

pub fn is_zero_time(time: Timestamp) -> bool {
    time == zero_time()
}

fn fraction(time: Timestamp) -> String {
    let nanoseconds = time.subsec_nanosecond().rem_euclid(1_000_000_000);
    if nanoseconds == 0 {
        return String::new();
    }
    format!(".{}", format!("{nanoseconds:09}").trim_end_matches('0'))
}

/// `2006-01-02 15:04:05.999999999 -0700 MST`, in the caller's time zone.
pub fn go_time(time: Timestamp) -> String {
    let zone = if is_zero_time(time) { TimeZone::UTC } else { TimeZone::system() };
    let zoned = time.to_zoned(zone);
    let abbreviation = zoned.strftime("%Z").to_string();
    format!("{}{} {} {abbreviation}", zoned.strftime("%Y-%m-%d %H:%M:%S"), fraction(time), zoned.strftime("%z"))
}

/// RFC 3339 with as many digits of the second as there are, in the caller's time zone.
pub fn rfc3339(time: Timestamp) -> String {
    let zone = if is_zero_time(time) { TimeZone::UTC } else { TimeZone::system() };
    let zoned = time.to_zoned(zone);
    let offset = match zoned.offset().seconds() {
        0 => "Z".to_owned(),
        _ => zoned.strftime("%:z").to_string(),
    };
    format!("{}{}{offset}", zoned.strftime("%Y-%m-%dT%H:%M:%S"), fraction(time))
}

/// `1h30m0s`, `1.5s`, `250ms`: Go's `Duration.String`.
pub fn go_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let with_fraction = |unit: u128, digits: usize, name: &str| {
        let rest = format!("{:0digits$}", nanoseconds % unit);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{point}{rest}{name}", nanoseconds / unit)
    };
    match nanoseconds {
        0 => "0s".into(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => with_fraction(1_000, 3, "µs"),
        1_000_000..1_000_000_000 => with_fraction(1_000_000, 6, "ms"),
        _ => {
            let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
            let seconds = {
                let rest = Duration::new(duration.as_secs() % 60, duration.subsec_nanos());
                let digits = format!("{:09}", rest.subsec_nanos());
                let digits = digits.trim_end_matches('0');
                let point = if digits.is_empty() { "" } else { "." };
                format!("{}{point}{digits}s", rest.as_secs())
            };
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
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

    fn sample() -> Value {
        object! {
            "Id": "abc",
            "Empty"?: "",
            "cgroupVersion" as "CgroupsVersion": "v2",
            "Labels": Value::map(&BTreeMap::from([("b".to_owned(), "2"), ("a".to_owned(), "1 <")])),
            "None": Value::Nil(Nil::Map),
            "Ports": Vec::<Value>::new(),
            "Wait": Duration::from_secs(30),
            fn "Running": "yes",
        }
    }

    #[test]
    fn structures_print_as_in_go() {
        assert_eq!(sample().go_string(), "{abc  v2 map[a:1 < b:2] map[] [] 30s}");
    }

    #[test]
    fn json_has_podmans_names_and_order() {
        let expected = r#"{"Id":"abc","cgroupVersion":"v2","Labels":{"a":"1 <","b":"2"},"None":null,"Ports":[],"Wait":30000000000}"#;
        assert_eq!(sample().json(), expected);
        assert_eq!(Value::List(vec![object! { "A": 1i64 }]).json_indented(2), "[\n  {\n    \"A\": 1\n  }\n]");
        assert_eq!(Value::List(Vec::new()).json_indented(4), "[]");
        assert_eq!(Value::from("a\u{1}\"\n").json(), r#""a\u0001\"\n""#);
    }

    #[test]
    fn durations_print_as_in_go() {
        let table = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(5), "5ns"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(5400), "1h30m0s"),
        ];
        for (duration, expected) in table {
            assert_eq!(go_duration(duration), expected);
        }
    }

    #[test]
    fn floats_print_as_in_go() {
        for (value, expected) in [(1.0, "1"), (1.5, "1.5"), (1e21, "1e+21"), (0.00001, "1e-05"), (87.66, "87.66")] {
            assert_eq!(go_float(value), expected);
        }
    }

    #[test]
    fn the_zero_time_is_gos() {
        assert_eq!(rfc3339(zero_time()), "0001-01-01T00:00:00Z");
        assert_eq!(go_time(zero_time()), "0001-01-01 00:00:00 +0000 UTC");
        assert_eq!(zero_time().as_second(), -62135596800);
    }
}
