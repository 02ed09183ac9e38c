//! The functions of templates: Go's built-in ones and Podman's.

use super::printf::{sprintf, type_name};
use super::value::{Nil, Value};

/// What a function takes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    Any,
    Text,
    Whole,
    /// `[]string`.
    Texts,
}

use Parameter::{Any, Text, Texts, Whole};

const MANY: usize = usize::MAX;

/// Name, fewest and most arguments, and the types of those that have one.
const FUNCTIONS: &[(&str, usize, usize, &[Parameter])] = &[
    ("and", 1, MANY, &[]),
    ("call", 1, MANY, &[]),
    ("eq", 1, MANY, &[]),
    ("ge", 2, 2, &[]),
    ("gt", 2, 2, &[]),
    ("html", 0, MANY, &[]),
    ("index", 1, MANY, &[]),
    ("join", 2, 2, &[Texts, Text]),
    ("js", 0, MANY, &[]),
    ("json", 1, 1, &[]),
    ("le", 2, 2, &[]),
    ("len", 1, 1, &[]),
    ("lower", 1, 1, &[Text]),
    ("lt", 2, 2, &[]),
    ("ne", 2, 2, &[]),
    ("not", 1, 1, &[]),
    ("or", 1, MANY, &[]),
    ("pad", 3, 3, &[Text, Whole, Whole]),
    ("print", 0, MANY, &[]),
    ("printf", 1, MANY, &[Text]),
    ("println", 0, MANY, &[]),
    ("slice", 1, MANY, &[]),
    ("split", 2, 2, &[Text, Text]),
    ("title", 1, 1, &[Text]),
    ("truncate", 2, 2, &[Text, Whole]),
    ("upper", 1, 1, &[Text]),
    ("urlquery", 0, MANY, &[]),
];

fn known(name: &str) -> Option<&'static (&'static str, usize, usize, &'static [Parameter])> {
    FUNCTIONS.iter().find(|(known, ..)| *known == name)
}

pub fn exists(name: &str) -> bool {
    known(name).is_some()
}

pub fn parameter(name: &str, index: usize) -> Parameter {
    known(name).and_then(|(.., parameters)| parameters.get(index)).copied().unwrap_or(Any)
}

/// Whether a function can be called with so many arguments.
pub fn check_count(name: &str, count: usize) -> std::result::Result<(), String> {
    let &(_, least, most, _) = known(name).unwrap_or(&("", 0, MANY, &[]));
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let want = if least == most { least.to_string() } else { format!("at least {least}") };
    Err(format!("wrong number of args for {name}: want {want} got {count}"))
}

type Result = std::result::Result<Value, String>;

/// Calls a function by name. `and` and `or` are the evaluator's.
pub fn call(name: &str, mut args: Vec<Value>) -> Result {
    match name {
        "print" => Ok(Value::String(print(&args))),
        "println" => {
            let words: Vec<String> = args.iter().map(Value::go_string).collect();
            Ok(Value::String(words.join(" ") + "\n"))
        }
        "printf" => {
            let format = text(&args[0])?;
            Ok(Value::String(sprintf(&format, &args[1..])))
        }
        "html" => Ok(Value::String(html(&print(&args)))),
        "js" => Ok(Value::String(js(&print(&args)))),
        "urlquery" => Ok(Value::String(url_query(&print(&args)))),
        "not" => Ok(Value::Bool(!args[0].truth())),
        "len" => length(&args[0]).map(|length| Value::Int(length as i64)),
        "index" => {
            let mut value = args.remove(0);
            for key in &args {
                value = index(value, key)?;
            }
            Ok(value)
        }
        "slice" => slice(&args),
        "eq" => {
            if args.len() < 2 {
                return Err("missing argument for comparison".into());
            }
            for other in &args[1..] {
                if equal(&args[0], other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "ne" => Ok(Value::Bool(!equal(&args[0], &args[1])?)),
        "lt" | "le" | "gt" | "ge" => {
            let order = compare(&args[0], &args[1])?;
            Ok(Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        "json" => Ok(match &args[0] {
            heading @ Value::Heading { .. } => heading.clone(),
            value => Value::String(value.json()),
        }),
        "join" => match &args[0] {
            Value::List(items) => {
                let words: Vec<String> = items.iter().map(Value::go_string).collect();
                Ok(Value::String(words.join(&text(&args[1])?)))
            }
            Value::Nil(_) => Ok(Value::from("")),
            heading @ Value::Heading { .. } => Ok(heading.clone()),
            other => Err(format!("wrong type for value; expected []string; got {}", type_name(other))),
        },
        "split" => {
            let (whole, by) = (text(&args[0])?, text(&args[1])?);
            let parts: Vec<String> = if by.is_empty() {
                whole.chars().map(String::from).collect()
            } else {
                whole.split(by.as_str()).map(str::to_owned).collect()
            };
            Ok(Value::from(parts))
        }
        "lower" | "upper" | "title" => {
            let text = text(&args[0])?;
            Ok(Value::String(match name {
                "lower" => text.to_lowercase(),
                "upper" => text.to_uppercase(),
                _ => title(&text),
            }))
        }
        "truncate" => {
            let length = whole(&args[1])?;
            let text = text(&args[0])?;
            // Go counts bytes; a character that does not fit whole is left out.
            let end = (0..=length.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            Ok(Value::String(text[..end].to_owned()))
        }
        "pad" => {
            let text = text(&args[0])?;
            if text.is_empty() {
                return Ok(Value::String(text));
            }
            let (before, after) = (whole(&args[1])?, whole(&args[2])?);
            Ok(Value::String(format!("{}{text}{}", " ".repeat(before.min(4096)), " ".repeat(after.min(4096)))))
        }
        other => Err(format!("{other} cannot be called here")),
    }
}

/// What Go has as methods of a value: `.Label "key"` of anything with labels, the words of a time.
pub fn method(receiver: &Value, name: &str, args: &[Value]) -> Option<Value> {
    match (receiver, name, args) {
        (Value::Struct(fields), "Label", [key]) => {
            let labels = fields.iter().find(|field| field.name == "Labels")?;
            let value = match &labels.value {
                Value::Map(map) => map.get(&text(key).ok()?).map(Value::go_string),
                _ => None,
            };
            Some(Value::String(value.unwrap_or_default()))
        }
        (Value::Heading { words, .. }, "Label", [key]) => Some(Value::Heading { text: text(key).ok()?, words }),
        (Value::Time(time), "Unix", []) => Some(Value::Int(time.as_second())),
        (Value::Time(time), "UnixNano", []) => Some(Value::Int(i64::try_from(time.as_nanosecond()).ok()?)),
        (Value::Time(time), "String", []) => Some(Value::String(super::go::go_time(*time))),
        (Value::Time(time), "IsZero", []) => Some(Value::Bool(super::go::is_zero_time(*time))),
        (Value::Time(time), "Format", [layout]) => Some(Value::String(go_layout(*time, &text(layout).ok()?))),
        (Value::Duration(duration), "Seconds", []) => Some(Value::Float(duration.as_secs_f64())),
        (Value::Duration(duration), "String", []) => Some(Value::String(super::go::go_duration(*duration))),
        _ => None,
    }
}

/// A time by one of Go's example layouts.
fn go_layout(time: jiff::Timestamp, layout: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        ("2006", "%Y"),
        ("January", "%B"),
        ("Jan", "%b"),
        ("Monday", "%A"),
        ("Mon", "%a"),
        ("MST", "%Z"),
        ("Z07:00", "%:z"),
        ("-07:00", "%:z"),
        ("-0700", "%z"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("15", "%H"),
        ("PM", "%p"),
        (".999999999", "%.f"),
        (".000000000", "%.9f"),
        (".000000", "%.6f"),
        (".000", "%.3f"),
        ("_2", "%e"),
        ("%", "%%"),
    ];
    let mut pattern = String::new();
    let mut rest = layout;
    'layout: while let Some(first) = rest.chars().next() {
        for (go, strftime) in PARTS {
            if let Some(after) = rest.strip_prefix(go) {
                pattern.push_str(strftime);
                rest = after;
                continue 'layout;
            }
        }
        pattern.push(first);
        rest = &rest[first.len_utf8()..];
    }
    time.to_zoned(jiff::tz::TimeZone::system()).strftime(&pattern).to_string()
}

/// Go's `Sprint`: a space between operands when neither is a text.
fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_) | Value::Heading { .. });
        if index > 0 && !is_text(arg) && !is_text(&args[index - 1]) {
            out.push(' ');
        }
        out.push_str(&arg.go_string());
    }
    out
}

fn text(value: &Value) -> std::result::Result<String, String> {
    match value {
        Value::String(text) | Value::Heading { text, .. } => Ok(text.clone()),
        Value::Nil(_) => Ok(String::new()),
        other => Err(format!("wrong type for value; expected string; got {}", type_name(other))),
    }
}

fn whole(value: &Value) -> std::result::Result<usize, String> {
    match value {
        Value::Int(value) => Ok(usize::try_from(*value).unwrap_or(0)),
        Value::Uint(value) => Ok(usize::try_from(*value).unwrap_or(usize::MAX)),
        other => Err(format!("wrong type for value; expected int; got {}", type_name(other))),
    }
}

fn length(value: &Value) -> std::result::Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::List(items) => Ok(items.len()),
        Value::Map(map) => Ok(map.len()),
        Value::Nil(Nil::List | Nil::Map) => Ok(0),
        Value::Heading { .. } => Ok(1),
        Value::Nil(_) => Err("len of nil pointer".into()),
        other => Err(format!("len of type {}", type_name(other))),
    }
}

fn index(value: Value, key: &Value) -> Result {
    match value {
        Value::List(mut items) => {
            let at = match key {
                Value::Int(at) => *at,
                Value::Uint(at) => i64::try_from(*at).unwrap_or(i64::MAX),
                other => return Err(format!("cannot index slice/array with type {}", type_name(other))),
            };
            match usize::try_from(at) {
                Ok(index) if index < items.len() => Ok(items.swap_remove(index)),
                _ => Err(format!("index out of range: {at}")),
            }
        }
        Value::Map(mut map) => {
            let key = match key {
                Value::String(key) => key,
                other => return Err(format!("value has type {}; should be string", type_name(other))),
            };
            // The zero value of the element's type; for text that is the empty one.
            let zero = match map.values().next() {
                Some(Value::String(_)) => Value::from(""),
                Some(Value::List(_)) | Some(Value::Nil(Nil::List)) => Value::Nil(Nil::List),
                _ => Value::Nil(Nil::NoValue),
            };
            Ok(map.remove(key).unwrap_or(zero))
        }
        Value::String(text) => match key {
            Value::Int(at) => {
                let byte = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at).copied());
                byte.map(|byte| Value::Uint(byte.into())).ok_or_else(|| format!("index out of range: {at}"))
            }
            other => Err(format!("cannot index slice/array with type {}", type_name(other))),
        },
        // Those that may be nil have text in them, labels and options.
        Value::Nil(Nil::Map) => Ok(Value::from("")),
        Value::Nil(Nil::List) => Err(format!("index out of range: {}", key.go_string())),
        Value::Nil(_) => Err("index of untyped nil".into()),
        heading @ Value::Heading { .. } => Ok(heading),
        other => Err(format!("can't index item of type {}", type_name(&other))),
    }
}

fn slice(args: &[Value]) -> Result {
    let length = match &args[0] {
        Value::Heading { .. } => return Ok(args[0].clone()),
        value @ (Value::String(_) | Value::List(_)) => length(value)?,
        other => return Err(format!("can't slice item of type {}", type_name(other))),
    };
    let bound = |index: usize, default: usize| match args.get(index) {
        Some(value) => {
            whole(value).and_then(|at| if at > length { Err(format!("index out of range: {at}")) } else { Ok(at) })
        }
        None => Ok(default),
    };
    let (from, to) = (bound(1, 0)?, bound(2, length)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match &args[0] {
        Value::String(text) => Ok(Value::String(text.get(from..to).unwrap_or_default().to_owned())),
        Value::List(items) => Ok(Value::List(items[from..to].to_vec())),
        other => Err(format!("can't slice item of type {}", type_name(other))),
    }
}

fn equal(a: &Value, b: &Value) -> std::result::Result<bool, String> {
    match (a, b) {
        (Value::Nil(_), Value::Nil(_)) => Ok(true),
        (Value::Nil(_), _) | (_, Value::Nil(_)) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Heading { text: a, .. } | Value::String(a), Value::Heading { text: b, .. } | Value::String(b)) => {
            Ok(a == b)
        }
        (Value::Heading { .. }, _) | (_, Value::Heading { .. }) => Ok(false),
        (Value::List(_) | Value::Map(_), _) => Err(format!("non-comparable type {}: {}", a.go_string(), type_name(a))),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        _ => compare(a, b).map(std::cmp::Ordering::is_eq),
    }
}

fn compare(a: &Value, b: &Value) -> std::result::Result<std::cmp::Ordering, String> {
    let integer = |value: &Value| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        Value::Duration(value) => Some(value.as_nanos() as i128),
        _ => None,
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Ok(a.total_cmp(b)),
        (Value::Heading { .. }, _) | (_, Value::Heading { .. }) => Ok(std::cmp::Ordering::Equal),
        _ => match (integer(a), integer(b)) {
            (Some(a), Some(b)) => Ok(a.cmp(&b)),
            _ if matches!((a, b), (Value::Bool(_), Value::Bool(_))) => Err("invalid type for comparison".into()),
            _ if matches!(a, Value::List(_) | Value::Map(_) | Value::Struct(_)) => {
                Err("invalid type for comparison".into())
            }
            _ => Err(format!("incompatible types for comparison: {} and {}", type_name(a), type_name(b))),
        },
    }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        // Letters, digits and underscores are words to Go, whatever else is ASCII is between them.
        start = if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() };
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
