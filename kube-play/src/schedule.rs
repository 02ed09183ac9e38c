//! When a CronJob runs: five fields, or a word like `@hourly`, in a time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

/// A schedule as written, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    text: String,
    zone: Option<String>,
    when: When,
}

#[derive(Serialize, Deserialize)]
struct Written {
    schedule: String,
    zone: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    Fields(Fields),
    /// `@every 90m`: so long after the last one.
    Every(SignedDuration),
}

/// Each a set of numbers as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and of the week are both restricted: either one is enough (crontab(5)).
    either_day: bool,
}

impl Schedule {
    /// Fails with what is wrong. The zone's name is looked up when it is needed.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Schedule, String> {
        if text.contains("TZ=") {
            return Err("a time zone is written in \"timeZone\"".to_owned());
        }
        let when = match text.trim() {
            "@yearly" | "@annually" => fields("0 0 1 1 *")?,
            "@monthly" => fields("0 0 1 * *")?,
            "@weekly" => fields("0 0 * * 0")?,
            "@daily" | "@midnight" => fields("0 0 * * *")?,
            "@hourly" => fields("0 * * * *")?,
            word if word.starts_with('@') => match word.strip_prefix("@every ") {
                Some(duration) => When::Every(every(duration.trim())?),
                None => {
                    return Err(format!("{word:?} is unknown: there are @yearly, @monthly, @weekly, @daily, @hourly"));
                }
            },
            text => fields(text)?,
        };
        Ok(Schedule { text: text.to_owned(), zone: zone.map(str::to_owned), when })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn zone_name(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Of the machine where none is written. Fails when the machine's files do not know the name.
    pub fn zone(&self) -> Result<TimeZone, String> {
        match &self.zone {
            None => Ok(TimeZone::system()),
            Some(name) if matches!(name.as_str(), "UTC" | "Etc/UTC") => Ok(TimeZone::UTC),
            Some(name) => TimeZone::get(name).map_err(|_| format!("this machine knows no time zone {name:?}")),
        }
    }

    /// The first start after a moment; `None` where there is none within five years (31 February).
    ///
    /// An hour that the clock leaves out has no starts, one that it repeats has them twice, as in Kubernetes.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.when {
            When::Every(duration) => after.checked_add(*duration).ok(),
            When::Fields(fields) => fields.next(after, zone),
        }
    }

    /// The last start in `(since, now]`, without walking through years of minutes. `@every` counts from `since`.
    pub fn latest(&self, since: Timestamp, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let When::Every(duration) = &self.when {
            let turns = (now.as_second() - since.as_second()) / duration.as_secs().max(1);
            let passed = SignedDuration::from_secs(turns * duration.as_secs());
            return (turns > 0).then(|| since.checked_add(passed).ok()).flatten();
        }
        let mut window = 3600;
        loop {
            let from = now.checked_sub(SignedDuration::from_secs(window)).unwrap_or(since).max(since);
            let mut last = None;
            while let Some(next) = self.next(last.unwrap_or(from), zone).filter(|next| *next <= now) {
                last = Some(next);
            }
            if last.is_some() || from == since {
                return last;
            }
            window *= 24;
        }
    }

    /// The first start after `now`; `@every` counts from `since`.
    pub fn upcoming(&self, since: Timestamp, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.when {
            When::Every(_) => self.next(self.latest(since, now, zone).unwrap_or(since), zone),
            When::Fields(_) => self.next(now, zone),
        }
    }
}

impl TryFrom<Written> for Schedule {
    type Error = String;

    fn try_from(written: Written) -> Result<Schedule, String> {
        Schedule::parse(&written.schedule, written.zone.as_deref())
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Written {
        Written { schedule: schedule.text, zone: schedule.zone }
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn fields(text: &str) -> Result<When, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = words[..] else {
        return Err(format!(
            "{text:?} has {} fields in place of 5: minute, hour, day of the month, month, day of the week",
            words.len()
        ));
    };
    let open = |word: &str| word.split(',').any(|part| part.starts_with(['*', '?']));
    Ok(When::Fields(Fields {
        minutes: set(minutes, "minute", 0, 59, &[])?,
        hours: set(hours, "hour", 0, 23, &[])?,
        days: set(days, "day of the month", 1, 31, &[])?,
        months: set(months, "month", 1, 12, &MONTHS)?,
        weekdays: set(weekdays, "day of the week", 0, 6, &WEEKDAYS)?,
        either_day: !open(days) && !open(weekdays),
    }))
}

/// `*`, `5`, `1-5`, `*/15`, `10-40/10`, `MON-FRI`, and lists of those.
fn set(word: &str, what: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = |part: &str, why: &str| format!("{part:?} is no {what}: {why}");
    let number = |part: &str| -> Result<u32, String> {
        let lower = part.to_ascii_lowercase();
        let number = match names.iter().position(|name| *name == lower) {
            Some(index) => least + index as u32,
            None => part.parse().map_err(|_| wrong(part, "a number is expected"))?,
        };
        match number {
            7 if most == 6 => Err(wrong(part, "Sunday is 0")),
            number if (least..=most).contains(&number) => Ok(number),
            _ => Err(wrong(part, &format!("it lies between {least} and {most}"))),
        }
    };
    let mut bits = 0u64;
    for part in word.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => match step.parse::<u32>() {
                Ok(step) if step > 0 => (range, Some(step)),
                _ => return Err(wrong(part, "a step is a number above 0")),
            },
            None => (part, None),
        };
        let (first, last) = match range {
            "*" | "?" => (least, most),
            range => match range.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => {
                    let first = number(range)?;
                    (first, if step.is_some() { most } else { first })
                }
            },
        };
        if first > last {
            return Err(wrong(part, "a range begins with its least"));
        }
        for value in (first..=last).step_by(step.unwrap_or(1) as usize) {
            bits |= 1 << value;
        }
    }
    Ok(bits)
}

/// Go's durations: `1h30m`, `90s`.
fn every(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no duration like 1h30m");
    let mut seconds = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|char: char| char.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return Err(wrong()),
            };
        rest = &rest[end..];
    }
    if seconds > 1e10 || text.is_empty() {
        return Err(wrong());
    }
    Ok(SignedDuration::from_secs((seconds as i64).max(1)))
}

impl Fields {
    fn day(&self, date: Date) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        if self.either_day { day || weekday } else { day && weekday }
    }

    /// Forward in steps as large as the first field that does not fit.
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let minute = after.as_second().div_euclid(60) + 1;
        let mut at = Timestamp::from_second(minute * 60).ok()?.to_zoned(zone.clone());
        let last = at.year() + 5;
        while at.year() <= last {
            at = if self.months >> at.month() & 1 == 0 {
                start_of(at.date().first_of_month().checked_add(1.month()).ok()?, zone)?
            } else if !self.day(at.date()) {
                start_of(at.date().tomorrow().ok()?, zone)?
            } else if self.hours >> at.hour() & 1 == 0 {
                at.checked_add(SignedDuration::from_mins(60 - i64::from(at.minute()))).ok()?
            } else if self.minutes >> at.minute() & 1 == 0 {
                at.checked_add(SignedDuration::from_mins(1)).ok()?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }
}

fn start_of(date: Date, zone: &TimeZone) -> Option<Zoned> {
    date.to_zoned(zone.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, zone: &TimeZone, after: &str) -> String {
        let schedule = Schedule::parse(text, None).expect(text);
        let next = schedule.next(after.parse().expect(after), zone);
        next.map_or("never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn the_next_start_is_found() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-03-01T10:00:30Z", "2026-03-01T10:01:00Z"),
            ("* * * * *", "2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"),
            ("*/15 * * * *", "2026-03-01T10:46:00Z", "2026-03-01T11:00:00Z"),
            ("5/20 * * * *", "2026-03-01T10:06:00Z", "2026-03-01T10:25:00Z"),
            ("0 3 * * *", "2026-03-01T10:00:00Z", "2026-03-02T03:00:00Z"),
            ("0 0 1 1 *", "2026-03-01T10:00:00Z", "2027-01-01T00:00:00Z"),
            ("30 8 * * MON-FRI", "2026-03-06T09:00:00Z", "2026-03-09T08:30:00Z"),
            ("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
            ("0 0 13 * *", "2026-03-01T00:00:00Z", "2026-03-13T00:00:00Z"),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 31 2 *", "2026-03-01T00:00:00Z", "never"),
            ("@hourly", "2026-03-01T10:00:01Z", "2026-03-01T11:00:00Z"),
            ("@weekly", "2026-03-04T10:00:00Z", "2026-03-08T00:00:00Z"),
            ("@every 1h30m", "2026-03-01T10:00:00Z", "2026-03-01T11:30:00Z"),
            ("0,30 1-3 * jan,dec ?", "2026-03-01T10:00:00Z", "2026-12-01T01:00:00Z"),
        ] {
            assert_eq!(next(schedule, &TimeZone::UTC, after), expected, "{schedule}");
        }
    }

    #[test]
    fn clocks_that_jump_skip_and_repeat() {
        // New York's rule: 02:30 on 8 March 2026 is not, 01:30 on 1 November 2026 is twice.
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule");
        for (schedule, after, expected) in [
            ("30 2 * * *", "2026-03-08T05:00:00Z", "2026-03-09T06:30:00Z"),
            ("30 1 * * *", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"),
            ("30 1 * * *", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
            ("0 9 * * *", "2026-07-01T12:00:00Z", "2026-07-01T13:00:00Z"),
        ] {
            assert_eq!(next(schedule, &zone, after), expected, "{schedule} after {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "a * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "@often",
            "@every soon",
            "TZ=UTC * * * * *",
            "1- * * * *",
            "-1 * * * *",
        ] {
            assert!(Schedule::parse(text, None).is_err(), "{text:?}");
        }
        assert!(Schedule::parse("* * * * *", Some("Mars/Olympus")).expect("fields are fine").zone().is_err());
    }

    #[test]
    fn the_latest_start_that_is_due_is_found() {
        let time = |text: &str| text.parse::<Timestamp>().expect(text);
        let (since, now) = (time("2026-03-01T10:00:00Z"), time("2026-03-05T10:22:00Z"));
        for (text, expected) in [
            ("*/5 * * * *", Some("2026-03-05T10:20:00Z")),
            ("0 9 2 * *", Some("2026-03-02T09:00:00Z")),
            ("0 9 1 * *", None),
            ("@every 1h", Some("2026-03-05T10:00:00Z")),
        ] {
            let schedule = Schedule::parse(text, None).expect(text);
            assert_eq!(schedule.latest(since, now, &TimeZone::UTC), expected.map(time), "{text}");
            let written = serde_json::to_string(&schedule).expect("JSON");
            assert_eq!(serde_json::from_str::<Schedule>(&written).expect("JSON"), schedule);
        }
        let every = Schedule::parse("@every 1h", None).expect("good");
        assert_eq!(every.upcoming(since, now, &TimeZone::UTC), Some(time("2026-03-05T11:00:00Z")));
    }
}
