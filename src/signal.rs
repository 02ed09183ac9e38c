//! Names of signals, as typed and as shown.

use crate::error::Failure;

/// Linux's numbers on every architecture that Rust and we care for, see signal(7).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A number, or a name with or without `SIG`, in any case; `RTMIN+3`, `RTMAX-2`.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest[1..].parse::<i32>().ok() };
    if let Some(rest) = name.strip_prefix("RTMIN").filter(|rest| rest.is_empty() || rest.starts_with('+')) {
        return offset(rest).map(|offset| RTMIN + offset).filter(|number| *number <= RTMAX);
    }
    if let Some(rest) = name.strip_prefix("RTMAX").filter(|rest| rest.is_empty() || rest.starts_with('-')) {
        return offset(rest).map(|offset| RTMAX - offset).filter(|number| *number >= RTMIN);
    }
    let position = NAMES.iter().position(|known| *known == name).map(|index| index as i32 + 1);
    position.or_else(|| ALIASES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number))
}

/// [`parse`], or what is wrong with it in Podman's words.
pub fn wanted(text: &str) -> Result<i32, Failure> {
    parse(text).ok_or_else(|| match text.parse::<i64>() {
        Ok(number) if number != 0 => Failure::plain(format!("valid signals are 1 through {RTMAX}")),
        _ => Failure::plain(format!("invalid signal: {text}")),
    })
}

/// `SIGTERM`; a number where there is no name.
pub fn name(number: i32) -> String {
    match usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?)) {
        Some(name) => format!("SIG{name}"),
        None if number == RTMIN => "SIGRTMIN".into(),
        None if (RTMIN..=RTMAX).contains(&number) => format!("SIGRTMIN+{}", number - RTMIN),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let table =
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", 37), ("rtmax-1", 63), ("RTMIN", 34), ("IOT", 6)];
        for (text, number) in table {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["FOO", "0", "65", "-1", "", "SIG", "RTMIN-1", "RTMIN+99"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(name(15), "SIGTERM");
        assert_eq!(name(37), "SIGRTMIN+3");
    }
}
