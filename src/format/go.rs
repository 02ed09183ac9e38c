//! Numbers, times and durations as Go prints them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
    // A decimal number of units that are ten to the power of `digits` nanoseconds.
    let decimal = |nanoseconds: u128, digits: usize| {
        let unit = 10u128.pow(digits as u32);
        let fraction = format!("{:0digits$}", nanoseconds % unit);
        match fraction.trim_end_matches('0') {
            "" => format!("{}", nanoseconds / unit),
            fraction => format!("{}.{fraction}", nanoseconds / unit),
        }
    };
    match nanoseconds {
        0 => "0s".into(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanoseconds, 6)),
        _ => {
            let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
            let seconds = decimal(nanoseconds % 60_000_000_000, 9);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        let table = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(5), "5ns"),
            (Duration::from_nanos(1500), "1.5µs"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(5400), "1h30m0s"),
            (Duration::from_millis(3_600_010), "1h0m0.01s"),
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
