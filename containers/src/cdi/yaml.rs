//! YAML as the tools of device vendors write it, read into JSON's values. Aliases are refused: nobody needs them there.

use granit_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// Deeper and larger files are refused.
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 100_000;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    nodes: usize,
}

/// The first document of a file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(Value::Null),
            Event::DocumentStart(..) => {
                let event = reader.next()?;
                return reader.value(event, 0);
            }
            _ => {}
        }
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it ends in the middle".to_owned()),
        }
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err("it is too large".to_owned());
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(scalar(&text, style == ScalarStyle::Plain)),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Value::Array(list)),
                        event => list.push(self.value(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Ok(Value::Object(map)),
                        Event::Scalar(text, ..) => text.into_owned(),
                        _ => return Err("a key is not a word".to_owned()),
                    };
                    let event = self.next()?;
                    let value = self.value(event, depth + 1)?;
                    map.insert(key, value);
                }
            }
            Event::Alias(_) => Err("it has aliases".to_owned()),
            _ => Err("a value is missing".to_owned()),
        }
    }
}

/// YAML 1.2's core schema, without the fractions.
fn scalar(text: &str, is_plain: bool) -> Value {
    if !is_plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let hexadecimal = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
            let octal = text.strip_prefix("0o").and_then(|digits| i64::from_str_radix(digits, 8).ok());
            match hexadecimal.or(octal).or_else(|| text.parse::<i64>().ok()) {
                Some(number) => Value::from(number),
                None => Value::String(text.to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vendors_write_is_read() {
        let text = "---\ncdiVersion: 0.5.0\nkind: \"nvidia.com/gpu\"\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n      major: 195\ncontainerEdits:\n  env: [A=b]\n";
        let value = parse(text).unwrap();
        assert_eq!(value["cdiVersion"], "0.5.0");
        assert_eq!(value["devices"][0]["name"], "0");
        assert_eq!(value["devices"][0]["containerEdits"]["deviceNodes"][0]["major"], 195);
        assert_eq!(value["containerEdits"]["env"][0], "A=b");
        assert!(parse("a: [").is_err() && parse("a: &x 1\nb: *x\n").is_err());
    }
}
