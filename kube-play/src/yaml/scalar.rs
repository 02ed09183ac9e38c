//! What one word of YAML means: kubectl's reader speaks YAML 1.1 with a few words of 1.2.

/// A scalar as written and as understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// Quotes and escapes undone.
    pub(crate) text: String,
    pub(crate) word: Word,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

impl Scalar {
    /// `tag` is the word after `!!`. Fails with what is wrong.
    pub(crate) fn resolve(text: String, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
        let natural = || if plain { word(&text) } else { Word::Text };
        let word = match tag {
            None => natural(),
            Some("str") => Word::Text,
            Some(tag @ ("null" | "bool" | "int" | "float")) => match (tag, word(&text)) {
                ("null", word @ Word::Null)
                | ("bool", word @ Word::Bool(_))
                | ("int", word @ Word::Integer(_))
                | ("float", word @ Word::Float(_)) => word,
                ("float", Word::Integer(number)) => Word::Float(number as f64),
                _ => return Err(format!("\"{text}\" is no !!{tag}")),
            },
            Some(tag) => return Err(format!("the tag !!{tag} has no place in a manifest")),
        };
        Ok(Scalar { text, word })
    }

    /// As the key of a map.
    pub(crate) fn key(&self) -> String {
        match self.word {
            Word::Bool(value) => value.to_string(),
            Word::Integer(value) => value.to_string(),
            Word::Null | Word::Float(_) | Word::Text => self.text.clone(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        match self.word {
            Word::Null => serde_json::Value::Null,
            Word::Bool(value) => value.into(),
            Word::Integer(value) => value.into(),
            Word::Float(value) => value.into(),
            Word::Text => self.text.as_str().into(),
        }
    }

    /// "the number 3": how an error speaks of it.
    pub(crate) fn described(&self) -> String {
        match self.word {
            Word::Null => "null".to_owned(),
            Word::Bool(_) => format!("the boolean {}", self.text),
            Word::Integer(_) | Word::Float(_) => format!("the number {}", self.text),
            Word::Text => format!("the text {:?}", shortened(&self.text)),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn word(text: &str) -> Word {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Word::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Word::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Word::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Word::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Word::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Word::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char)) {
        return Word::Text;
    }
    integer(text).map(Word::Integer).or_else(|| float(text).map(Word::Float)).unwrap_or(Word::Text)
}

/// Decimal, `0o17` and `017`, `0x1f`, `0b11`; underscores between digits mean nothing.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with('_') || digits.starts_with(['+', '-']) {
        return None;
    }
    let digits: String = digits.chars().filter(|char| *char != '_').collect();
    // from_str_radix takes signs: `0-1` is a range of processors, no number.
    if digits.contains(['+', '-']) {
        return None;
    }
    let number = if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i128::from_str_radix(digits, 16)
    } else if let Some(digits) = digits.strip_prefix("0o").or_else(|| digits.strip_prefix("0O")) {
        i128::from_str_radix(digits, 8)
    } else if let Some(digits) = digits.strip_prefix("0b").or_else(|| digits.strip_prefix("0B")) {
        i128::from_str_radix(digits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(&digits[1..], 8)
    } else if digits.chars().all(|char| char.is_ascii_digit()) {
        digits.parse()
    } else {
        return None;
    }
    .ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}

fn float(text: &str) -> Option<f64> {
    let allowed = |char: char| char.is_ascii_digit() || "+-.eE_".contains(char);
    if !text.chars().all(allowed) || !text.chars().any(|char| char.is_ascii_digit()) {
        return None;
    }
    text.chars().filter(|char| *char != '_').collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("", Word::Null),
            ("~", Word::Null),
            ("yes", Word::Bool(true)),
            ("OFF", Word::Bool(false)),
            ("y", Word::Text),
            ("0644", Word::Integer(0o644)),
            ("0o644", Word::Integer(0o644)),
            ("0x1F", Word::Integer(31)),
            ("0b101", Word::Integer(5)),
            ("-12", Word::Integer(-12)),
            ("+12", Word::Integer(12)),
            ("1_000", Word::Integer(1000)),
            ("089", Word::Float(89.0)),
            ("1.5", Word::Float(1.5)),
            ("1e3", Word::Float(1000.0)),
            (".5", Word::Float(0.5)),
            ("100m", Word::Text),
            ("64Mi", Word::Text),
            ("1.2.3", Word::Text),
            ("-", Word::Text),
            ("--", Word::Text),
            ("+-1", Word::Text),
            ("10:30", Word::Text),
            ("0-1", Word::Text),
            ("0x-1", Word::Text),
            ("2001-01-01", Word::Text),
            ("0x", Word::Text),
            ("99999999999999999999", Word::Float(1e20)),
        ] {
            assert_eq!(word(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_tags_decide_over_looks() {
        let resolve = |text: &str, plain, tag| Scalar::resolve(text.to_owned(), plain, tag).map(|scalar| scalar.word);
        assert_eq!(resolve("1", false, None), Ok(Word::Text));
        assert_eq!(resolve("1", true, Some("str")), Ok(Word::Text));
        assert_eq!(resolve("1", false, Some("int")), Ok(Word::Integer(1)));
        assert_eq!(resolve("1", true, Some("float")), Ok(Word::Float(1.0)));
        assert!(resolve("x", true, Some("int")).is_err());
        assert!(resolve("x", true, Some("binary")).is_err());
    }
}
