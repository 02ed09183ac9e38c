//! Kubernetes' quantities: `500m`, `64Mi`, `1e3`, `0.5`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const NANO: i128 = 1_000_000_000;

/// An amount and how it was written. Equal amounts are equal, however written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    text: String,
    /// In billionths, the smallest unit there is.
    nanos: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("must be a quantity: a number and one of m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei")]
    Shape,
    #[error("is too large")]
    TooLarge,
}

impl QuantityError {
    /// What was most likely meant: `64MB` is `64M`, `1 Gi` is `1Gi`, `512mb` is `512M`.
    pub(crate) fn hint(self, text: &str) -> Option<String> {
        let number: String = text.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
        let unit = text[number.len()..].trim().to_ascii_lowercase();
        if number.is_empty() {
            return None;
        }
        let letter = unit.chars().next()?;
        let unit = match unit.strip_suffix('b').unwrap_or(&unit) {
            "k" => "k".to_owned(),
            "m" | "g" | "t" | "p" | "e" => letter.to_ascii_uppercase().to_string(),
            "ki" | "mi" | "gi" | "ti" | "pi" | "ei" => format!("{}i", letter.to_ascii_uppercase()),
            _ => return None,
        };
        Some(format!("did you mean \"{number}{unit}\"?"))
    }
}

impl Quantity {
    pub fn from_bytes(bytes: u64) -> Quantity {
        Quantity { text: bytes.to_string(), nanos: i128::from(bytes) * NANO }
    }

    /// Whole units, rounded up: bytes of memory, counts.
    pub fn units(&self) -> u64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded up: milli-cpus.
    pub fn millis(&self) -> u64 {
        self.scaled(NANO / 1000)
    }

    fn scaled(&self, unit: i128) -> u64 {
        let up = self.nanos.div_euclid(unit) + i128::from(self.nanos.rem_euclid(unit) != 0);
        u64::try_from(up.max(0)).unwrap_or(u64::MAX)
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub(crate) fn negative(&self) -> bool {
        self.nanos < 0
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> String {
        quantity.text
    }
}

impl TryFrom<String> for Quantity {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Quantity, QuantityError> {
        text.parse()
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return Err(QuantityError::Shape);
        }
        if whole.len() > 30 || part.len() > 30 {
            return Err(QuantityError::TooLarge);
        }
        let (multiple, power) = unit(suffix)?;
        // The digits as one whole number, then all scales at once: what is finer than a billionth is rounded up.
        let digits: i128 = format!("{whole}{part}").parse().map_err(|_| QuantityError::TooLarge)?;
        let power = power + 9 - i32::try_from(part.len()).map_err(|_| QuantityError::TooLarge)?;
        let scaled = digits.checked_mul(multiple).ok_or(QuantityError::TooLarge)?;
        let scale = 10_i128.checked_pow(power.unsigned_abs()).ok_or(QuantityError::TooLarge)?;
        let nanos = match power >= 0 {
            true => scaled.checked_mul(scale).ok_or(QuantityError::TooLarge)?,
            false => scaled.div_euclid(scale) + i128::from(scaled.rem_euclid(scale) != 0),
        };
        // Kubernetes' own limit is a signed 64 bit number of units.
        if nanos / NANO > i128::from(i64::MAX) {
            return Err(QuantityError::TooLarge);
        }
        Ok(Quantity { text: text.to_owned(), nanos: if text.starts_with('-') { -nanos } else { nanos } })
    }
}

/// A suffix as a factor and a power of ten.
fn unit(suffix: &str) -> Result<(i128, i32), QuantityError> {
    Ok(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Shape)?;
            let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Shape)?;
            match exponent {
                -30..=30 => (1, exponent),
                _ => return Err(QuantityError::TooLarge),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, units, millis) in [
            ("0", 0, 0),
            ("1", 1, 1000),
            ("500m", 1, 500),
            ("0.5", 1, 500),
            (".5", 1, 500),
            ("1.", 1, 1000),
            ("64Mi", 64 << 20, (64 << 20) * 1000),
            ("128M", 128_000_000, 128_000_000_000),
            ("1k", 1000, 1_000_000),
            ("1.5Gi", 3 << 29, (3 << 29) * 1000),
            ("1e3", 1000, 1_000_000),
            ("1E3", 1000, 1_000_000),
            ("12e-1", 2, 1200),
            ("100u", 1, 1),
            ("1n", 1, 1),
            ("+2", 2, 2000),
        ] {
            let quantity: Quantity = text.parse().expect(text);
            assert_eq!((quantity.units(), quantity.millis()), (units, millis), "{text}");
            assert_eq!(quantity.to_string(), text);
        }
        assert_eq!("1Gi".parse::<Quantity>(), "1024Mi".parse::<Quantity>());
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "m", "1.2.3", "64MB", "1 Gi", "abc", "1K", "--1", "1e", "1ee3", "0x10", "1mi", "."] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Shape), "{text}");
        }
        for text in ["16E", "99999999999999999999", "1e30", "1e999", &"9".repeat(50)] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::TooLarge), "{text}");
        }
        let hint = |text: &str| QuantityError::Shape.hint(text);
        assert_eq!(hint("64MB").as_deref(), Some("did you mean \"64M\"?"));
        assert_eq!(hint("1 gi").as_deref(), Some("did you mean \"1Gi\"?"));
        assert_eq!(hint("1K").as_deref(), Some("did you mean \"1k\"?"));
        assert_eq!(hint("many"), None);
    }
}
