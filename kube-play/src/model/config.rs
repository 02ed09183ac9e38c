//! ConfigMaps, Secrets, namespaces.

use std::collections::BTreeMap;

use super::ObjectMeta;
use crate::decode::{Decode, Reader, Shape, object};
use crate::names;
use crate::yaml::{Node, step};

object! {
    /// Stored: it stays after the play, and mounts of it follow its changes.
    ConfigMap {
        "metadata" metadata: ObjectMeta,
        "data" data: Data<String>,
        /// Base64; for volumes only.
        "binaryData" binary_data: Data<Base64>,
        /// A change of it is refused.
        "immutable" immutable: Option<bool>,
    }
    quiet { "apiVersion", "kind", }
}

object! {
    /// Stored, readable by its owner only.
    Secret {
        "metadata" metadata: ObjectMeta,
        /// Base64.
        "data" data: Data<Base64>,
        /// Plain text, written over `data`.
        "stringData" string_data: Data<String>,
        "type" kind: Option<String>,
        "immutable" immutable: Option<bool>,
    }
    quiet { "apiVersion", "kind", }
}

object! {
    /// A scope of names, with a network of its own.
    Namespace {
        "metadata" metadata: ObjectMeta,
    }
    quiet { "apiVersion", "kind", "spec", "status", }
}

/// Keys and values whose keys follow the rule.
#[derive(Clone, Debug)]
pub(crate) struct Data<T>(pub(crate) BTreeMap<String, T>);

/// Bytes that were written in base64, padded or not, with or without line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl<T: Decode> Decode for Data<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let entries = reader.map(node, "a map")?;
        let mut map = BTreeMap::new();
        let mut whole = true;
        for (key, node) in entries {
            let value = reader.inside(step(&key.name), |reader| match names::data_key(&key.name) {
                Err(rule) => reader.wrong(node, format!("{:?} is not valid as a key: {rule}", &*key.name)),
                Ok(()) => T::decode(&node.or_text(), reader),
            });
            match value {
                Some(value) => drop(map.insert(key.name.to_string(), value)),
                None => whole = false,
            }
        }
        whole.then_some(Data(map))
    }

    fn absent() -> Option<Self> {
        Some(Data(BTreeMap::new()))
    }

    fn shape() -> Shape {
        Shape::Map(T::shape)
    }
}

impl Decode for Base64 {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = String::decode(node, reader)?;
        match decoded(&text) {
            Some(bytes) => Some(Base64(bytes)),
            None => {
                let hint = Some("for plain text in a Secret write \"stringData\"".to_owned());
                reader.report(crate::problem::Severity::Error, node.at, "is not base64", hint);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("base64")
    }
}

/// Standard alphabet (RFC 4648, section 4).
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.len() / 4;
    for (index, group) in text.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || padding > 0 && index + 1 != groups {
            return None;
        }
        let mut bits = 0u32;
        for byte in &group[..4 - padding] {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(digit);
        }
        bits <<= 6 * padding;
        bytes.extend(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(char::from(LETTERS[(bits >> (18 - 6 * digit)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_goes_both_ways() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0, 255, 62, 63], "AP8+Pw=="),
        ] {
            assert_eq!(encoded(bytes), text);
            assert_eq!(decoded(text).as_deref(), Some(bytes));
        }
        assert_eq!(decoded("Zm9v\nYmFy\n").as_deref(), Some(&b"foobar"[..]));
        for text in ["Z", "Zg=", "Zg==Zg==", "====", "Z*==", "geheim!"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
