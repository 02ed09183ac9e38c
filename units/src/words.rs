//! Words of a value, and back: systemd's quoting (systemd.syntax(7), "Quoting").

use std::fmt::Write as _;

/// `a "b c" d\x20e` has three words. A quotation mark that is never closed lasts to the end.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => {
                let word = word.get_or_insert_default();
                match unescaped(&mut letters)? {
                    Some(letter) => word.push(letter),
                    None => break,
                }
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (letter, None) if letter.is_ascii_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What follows a backslash; nothing where the text ends there.
fn unescaped(letters: &mut std::str::Chars<'_>) -> Result<Option<char>, String> {
    let Some(letter) = letters.next() else { return Ok(None) };
    let (digits, radix, first) = match letter {
        'a' => return Ok(Some('\x07')),
        'b' => return Ok(Some('\x08')),
        'f' => return Ok(Some('\x0c')),
        'n' => return Ok(Some('\n')),
        'r' => return Ok(Some('\r')),
        't' => return Ok(Some('\t')),
        'v' => return Ok(Some('\x0b')),
        's' => return Ok(Some(' ')),
        '\\' | '"' | '\'' => return Ok(Some(letter)),
        'x' => (2, 16, None),
        'u' => (4, 16, None),
        'U' => (8, 16, None),
        '0'..='7' => (2, 8, Some(letter)),
        _ => return Err(format!("unsupported escape char '\\{letter}'")),
    };
    let number: String = first.into_iter().chain(letters.by_ref().take(digits)).collect();
    u32::from_str_radix(&number, radix)
        .ok()
        .filter(|&code| code != 0 && number.len() == digits + usize::from(first.is_some()))
        .and_then(char::from_u32)
        .map(Some)
        .ok_or_else(|| {
            format!("'\\{}{number}' is no character", if first.is_none() { letter.to_string() } else { String::new() })
        })
}

/// One word of a command line of systemd's: quoted where it would not be one as it is. `%` and `$` stay what they are to
/// systemd: specifiers and variables.
pub fn quoted(word: &str) -> String {
    // A semicolon by itself separates command lines.
    let plain = !word.is_empty()
        && word != ";"
        && !word.contains(|letter: char| {
            letter.is_ascii_whitespace() || letter.is_control() || matches!(letter, '"' | '\'' | '\\')
        });
    if plain {
        return word.to_owned();
    }
    let mut text = String::from('"');
    for letter in word.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' ' => text.push_str("\\x20"),
            letter if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// A whole command line.
pub(crate) fn joined(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_systemds() {
        for (text, words) in [
            ("a  b ", &["a", "b"][..]),
            ("\"A=b c\" D=e", &["A=b c", "D=e"]),
            ("A=\"x y\"z 'q \"r'", &["A=x yz", "q \"r"]),
            ("a\\tb\\x20c\\101 \\u00e4\\s", &["a\tb cA", "ä "]),
            ("\"\" ''", &["", ""]),
            ("\"a b", &["a b"]),
            ("a\\", &["a"]),
            ("$HOME %h ünï;x", &["$HOME", "%h", "ünï;x"]),
        ] {
            assert_eq!(split(text).expect(text), words, "{text}");
        }
        assert_eq!(split("a\\qb").expect_err("an escape"), "unsupported escape char '\\q'");
        assert_eq!(split("\\x1").expect_err("an escape"), "'\\x1' is no character");
        assert_eq!(split("\\x00").expect_err("an escape"), "'\\x00' is no character");
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        for word in ["plain", "", ";", "a b", "tab\tnew\nline", "\"q\" 'r' \\", "ü", "\u{1}x", "$FOO %h", "--a=b c"] {
            assert_eq!(split(&quoted(word)).expect(word), [word], "{}", quoted(word));
        }
        assert_eq!(quoted("sh -c \"x\""), "\"sh\\x20-c\\x20\\\"x\\\"\"");
        assert_eq!(quoted("a;b"), "a;b");
    }
}
