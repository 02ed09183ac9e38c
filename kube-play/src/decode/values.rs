//! Plain values: numbers, texts with a rule, quantities, addresses. The rule is in the decoder, so that each break of it
//! has its line.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Decode, Reader, Shape, Validate};
use crate::names;
use crate::problem::Severity;
use crate::quantity::Quantity;
use crate::yaml::{Node, Value, Word};

fn described(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.described(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

impl Decode for String {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.word == Word::Text || reader.validate != Validate::Strict => {
                Some(scalar.text.clone())
            }
            Value::Scalar(scalar) => {
                let text = format!("must be a string, and this is {}", scalar.described());
                reader.report(Severity::Error, node.at, text, Some(format!("write {:?}", scalar.text)));
                None
            }
            Value::List(_) | Value::Map(_) => {
                reader.wrong(node, format!("must be a string, and this is {}", described(node)))
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("string")
    }
}

impl Decode for bool {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) => match scalar.word {
                Word::Bool(value) => Some(value),
                _ => reader.wrong(node, format!("must be true or false, and this is {}", scalar.described())),
            },
            Value::List(_) | Value::Map(_) => {
                reader.wrong(node, format!("must be true or false, and this is {}", described(node)))
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("boolean")
    }
}

/// A whole number within bounds.
fn integer(node: &Node, reader: &mut Reader, least: i64, most: i64) -> Option<i64> {
    let number = match &node.value {
        Value::Scalar(scalar) => match scalar.word {
            Word::Integer(number) => Some(number),
            _ => None,
        },
        Value::List(_) | Value::Map(_) => None,
    };
    match number {
        Some(number) if (least..=most).contains(&number) => Some(number),
        Some(number) if number < least && most >= i64::from(i32::MAX) => {
            reader.wrong(node, format!("must be greater than or equal to {least}, and is {number}"))
        }
        Some(number) => reader.wrong(node, format!("must be between {least} and {most}, and is {number}")),
        None => reader.wrong(node, format!("must be a whole number, and this is {}", described(node))),
    }
}

macro_rules! numbers {
    ($($type:ty, $least:expr, $most:expr, $word:literal;)*) => { $(
        impl Decode for $type {
            fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
                integer(node, reader, $least, $most).and_then(|number| number.try_into().ok())
            }

            fn shape() -> Shape {
                Shape::Plain($word)
            }
        }
    )* };
}

// Kubernetes' integers are signed 32 bit; where a negative one means nothing the type here is unsigned.
numbers! {
    u16, 0, u16::MAX.into(), "integer";
    u32, 0, i32::MAX.into(), "integer";
    i32, i32::MIN.into(), i32::MAX.into(), "integer";
    u64, 0, i64::MAX, "integer";
    i64, i64::MIN, i64::MAX, "integer";
}

/// A whole number that is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positive(pub(crate) u32);

impl Decode for Positive {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        integer(node, reader, 1, i32::MAX.into()).and_then(|number| number.try_into().ok()).map(Positive)
    }

    fn shape() -> Shape {
        Shape::Plain("integer")
    }
}

/// A user or group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) u32);

impl Decode for Id {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        integer(node, reader, 0, i32::MAX.into()).and_then(|number| number.try_into().ok()).map(Id)
    }

    fn shape() -> Shape {
        Shape::Plain("integer")
    }
}

/// The number of a port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl Decode for Port {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        integer(node, reader, 1, u16::MAX.into()).and_then(|number| number.try_into().ok()).map(Port)
    }

    fn shape() -> Shape {
        Shape::Plain("integer")
    }
}

/// Permission bits of a file: `0644`, or 420 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMode(pub(crate) u32);

impl Decode for FileMode {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = integer(node, reader, i64::MIN, i64::MAX)?;
        match u32::try_from(number) {
            Ok(mode) if mode <= 0o777 => Some(FileMode(mode)),
            // 644 without its zero is 0o1204.
            _ => {
                let text = format!("must be between 0000 and 0777 in octal, and is {number} (0{number:o} in octal)");
                let hint = (100..=777).contains(&number).then(|| format!("write 0{number}"));
                reader.report(Severity::Error, node.at, text, hint);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("integer")
    }
}

/// A number, or a text that names or measures something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IntOrString {
    Int(i64),
    Text(String),
}

impl Decode for IntOrString {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) => match scalar.word {
                Word::Integer(number) => Some(IntOrString::Int(number)),
                Word::Text => Some(IntOrString::Text(scalar.text.clone())),
                _ => reader.wrong(node, format!("must be a number or a string, and this is {}", scalar.described())),
            },
            Value::List(_) | Value::Map(_) => {
                reader.wrong(node, format!("must be a number or a string, and this is {}", described(node)))
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("integer or string")
    }
}

/// A count, or a share of a count: `1`, `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountOrPercent {
    Count(u32),
    Percent(u32),
}

impl CountOrPercent {
    /// Of `total`, rounded up.
    pub fn of_up(self, total: u32) -> u32 {
        match self {
            CountOrPercent::Count(count) => count,
            CountOrPercent::Percent(percent) => {
                u32::try_from((u64::from(total) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
            }
        }
    }

    /// Of `total`, rounded down.
    pub fn of_down(self, total: u32) -> u32 {
        match self {
            CountOrPercent::Count(count) => count,
            CountOrPercent::Percent(percent) => {
                u32::try_from(u64::from(total) * u64::from(percent) / 100).unwrap_or(u32::MAX)
            }
        }
    }
}

impl Decode for CountOrPercent {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match IntOrString::decode(node, reader)? {
            IntOrString::Int(number) => match u32::try_from(number) {
                Ok(number) => Some(CountOrPercent::Count(number)),
                Err(_) => reader.wrong(node, format!("must be greater than or equal to 0, and is {number}")),
            },
            IntOrString::Text(text) => match text.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(percent)) if percent <= 1_000_000 => Some(CountOrPercent::Percent(percent)),
                _ => reader.wrong(node, format!("must be a number or a percentage like \"25%\", and is {text:?}")),
            },
        }
    }

    fn shape() -> Shape {
        Shape::Plain("integer or percentage")
    }
}

/// A port by its number or its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortRef {
    Number(u16),
    Name(String),
}

impl Decode for PortRef {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match IntOrString::decode(node, reader)? {
            IntOrString::Int(number) => match u16::try_from(number) {
                Ok(port) if port > 0 => Some(PortRef::Number(port)),
                _ => reader.wrong(node, format!("must be between 1 and 65535, and is {number}")),
            },
            IntOrString::Text(name) => match names::port_name(&name) {
                Ok(()) => Some(PortRef::Name(name)),
                Err(rule) => reader.wrong(node, format!("{name:?} is no port's name: {rule}")),
            },
        }
    }

    fn shape() -> Shape {
        Shape::Plain("integer or string")
    }
}

impl Decode for Quantity {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = match &node.value {
            Value::Scalar(scalar) if !matches!(scalar.word, Word::Bool(_)) => scalar.text.clone(),
            _ => {
                return reader
                    .wrong(node, format!("must be a quantity like 500m or 64Mi, and this is {}", described(node)));
            }
        };
        match text.parse::<Quantity>() {
            Ok(quantity) if quantity.negative() => {
                reader.wrong(node, format!("must be greater than or equal to 0, and is {text}"))
            }
            Ok(quantity) => Some(quantity),
            Err(error) => {
                reader.report(Severity::Error, node.at, error.to_string(), error.hint(&text));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Plain("Quantity")
    }
}

impl Decode for IpAddr {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = String::decode(node, reader)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => reader.wrong(node, format!("{text:?} is no IP address")),
        }
    }

    fn shape() -> Shape {
        Shape::Plain("string")
    }
}

/// Texts that follow a rule of `names`.
macro_rules! texts {
    ($( $(#[doc = $note:literal])* $name:ident, $rule:path; )*) => { $(
        $(#[doc = $note])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) String);

        impl Decode for $name {
            fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
                let text = String::decode(node, reader)?;
                match $rule(&text) {
                    Ok(()) => Some($name(text)),
                    Err(rule) => reader.wrong(node, format!("{text:?} is not valid: {rule}")),
                }
            }

            fn shape() -> Shape {
                Shape::Plain("string")
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )* };
}

texts! {
    /// A name of up to 63 letters, as of a container, a namespace.
    Label, names::label;
    /// The name of a volume of a pod.
    VolumeName, names::volume;
    /// A name of labels with dots, as of most objects.
    Subdomain, names::subdomain;
    /// The name of a Service: it begins with a letter.
    ServiceName, names::service;
    PortName, names::port_name;
    EnvName, names::environment;
    /// The key of a ConfigMap or a Secret.
    DataKey, names::data_key;
    /// An absolute path.
    AbsolutePath, names::absolute_path;
    /// A path below something: no `..`, not absolute.
    InnerPath, names::inner_path;
    /// A path in a container's file system, as mountPath takes it.
    MountPath, names::mount_path;
    /// An image's name; empty is refused.
    ImageName, names::image;
}
