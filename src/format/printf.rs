//! Go's `fmt.Sprintf` for the verbs that templates use.

use super::go::{go_exponent, go_float};
use super::value::Value;

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats `args` by `format`. Mistakes are shown in the result (`%!d(string=a)`), as Go does it.
pub fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut next = 0;
    // The highest argument that was used, and whether any was chosen by number.
    let (mut used, mut chosen) = (0, false);
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(&flag) = chars.peek() {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            chars.next();
        }
        let mut number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            if chars.next_if_eq(&'*').is_some() {
                let width = args.get(next);
                next += 1;
                used = used.max(next);
                return match width {
                    Some(Value::Int(width)) => usize::try_from(*width).ok(),
                    _ => None,
                };
            }
            let mut digits = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                digits = Some(digits.unwrap_or(0usize).saturating_mul(10).saturating_add(digit as usize).min(4096));
                chars.next();
            }
            digits
        };
        flags.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            flags.precision = Some(number(&mut chars).unwrap_or(0));
        }
        // `%[2]d`: the second argument, and from there on the third.
        if chars.peek() == Some(&'[') {
            let inside: String = chars.clone().skip(1).take_while(|c| *c != ']').collect();
            if let Some(index) = inside.parse::<usize>().ok().filter(|index| (1..=args.len()).contains(index)) {
                chars.by_ref().take(inside.chars().count() + 2).for_each(drop);
                (next, chosen) = (index - 1, true);
            }
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(arg) = args.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        used = used.max(next);
        out.push_str(&one(verb, &flags, arg));
    }
    let left = if chosen { &[] } else { args.get(used..).unwrap_or_default() };
    let extra: Vec<String> = left.iter().map(|arg| format!("{}={}", type_name(arg), arg.go_string())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn one(verb: char, flags: &Flags, arg: &Value) -> String {
    let wrong = || match arg {
        Value::Nil(_) => format!("%!{verb}(<nil>)"),
        arg => format!("%!{verb}({}={})", type_name(arg), arg.go_string()),
    };
    // A list applies the verb to each of its elements.
    if let (Value::List(items), true) = (arg, !matches!(verb, 'v' | 'T' | 'p')) {
        let parts: Vec<String> = items.iter().map(|item| one(verb, flags, item)).collect();
        return format!("[{}]", parts.join(" "));
    }
    let integer = match arg {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        Value::Duration(duration) => Some(duration.as_nanos() as i128),
        _ => None,
    };
    let float = match arg {
        Value::Float(value) => Some(*value),
        _ => None,
    };
    let body = match (verb, integer, float) {
        ('v', _, _) if flags.sharp => sharp(arg),
        ('v', ..) => match arg {
            Value::Int(value) => signed(&value.abs().to_string(), *value < 0, flags),
            arg if flags.plus => with_names(arg),
            arg => arg.go_string(),
        },
        ('T', ..) => type_name(arg).to_owned(),
        ('t', ..) => match arg {
            Value::Bool(value) => value.to_string(),
            _ => wrong(),
        },
        ('s', ..) => match arg {
            Value::String(text) => match flags.precision {
                Some(length) => text.chars().take(length).collect(),
                None => text.clone(),
            },
            Value::Heading { text, .. } => text.clone(),
            Value::Duration(_) | Value::Time(_) | Value::Struct(_) | Value::Map(_) => arg.go_string(),
            _ => wrong(),
        },
        ('q', _, _) => match arg {
            Value::String(text) | Value::Heading { text, .. } => crate::arguments::go_quote(text),
            Value::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                Some(c) => format!("'{c}'"),
                None => wrong(),
            },
            _ => wrong(),
        },
        ('x' | 'X', None, None) => match arg {
            Value::String(text) => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                if verb == 'X' { hex.to_uppercase() } else { hex }
            }
            _ => wrong(),
        },
        ('d', Some(value), _) => signed(&value.unsigned_abs().to_string(), value < 0, flags),
        ('b', Some(value), _) => signed(&format!("{:b}", value.unsigned_abs()), value < 0, flags),
        ('o', Some(value), _) => {
            let lead = if flags.sharp { "0" } else { "" };
            signed(&format!("{lead}{:o}", value.unsigned_abs()), value < 0, flags)
        }
        ('x', Some(value), _) => {
            let lead = if flags.sharp { "0x" } else { "" };
            signed(&format!("{lead}{:x}", value.unsigned_abs()), value < 0, flags)
        }
        ('X', Some(value), _) => {
            let lead = if flags.sharp { "0X" } else { "" };
            signed(&format!("{lead}{:X}", value.unsigned_abs()), value < 0, flags)
        }
        ('c', Some(value), _) => u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('U', Some(value), _) => format!("U+{value:04X}"),
        ('f' | 'F', _, Some(value)) => {
            signed(&format!("{:.*}", flags.precision.unwrap_or(6), value.abs()), value.is_sign_negative(), flags)
        }
        ('e' | 'E', _, Some(value)) => {
            let text = go_exponent(&format!("{:.*e}", flags.precision.unwrap_or(6), value.abs()));
            let text = if verb == 'E' { text.to_uppercase() } else { text };
            signed(&text, value.is_sign_negative(), flags)
        }
        ('g' | 'G', _, Some(value)) => signed(&general(value.abs(), flags.precision), value.is_sign_negative(), flags),
        _ => wrong(),
    };
    pad(body, flags)
}

fn signed(digits: &str, negative: bool, flags: &Flags) -> String {
    let sign = match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    match flags.width {
        Some(width) if flags.zero && !flags.minus => {
            format!("{sign}{digits:0>width$}", width = width.saturating_sub(sign.len()))
        }
        _ => format!("{sign}{digits}"),
    }
}

fn pad(text: String, flags: &Flags) -> String {
    let length = text.chars().count();
    match flags.width {
        Some(width) if width > length => {
            let fill = " ".repeat(width - length);
            if flags.minus { text + &fill } else { fill + &text }
        }
        _ => text,
    }
}

/// `%.Ng`: `digits` significant digits without trailing zeros, with an exponent when the number is very large or small.
/// `None` is the shortest text that reads back.
pub fn general(value: f64, digits: Option<usize>) -> String {
    if value == 0.0 || !value.is_finite() {
        return go_float(value);
    }
    let Some(digits) = digits else { return go_float(value) };
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return go_exponent(&format!("{}e{exponent}", trim_zeros(mantissa)));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The name of a value's type in Go.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil(_) => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) | Value::Heading { .. } => "string",
        Value::Time(_) => "time.Time",
        Value::Duration(_) => "time.Duration",
        Value::List(items) if items.iter().all(|item| matches!(item, Value::String(_))) => "[]string",
        Value::List(_) => "[]interface {}",
        Value::Map(map) if map.values().all(|value| matches!(value, Value::String(_))) => "map[string]string",
        Value::Map(_) => "map[string]interface {}",
        Value::Struct(_) => "struct",
    }
}

/// `%+v`: the fields of structures with their names.
fn with_names(value: &Value) -> String {
    match value {
        Value::Struct(fields) => {
            let data = fields.iter().filter(|field| field.kind != super::value::Kind::Method);
            let parts: Vec<String> = data.map(|field| format!("{}:{}", field.name, with_names(&field.value))).collect();
            format!("{{{}}}", parts.join(" "))
        }
        Value::List(items) => format!("[{}]", items.iter().map(with_names).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", with_names(value))).collect();
            format!("map[{}]", parts.join(" "))
        }
        other => other.go_string(),
    }
}

/// `%#v`.
fn sharp(value: &Value) -> String {
    match value {
        Value::String(text) => crate::arguments::go_quote(text),
        Value::List(items) => {
            let parts: Vec<String> = items.iter().map(sharp).collect();
            format!("{}{{{}}}", type_name(value), parts.join(", "))
        }
        Value::Map(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", crate::arguments::go_quote(key), sharp(value)))
                .collect();
            format!("{}{{{}}}", type_name(value), parts.join(", "))
        }
        other => other.go_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_print_what_podman_prints() {
        // Each line was seen from Podman's `info --format '{{printf ...}}'`.
        let format = "%.2f %6.2f %e %g %+d %05d %c %U %b %o %X %08.3f %-6s| %6s|";
        let args = [
            Value::Float(1.234),
            Value::Float(1.2),
            Value::Float(1.5),
            Value::Float(2.5),
            Value::Int(3),
            Value::Int(4),
            Value::Int(65),
            Value::Int(66),
            Value::Int(5),
            Value::Int(8),
            Value::Int(255),
            Value::Float(7.5),
            Value::from("ab"),
            Value::from("cd"),
        ];
        let expected = "1.23   1.20 1.500000e+00 2.5 +3 00004 A U+0042 101 10 FF 0007.500 ab    |     cd|";
        assert_eq!(sprintf(format, &args), expected);
        assert_eq!(
            sprintf("%5d|%-5d|%x|%t", &[3i64.into(), 4i64.into(), 255i64.into(), true.into()]),
            "    3|4    |ff|true"
        );
    }

    #[test]
    fn mistakes_show_in_the_result() {
        assert_eq!(sprintf("%s %d", &[1i64.into(), "a".into()]), "%!s(int=1) %!d(string=a)");
        assert_eq!(sprintf("%d", &[]), "%!d(MISSING)");
        assert_eq!(sprintf("a", &[1i64.into()]), "a%!(EXTRA int=1)");
    }

    #[test]
    fn general_drops_zeros() {
        let table =
            [(2.07, 3, "2.07"), (1000.0, 4, "1000"), (1.0, 4, "1"), (999.96, 4, "1000"), (12345.0, 3, "1.23e+04")];
        for (value, digits, expected) in table {
            assert_eq!(general(value, Some(digits)), expected);
        }
    }
}
