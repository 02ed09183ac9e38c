//! Which pods are meant, by their labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::model::meta::SelectorOperator;

/// All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selector {
    pub labels: BTreeMap<String, String>,
    pub expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    pub key: String,
    pub operator: SelectorOperator,
    pub values: Vec<String>,
}

impl Selector {
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|requirement| requirement.matches(labels))
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// What `-l` takes: `app=web,tier!=db,zone in (a, b),!legacy,env`. Fails with what is wrong.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut selector = Selector::default();
        for part in split(text)? {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let mut expression = |key: &str, operator, values: Vec<String>| {
                let key = key.trim().to_owned();
                crate::names::qualified(&key).map_err(|rule| format!("{key:?} is no label's key: {rule}"))?;
                selector.expressions.push(Requirement { key, operator, values });
                Ok::<(), String>(())
            };
            if let Some((key, values)) = part.split_once('(') {
                let values = values.trim().strip_suffix(')').ok_or_else(|| format!("{part:?} has no \")\""))?;
                let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
                let mut words = key.split_whitespace();
                match (words.next(), words.next(), words.next()) {
                    (Some(key), Some("in"), None) => expression(key, SelectorOperator::In, values)?,
                    (Some(key), Some("notin"), None) => expression(key, SelectorOperator::NotIn, values)?,
                    _ => return Err(format!("{part:?} is no selector")),
                }
            } else if let Some((key, value)) = part.split_once("!=") {
                expression(key, SelectorOperator::NotIn, vec![value.trim().to_owned()])?;
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                expression(key, SelectorOperator::In, vec![value.trim().to_owned()])?;
            } else if let Some(key) = part.strip_prefix('!') {
                expression(key, SelectorOperator::DoesNotExist, Vec::new())?;
            } else {
                expression(part, SelectorOperator::Exists, Vec::new())?;
            }
        }
        Ok(selector)
    }
}

/// At commas outside of brackets.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (index, char) in text.char_indices() {
        match (char, inside) {
            ('(', false) => inside = true,
            (')', true) => inside = false,
            ('(', true) | (')', false) => return Err(format!("{text:?} is no selector")),
            (',', false) => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    Ok(parts)
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// kubectl's way to print it: `app=web,tier in (a,b)`.
impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.expressions.iter().map(|requirement| {
            let (key, values) = (&requirement.key, requirement.values.join(","));
            match requirement.operator {
                SelectorOperator::In => format!("{key} in ({values})"),
                SelectorOperator::NotIn => format!("{key} notin ({values})"),
                SelectorOperator::Exists => key.clone(),
                SelectorOperator::DoesNotExist => format!("!{key}"),
            }
        });
        formatter.pad(&labels.chain(expressions).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_label() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        for (text, expected) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("zone!=a", true),
            ("app in (web, api)", true),
            ("app notin (web)", false),
            ("app", true),
            ("!zone", true),
            ("zone", false),
            ("app in (api),tier", false),
            ("", true),
        ] {
            assert_eq!(Selector::parse(text).map(|selector| selector.matches(&labels)), Ok(expected), "{text}");
        }
        for text in ["a b=c", "app in web", "app in (web", "=x", "a=b)", "!"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        assert_eq!(Selector::parse("zone in (a,b),!x").expect("good").to_string(), "zone in (a,b),!x");
    }
}
