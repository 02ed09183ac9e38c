//! Durations and sizes as people say them, and as they type them.

use std::time::Duration;

/// `3 minutes`, `About an hour`, in Podman's steps.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, _, _) => "Less than a second".into(),
        (1, _, _) => "1 second".into(),
        (..60, _, _) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".into(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / 24),
        (_, _, ..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long ago, followed by ` ago`. A time in the future reads as now.
pub fn ago(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    format!("{} ago", since(then, now))
}

pub fn since(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    duration(Duration::try_from(now.duration_since(then)).unwrap_or_default())
}

/// `7.8MB`: decimal units, `digits` significant digits.
pub fn size(bytes: f64, digits: usize, space: &str) -> String {
    const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    scaled(bytes, 1000.0, &UNITS, digits, space)
}

/// Four significant digits, no space: `1.234kB`.
pub fn size4(bytes: u64) -> String {
    size(bytes as f64, 4, "")
}

/// Three significant digits, no space: `1.23kB`.
pub fn size3(bytes: u64) -> String {
    size(bytes as f64, 3, "")
}

/// `23.54GiB`: binary units, four significant digits.
pub fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    scaled(bytes as f64, 1024.0, &UNITS, 4, "")
}

fn scaled(mut amount: f64, base: f64, units: &[&str], digits: usize, space: &str) -> String {
    let mut unit = 0;
    while amount >= base && unit + 1 < units.len() {
        amount /= base;
        unit += 1;
    }
    format!("{}{space}{}", super::printf::general(amount, Some(digits)), units[unit])
}

/// A size as it is typed: a number with an optional fraction and an optional unit of b, k, m, g, t, p (powers of 1024).
pub fn parse_size(text: &str) -> Result<i64, String> {
    parse_scaled(text, 1024.0)
}

/// The same in powers of 1000.
pub fn parse_decimal_size(text: &str) -> Result<i64, String> {
    parse_scaled(text, 1000.0)
}

fn parse_scaled(text: &str, base: f64) -> Result<i64, String> {
    let wrong = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |at| at + 1);
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 1,
        "m" | "mb" | "mi" | "mib" => 2,
        "g" | "gb" | "gi" | "gib" => 3,
        "t" | "tb" | "ti" | "tib" => 4,
        "p" | "pb" | "pi" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    let bytes = number * base.powi(power);
    if !(0.0..=i64::MAX as f64).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes as i64)
}

/// A duration in Go's syntax: `1h30m`, `250ms`, `1.5s`, with a sign allowed. Negative ones come back as `Err` of their
/// size in `negative`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let quoted = crate::arguments::go_quote(text);
    match parse_signed_duration(text) {
        Some((negative, duration)) if !negative || duration.is_zero() => Ok(duration),
        Some(_) => Err(format!("time: invalid duration {quoted}")),
        None => Err(match unknown_unit(text) {
            Some("") => format!("time: missing unit in duration {quoted}"),
            Some(unit) => format!("time: unknown unit {} in duration {quoted}", crate::arguments::go_quote(unit)),
            None => format!("time: invalid duration {quoted}"),
        }),
    }
}

/// What stands where a unit should, behind the first number that has none.
fn unknown_unit(text: &str) -> Option<&str> {
    let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text.trim_start_matches(['-', '+']);
    loop {
        let unit = rest.trim_start_matches(is_of_number);
        if unit.len() == rest.len() || rest.starts_with("..") {
            return None;
        }
        let end = unit.find(is_of_number).unwrap_or(unit.len());
        if nanoseconds_of(&unit[..end]).is_none() {
            return Some(&unit[..end]);
        }
        rest = &unit[end..];
    }
}

fn nanoseconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

fn parse_signed_duration(text: &str) -> Option<(bool, Duration)> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some((negative, Duration::ZERO));
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanoseconds += number * nanoseconds_of(&rest[..unit_end])?;
        rest = &rest[unit_end..];
    }
    (nanoseconds <= i64::MAX as f64).then(|| (negative, Duration::from_nanos(nanoseconds as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_podman_says_them() {
        let table = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (13 * 86400, "13 days"),
            (14 * 86400, "2 weeks"),
            (61 * 86400, "2 months"),
            (800 * 86400, "2 years"),
        ];
        for (seconds, expected) in table {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn sizes_are_decimal_when_shown() {
        assert_eq!(size4(0), "0B");
        assert_eq!(size3(2_069_687), "2.07MB");
        assert_eq!(size(2_069_687.0, 3, " "), "2.07 MB");
        assert_eq!(size4(11_221), "11.22kB");
        assert_eq!(size4(2_068_000), "2.068MB");
        assert_eq!(size4(1_000), "1kB");
        assert_eq!(size3(123_456_789_012), "123GB");
    }

    #[test]
    fn sizes_are_binary_when_typed() {
        let table = [
            ("1", 1),
            ("1b", 1),
            ("64k", 65536),
            ("100m", 104_857_600),
            ("1.5G", 1_610_612_736),
            ("10 MB", 10_485_760),
        ];
        for (text, expected) in table {
            assert_eq!(parse_size(text).unwrap(), expected, "{text}");
        }
        for text in ["foo", "", "-1", "1x", "k"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_typed_in_gos_syntax() {
        let table = [("0", 0), ("250ms", 250), ("1h30m", 5_400_000), ("1.5s", 1_500), ("1m1s", 61_000)];
        for (text, milliseconds) in table {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in ["", "foo", "1", "-5s", "s", "1h 2m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
