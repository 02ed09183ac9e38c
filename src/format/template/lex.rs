//! From the text to pieces, and from an action to its words.

use super::Result;
use crate::format::value::Value;

/// Text, or the inside of an action with its position.
pub(super) enum Piece {
    Text(String),
    Action { body: String, position: usize },
}

/// The pieces of a template, or the line of a mistake and what it is.
pub(super) fn split(source: &str) -> std::result::Result<Vec<Piece>, (usize, String)> {
    let mut pieces = Vec::new();
    let mut position = 0;
    let mut trim = false;
    let line_of = |position: usize| source[..position].matches('\n').count() + 1;
    while let Some(open) = source[position..].find("{{").map(|at| at + position) {
        let mut text = &source[position..open];
        if trim {
            text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        }
        let mut start = open + 2;
        let trims_left = source[start..].starts_with('-') && source[start + 1..].starts_with([' ', '\t', '\r', '\n']);
        if trims_left {
            text = text.trim_end_matches([' ', '\t', '\r', '\n']);
            start += 2;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let inside = &source[start..];
        let body_start = inside.trim_start();
        let end = if body_start.starts_with("/*") {
            let Some(close) = inside.find("*/") else { return Err((line_of(open), "unclosed comment".into())) };
            let after = &inside[close + 2..];
            let Some(end) = after.find("}}") else {
                return Err((line_of(open), "comment ends before closing delimiter".into()));
            };
            close + 2 + end
        } else {
            close(inside).map_err(|problem| (line_of(open), problem.to_owned()))?
        };
        let mut body = &inside[..end];
        trim = body.ends_with('-') && body[..body.len() - 1].ends_with([' ', '\t', '\r', '\n']);
        if trim {
            body = &body[..body.len() - 1];
        }
        if !body.trim_start().starts_with("/*") {
            pieces.push(Piece::Action { body: body.to_owned(), position: start });
        }
        position = start + end + 2;
    }
    let mut text = &source[position..];
    if trim {
        text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(pieces)
}

/// Where `}}` ends an action that begins here: not inside of a quoted text.
fn close(inside: &str) -> std::result::Result<usize, &'static str> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Ok(at),
            quote @ (b'"' | b'\'' | b'`') => {
                at += 1;
                loop {
                    match bytes.get(at) {
                        Some(byte) if *byte == quote => break,
                        Some(b'\n') if quote != b'`' => return Err(unterminated(quote)),
                        Some(b'\\') if quote != b'`' => at += 2,
                        Some(_) => at += 1,
                        None => return Err(unterminated(quote)),
                    }
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Err("unclosed action")
}

fn unterminated(quote: u8) -> &'static str {
    match quote {
        b'"' => "unterminated quoted string",
        b'`' => "unterminated raw quoted string",
        _ => "unterminated character constant",
    }
}

pub(super) enum Word {
    /// `.`, `.a.b`
    Dot(Vec<String>),
    Variable(String, Vec<String>),
    Text(String),
    Number(Value),
    Name(String),
    Open,
    Close,
    Pipe,
}

/// The words of one action, one after another.
pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
    offset: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str, offset: usize) -> Words<'a> {
        Words { text, at: 0, offset }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    /// `.a.b` directly behind the last word.
    pub(super) fn fields_right_here(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while self.rest().starts_with('.') {
            self.at += 1;
            fields.push(self.name());
        }
        fields
    }

    /// `$a :=`, `$a, $b :=`, `$a =`
    pub(super) fn declaration(&mut self) -> Option<(Vec<String>, bool)> {
        let rest = self.rest();
        if !rest.trim_start().starts_with('$') {
            return None;
        }
        let end = rest.find('=')?;
        let (names, assigns) = match rest[..end].strip_suffix(':') {
            Some(names) => (names, false),
            None => (&rest[..end], true),
        };
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let well_formed = names.len() <= 2
            && names.iter().all(|name| {
                name.strip_prefix('$').is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            });
        if !well_formed {
            return None;
        }
        self.at += end + 1;
        Some((names, assigns))
    }

    pub(super) fn next(&mut self) -> Result<Option<(Word, usize, String)>> {
        self.skip_space();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let word = match first {
            '|' => {
                self.at += 1;
                Word::Pipe
            }
            '(' => {
                self.at += 1;
                Word::Open
            }
            ')' => {
                self.at += 1;
                Word::Close
            }
            '"' => Word::Text(self.quoted()?),
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                self.at += end + 2;
                Word::Text(rest[1..=end].to_owned())
            }
            '\'' => {
                let end = rest[1..].find('\'').ok_or("unterminated character constant")?;
                let inner = &rest[1..=end];
                self.at += end + 2;
                let c = unescape(inner)?
                    .chars()
                    .next()
                    .ok_or_else(|| format!("malformed character constant: '{inner}'"))?;
                Word::Number(Value::Int(i64::from(u32::from(c))))
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    Word::Dot(self.fields_right_here())
                } else {
                    self.at += 1;
                    Word::Dot(Vec::new())
                }
            }
            '$' => {
                self.at += 1;
                let name = format!("${}", self.name());
                Word::Variable(name, self.fields_right_here())
            }
            c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => {
                let end = rest
                    .char_indices()
                    .skip(1)
                    .find(|&(at, c)| {
                        let exponent_sign =
                            matches!(c, '+' | '-') && rest[..at].ends_with(['e', 'E']) && !rest.starts_with("0x");
                        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent_sign)
                    })
                    .map_or(rest.len(), |(at, _)| at);
                self.at += end;
                let text = rest[..end].replace('_', "");
                Word::Number(
                    number(&text)
                        .ok_or_else(|| format!("bad number syntax: {}", crate::arguments::go_quote(&rest[..end])))?,
                )
            }
            c if c.is_alphabetic() || c == '_' => {
                let name = self.name();
                if self.rest().starts_with('.') {
                    return Err(format!("unexpected . after term {}", crate::arguments::go_quote(&name)));
                }
                Word::Name(name)
            }
            '{' => return Err("unexpected \"{\" in command".into()),
            other => {
                return Err(format!("bad character U+{:04X} {}", u32::from(other), {
                    let mut shown = String::from("'");
                    shown.push(other);
                    shown.push('\'');
                    shown
                }));
            }
        };
        Ok(Some((word, self.offset + start, self.text[start..self.at].to_owned())))
    }

    fn quoted(&mut self) -> Result<String> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => return Err("unterminated quoted string".into()),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at += at + 1;
        unescape(&rest[1..at])
    }
}

fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let sign = if negative { -1 } else { 1 };
    let radix = |prefix: [&str; 2], radix| {
        prefix.iter().find_map(|prefix| digits.strip_prefix(prefix)).map(|digits| i64::from_str_radix(digits, radix))
    };
    let whole = radix(["0x", "0X"], 16).or_else(|| radix(["0o", "0O"], 8)).or_else(|| radix(["0b", "0B"], 2));
    match whole {
        Some(parsed) => parsed.ok().map(|value| Value::Int(sign * value)),
        None => digits
            .parse::<i64>()
            .map(|value| Value::Int(sign * value))
            .or_else(|_| digits.parse::<f64>().map(|value| Value::Float(sign as f64 * value)))
            .ok(),
    }
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escape) = chars.next() else { return Err("invalid syntax".into()) };
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            _ => 0,
        };
        if digits > 0 {
            let digits: String = chars.by_ref().take(digits).collect();
            out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or("invalid syntax")?);
            continue;
        }
        out.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '"' | '\'' => escape,
            _ => return Err("invalid syntax".into()),
        });
    }
    Ok(out)
}
