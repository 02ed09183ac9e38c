//! Signals as they are typed.

use crate::error::Failure;

/// A number, or a name with or without `SIG`; what is wrong with it is said in Podman's words.
pub fn parse(text: &str) -> Result<i32, Failure> {
    sys::signals::parse(text).ok_or_else(|| match text.parse::<i64>() {
        Ok(number) if number != 0 => Failure::plain(format!("valid signals are 1 through {}", sys::signals::RTMAX)),
        _ => Failure::plain(format!("invalid signal: {text}")),
    })
}
