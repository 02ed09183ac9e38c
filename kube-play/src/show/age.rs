//! How long ago, as kubectl says it.

use jiff::Timestamp;

/// Two numbers at most, coarser as time goes by: `45s`, `3m20s`, `5h`, `7d3h`, `2y10d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    span(now.as_second() - since.as_second())
}

/// The same of a number of seconds.
pub(super) fn span(seconds: i64) -> String {
    let pair = |whole: i64, unit: &str, rest: i64, part: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{part}"),
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if years < 8 => pair(years, "y", days % 365, "d"),
        () => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ages_have_two_numbers_at_most() {
        const DAY: i64 = 86400;
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_060, "3h21m"),
            (8 * 3600 + 60, "8h"),
            (47 * 3600, "47h"),
            (2 * DAY, "2d"),
            (7 * DAY + 3 * 3600, "7d3h"),
            (8 * DAY + 3600, "8d"),
            (729 * DAY, "729d"),
            (740 * DAY, "2y10d"),
            (3000 * DAY, "8y"),
        ] {
            assert_eq!(super::span(seconds), expected, "{seconds}");
        }
    }
}
