//! What the value of a key has to look like: looked at when a file is read, so that what is wrong is said with its file
//! and line.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys;
use crate::error::Failure;
use crate::format::human;

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Any,
    Text,
    /// A text that is one of these, or empty.
    OneOf(&'static [&'static str]),
    /// A text like `0022`.
    Octal,
    /// A text like `64m`.
    Size,
    SizeOrNumber,
    /// Bytes: below zero for no limit, else at least 8192.
    LogSize,
    Number,
    Switch,
    /// Texts, with `{append=true}` at the end or without.
    Texts,
    /// A table of lists of texts.
    Lists,
    /// A table of texts.
    TextMap,
    /// `[{base = "10.89.0.0/24", size = 24}]`.
    Pools,
}

impl Shape {
    /// Why the value is none of this shape, in Podman's words.
    fn problem(self, value: &Value) -> Option<String> {
        let wants = |kind: &str| Some(mismatch(value, kind));
        match (self, value) {
            (Shape::Any, _) | (Shape::Number | Shape::SizeOrNumber, Value::Integer(_)) => None,
            (Shape::Switch, Value::Boolean(_)) | (Shape::Text, Value::String(_)) => None,
            (Shape::LogSize, Value::Integer(0..8192)) => Some("log size max should be negative or >= 8192".to_owned()),
            (Shape::LogSize, Value::Integer(_)) => None,
            (Shape::OneOf(words), Value::String(text)) => {
                let fits = text.is_empty() || words.contains(&text.to_ascii_lowercase().as_str());
                (!fits).then(|| format!("invalid value {text:?}, it is one of {}", words.join(", ")))
            }
            (Shape::Octal, Value::String(text)) => {
                let fits = text.is_empty() || u32::from_str_radix(text, 8).is_ok_and(|mask| mask <= 0o7777);
                (!fits).then(|| format!("not a valid umask {text}"))
            }
            (Shape::Size | Shape::SizeOrNumber, Value::String(text)) => {
                Some(text).filter(|text| !text.is_empty()).and_then(|text| human::parse_size(text).err())
            }
            (Shape::Texts, Value::Array(items)) => {
                let wrong = |item: &&Value| !item.is_str() && !is_append(item);
                items
                    .iter()
                    .find(wrong)
                    .map(|item| format!("unsupported item in attributed string slice: {}", item.type_str()))
            }
            (Shape::Lists, Value::Table(lists)) => {
                lists.values().find(|list| !list.is_array()).map(|list| mismatch(list, "slice"))
            }
            (Shape::TextMap, Value::Table(texts)) => {
                texts.values().find(|text| !text.is_str()).map(|text| mismatch(text, "string"))
            }
            (Shape::Pools, Value::Array(pools)) => pools.iter().find_map(pool_problem),
            (Shape::Switch, _) => wants("boolean"),
            (Shape::Number | Shape::LogSize, _) => wants("integer"),
            (Shape::Texts | Shape::Pools, _) => wants("slice"),
            (Shape::Lists | Shape::TextMap, _) => wants("map"),
            (Shape::Text | Shape::OneOf(_) | Shape::Octal | Shape::Size | Shape::SizeOrNumber, _) => wants("string"),
        }
    }
}

fn is_append(item: &Value) -> bool {
    item.as_table().is_some_and(|table| table.get("append").is_some_and(Value::is_bool))
}

pub fn mismatch(value: &Value, wanted: &str) -> String {
    format!("incompatible types: TOML value has type {}; destination has type {wanted}", value.type_str())
}

fn pool_problem(pool: &Value) -> Option<String> {
    let base = pool.get("base").and_then(Value::as_str).unwrap_or_default();
    if base.parse::<network::Cidr>().is_err() {
        return Some(format!("invalid CIDR address: {base}"));
    }
    let size = pool.get("size").and_then(Value::as_integer);
    (!size.is_some_and(|size| (1..=32).contains(&size))).then(|| "size is a number between 1 and 32".to_owned())
}

/// Whether every key of containers.conf that creel reads has a value it can use. `text` is what `table` was read from.
pub fn check(table: &Table, text: &str, path: &Path) -> Result<(), Failure> {
    for (section, keys) in table {
        if !keys::KEYS.iter().any(|key| key.section == section) {
            continue;
        }
        let Some(keys) = keys.as_table() else {
            return Err(wrong(path, text, &[section], &mismatch(keys, "table")));
        };
        for (name, value) in keys {
            let problem = keys::find(section, name).and_then(|key| key.shape.problem(value));
            if let Some(problem) = problem {
                return Err(wrong(path, text, &[section, name], &problem));
            }
        }
    }
    Ok(())
}

/// `keys` is the way to the value, from the top.
pub fn wrong(path: &Path, text: &str, keys: &[&str], problem: &str) -> Failure {
    let line = line_of(text, keys).map_or_else(String::new, |line| format!("line {line} "));
    let problem = format!("{line}(last key {:?}): {problem}", keys.join("."));
    super::unusable(format!("decode configuration {}: {problem}", path.display()))
}

/// The line of a key, counted from one.
fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut at = None;
    for name in keys {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        at = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    at.map(|at| text[..at.min(text.len())].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        let table = text.parse::<Table>().unwrap();
        check(&table, text, Path::new("x.conf")).err().map(|failure| failure.to_string())
    }

    #[test]
    fn what_does_not_fit_is_said_with_line_and_key() {
        let types = "incompatible types: TOML value has type string; destination has type";
        for (text, problem) in [
            (
                "[containers]\n\npids_limit = \"x\"\n",
                format!("line 3 (last key \"containers.pids_limit\"): {types} integer"),
            ),
            ("[containers]\nenv = \"x\"\n", format!("line 2 (last key \"containers.env\"): {types} slice")),
            (
                "[engine]\nretry = 1\n[containers]\ninit = \"x\"\n",
                format!("line 4 (last key \"containers.init\"): {types} boolean"),
            ),
            ("[engine]\nruntimes = {crun = \"x\"}\n", format!("line 2 (last key \"engine.runtimes\"): {types} slice")),
            ("containers = \"x\"\n", format!("line 1 (last key \"containers\"): {types} table")),
            ("[containers]\numask = \"9\"\n", "line 2 (last key \"containers.umask\"): not a valid umask 9".into()),
            (
                "[containers]\nshm_size = \"foo\"\n",
                "line 2 (last key \"containers.shm_size\"): invalid size: 'foo'".into(),
            ),
            (
                "[network]\ndefault_subnet_pools = [{base = \"x\", size = 24}]\n",
                "line 2 (last key \"network.default_subnet_pools\"): invalid CIDR address: x".into(),
            ),
        ] {
            let expected = format!("Failed to obtain creel configuration: decode configuration x.conf: {problem}");
            assert_eq!(said(text), Some(expected));
        }
    }

    #[test]
    fn what_fits_and_what_nobody_reads_passes() {
        let text = "[containers]\nenv = [\"A=1\", {append = true}]\npids_limit = -1\nlog_size_max = -1\nnonsense = 1\n\
                    [engine]\nnum_locks = \"many\"\nevents_logfile_max_size = \"1m\"\n[other]\nx = 1\n\
                    [network]\ndefault_subnet_pools = [{base = \"10.7.0.0/16\", size = 24}]\n[secrets.opts]\nlist = \"x\"\n";
        assert_eq!(said(text), None);
    }
}
