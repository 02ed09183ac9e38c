//! Points in time as users type them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::arguments::go_quote;
use crate::error::Failure;
use crate::format::human;

/// RFC 3339 with or without a zone, a date, Unix seconds with an optional fraction, or a Go duration, which means that
/// long before `now`. Times without a zone are the caller's.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some((seconds, nanoseconds)) = unix(text) {
        return Timestamp::new(seconds, nanoseconds).ok();
    }
    if let Ok(duration) = human::parse_duration(text) {
        return now.checked_sub(SignedDuration::try_from(duration).ok()?).ok();
    }
    if let Some(ahead) = text.strip_prefix('-').and_then(|text| human::parse_duration(text).ok()) {
        return now.checked_add(SignedDuration::try_from(ahead).ok()?).ok();
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp());
    if let Ok(time) = text.parse::<DateTime>() {
        return local(time);
    }
    let date = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
    match (date.0.parse::<Date>(), date.1) {
        (Ok(date), true) => Some(date.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp()),
        (Ok(date), false) => local(date.at(0, 0, 0, 0)),
        (Err(_), _) => None,
    }
}

/// The same for an end that may lie ahead: a Go duration means that long after `now`, with a minus before it.
pub fn parse_until(text: &str, now: Timestamp) -> Option<Timestamp> {
    let time = parse(text, now)?;
    let is_duration = unix(text).is_none() && human::parse_duration(text.strip_prefix('-').unwrap_or(text)).is_ok();
    if is_duration { now.checked_add(now.duration_since(time)).ok() } else { Some(time) }
}

/// The value of a filter `until`.
pub fn filter(text: &str) -> Result<Timestamp, Failure> {
    let unknown = || Failure::plain(format!("failed to parse value as time or duration: {}", go_quote(text)));
    parse(text, Timestamp::now()).ok_or_else(unknown)
}

fn unix(text: &str) -> Option<(i64, i32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if seconds.is_empty() || !seconds.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction));
    Some((seconds.parse().ok()?, nanoseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.5+01:00", "2026-01-02T02:04:05.5Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),
            ("1767323045.25", "2026-01-02T03:04:05.25Z"),
            ("10m", "2026-01-02T11:50:00Z"),
            ("1h30m", "2026-01-02T10:30:00Z"),
            ("-1h", "2026-01-02T13:00:00Z"),
            ("2026-01-01Z", "2026-01-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text, now), Some(expected.parse().unwrap()), "{text}");
        }
        assert_eq!(parse("soon", now), None);
        assert_eq!(parse_until("1h", now), Some("2026-01-02T13:00:00Z".parse().unwrap()));
        assert_eq!(parse_until("-1h", now), Some("2026-01-02T11:00:00Z".parse().unwrap()));
        assert_eq!(parse_until("1767323045", now), parse("1767323045", now));
        assert!(parse("2026-01-02T03:04:05", now).is_some());
        assert!(parse("2026-01-02", now).is_some());
    }
}
