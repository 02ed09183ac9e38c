//! ConfigMaps, Secrets, namespaces.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;

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

/// Standard alphabet (RFC 4648, section 4), padded; blanks and line ends do not count.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, CONFIG).decode(text).ok()
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
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
