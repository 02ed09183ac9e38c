//! Words of an instruction: quotes, escapes and variables, as a shell has them and as Docker's reference describes.

/// Where the value of a variable comes from.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One value: variables are replaced, quotes and escapes taken off, white space stays.
pub(crate) fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut reader = Reader { letters: text.chars().collect(), at: 0, escape, lookup, splits: false };
    let words = reader.words(None)?;
    Ok(words.concat())
}

/// Words at white space, each expanded. A variable with spaces in its value gives several words, as in a shell.
pub(crate) fn expand_words(text: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>, String> {
    Reader { letters: text.chars().collect(), at: 0, escape, lookup, splits: true }.words(None)
}

/// The words of a command line, with a shell's quotes and variables.
pub fn shell_words(text: &str, lookup: Lookup<'_>) -> Result<Vec<String>, String> {
    expand_words(text, '\\', lookup)
}

/// Only variables are replaced, as in a here-document: quotes stay.
pub(crate) fn expand_document(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut reader = Reader { letters: text.chars().collect(), at: 0, escape, lookup, splits: false };
    let mut out = String::new();
    while let Some(letter) = reader.next() {
        match letter {
            '$' => out.push_str(&reader.variable()?),
            letter if letter == escape => match reader.peek() {
                Some(next) if next == '$' || next == escape => {
                    out.push(next);
                    reader.at += 1;
                }
                _ => out.push(letter),
            },
            letter => out.push(letter),
        }
    }
    Ok(out)
}

/// Words at white space with their quotes still on: what is expanded later is only cut here.
pub(crate) fn cut(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match quote {
            None if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            Some(open) if letter == open => quote = None,
            _ => {}
        }
        word.push(letter);
        if letter == escape && quote != Some('\'') {
            word.extend(letters.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

struct Reader<'a> {
    letters: Vec<char>,
    at: usize,
    escape: char,
    lookup: Lookup<'a>,
    splits: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    /// To the end, or to the letter that ends it, which is taken.
    fn words(&mut self, end: Option<char>) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        loop {
            let Some(letter) = self.next() else {
                if let Some(end) = end {
                    return Err(format!("a {end} is missing"));
                }
                break;
            };
            match letter {
                letter if Some(letter) == end => break,
                '\'' => {
                    let place = word.get_or_insert_default();
                    loop {
                        match self.next() {
                            Some('\'') => break,
                            Some(letter) => place.push(letter),
                            None => return Err("a single quote is not closed".to_owned()),
                        }
                    }
                }
                '"' => {
                    let quoted = self.double_quoted()?;
                    word.get_or_insert_default().push_str(&quoted);
                }
                '$' => {
                    let value = self.variable()?;
                    if !self.splits {
                        word.get_or_insert_default().push_str(&value);
                        continue;
                    }
                    // The value's own white space ends words too.
                    for letter in value.chars() {
                        match letter.is_whitespace() {
                            true => words.extend(word.take()),
                            false => word.get_or_insert_default().push(letter),
                        }
                    }
                }
                letter if letter == self.escape => {
                    let next = self.next().unwrap_or(letter);
                    word.get_or_insert_default().push(next);
                }
                letter if self.splits && letter.is_whitespace() => words.extend(word.take()),
                letter => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        Ok(words)
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("a double quote is not closed".to_owned()),
                Some('"') => return Ok(text),
                Some('$') => text.push_str(&self.variable()?),
                Some(letter) if letter == self.escape => match self.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => text.push(next),
                    Some(next) => text.extend([letter, next]),
                    None => return Err("a double quote is not closed".to_owned()),
                },
                Some(letter) => text.push(letter),
            }
        }
    }

    /// What stands after a `$`.
    fn variable(&mut self) -> Result<String, String> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => (self.lookup)(&name).unwrap_or_default(),
            });
        }
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return Err("a variable's name is missing in ${}".to_owned());
        }
        let value = (self.lookup)(&name);
        let Some(operator) = self.next() else { return Err(format!("a }} is missing after ${{{name}")) };
        match operator {
            '}' => Ok(value.unwrap_or_default()),
            ':' => {
                let operator = self.next().ok_or_else(|| format!("a }} is missing after ${{{name}:"))?;
                self.alternative(&name, operator, value.filter(|value| !value.is_empty()))
            }
            '-' | '+' | '?' => self.alternative(&name, operator, value),
            '#' | '%' => {
                let greedy = self.peek() == Some(operator);
                self.at += usize::from(greedy);
                let pattern = self.rest()?;
                let value = value.unwrap_or_default();
                Ok(match operator {
                    '#' => without_prefix(&value, &pattern, greedy),
                    _ => without_suffix(&value, &pattern, greedy),
                })
            }
            '/' => {
                let all = self.peek() == Some('/');
                self.at += usize::from(all);
                let whole = self.rest()?;
                let (pattern, new) = whole.split_once('/').unwrap_or((&whole, ""));
                Ok(replace(&value.unwrap_or_default(), pattern, new, all))
            }
            other => Err(format!("${{{name}{other}...}} is not supported: use one of :- :+ :? - + ? # % /")),
        }
    }

    /// `value` is `None` where the variable counts as unset.
    fn alternative(&mut self, name: &str, operator: char, value: Option<String>) -> Result<String, String> {
        let word = self.rest()?;
        match operator {
            '-' => Ok(value.unwrap_or(word)),
            '+' => Ok(value.map(|_| word).unwrap_or_default()),
            '?' => value.ok_or_else(|| match word.is_empty() {
                true => format!("{name}: not allowed to be unset"),
                false => format!("{name}: {word}"),
            }),
            other => Err(format!("${{{name}:{other}...}} is not supported: use one of :- :+ :?")),
        }
    }

    /// The word up to the closing brace.
    fn rest(&mut self) -> Result<String, String> {
        let splits = std::mem::replace(&mut self.splits, false);
        let words = self.words(Some('}'));
        self.splits = splits;
        Ok(words?.concat())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.peek() {
            let fine = letter == '_' || letter.is_ascii_alphabetic() || (letter.is_ascii_digit() && !name.is_empty());
            if !fine {
                break;
            }
            name.push(letter);
            self.at += 1;
        }
        name
    }
}

/// `*` and `?` of a shell pattern.
fn matches(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|at| matches(&text[at..], rest)),
        Some(('?', rest)) => text.split_first().is_some_and(|(_, text)| matches(text, rest)),
        Some((letter, rest)) => text.split_first().is_some_and(|(first, text)| first == letter && matches(text, rest)),
    }
}

fn without_prefix(value: &str, pattern: &str, greedy: bool) -> String {
    let (value, pattern): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    let mut ends: Vec<usize> = (0..=value.len()).collect();
    if greedy {
        ends.reverse();
    }
    let end = ends.into_iter().find(|end| matches(&value[..*end], &pattern)).unwrap_or(0);
    value[end..].iter().collect()
}

fn without_suffix(value: &str, pattern: &str, greedy: bool) -> String {
    let (value, pattern): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    let mut starts: Vec<usize> = (0..=value.len()).collect();
    if !greedy {
        starts.reverse();
    }
    let start = starts.into_iter().find(|start| matches(&value[*start..], &pattern)).unwrap_or(value.len());
    value[..start].iter().collect()
}

/// The longest match at each place, the first place only unless `all`.
fn replace(value: &str, pattern: &str, new: &str, all: bool) -> String {
    let (value, pattern): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    let mut out = String::new();
    let mut at = 0;
    while at < value.len() {
        let end = (at + 1..=value.len()).rev().find(|end| matches(&value[at..*end], &pattern));
        match end {
            Some(end) => {
                out.push_str(new);
                at = end;
                if !all {
                    break;
                }
            }
            None => {
                out.push(value[at]);
                at += 1;
            }
        }
    }
    out.extend(&value[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "A" => "one",
            "EMPTY" => "",
            "TWO" => "a b",
            "PATH" => "/usr/local/bin:/usr/bin",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expected) in [
            ("$A", "one"),
            ("${A}x$A.y", "onexone.y"),
            ("\\$A '$A' \"$A\"", "$A $A one"),
            ("$", "$"),
            ("a$", "a$"),
            ("$NOPE|", "|"),
            ("${NOPE:-x y}", "x y"),
            ("${NOPE:-$A}", "one"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:+set}${NOPE:+set}", "set"),
            ("${EMPTY+set}", "set"),
            ("${A:?why}", "one"),
            ("${NOPE:-\"a}b\"}", "a}b"),
            ("${PATH#*/}", "usr/local/bin:/usr/bin"),
            ("${PATH##*/}", "bin"),
            ("${PATH%/*}", "/usr/local/bin:/usr"),
            ("${PATH%%/bin*}", "/usr/local"),
            ("${PATH/usr/x}", "/x/local/bin:/usr/bin"),
            ("${PATH//usr/x}", "/x/local/bin:/x/bin"),
            ("\"a\\\"b\"", "a\"b"),
            ("\"a\\nb\"", "a\\nb"),
            ("${TWO}", "a b"),
        ] {
            assert_eq!(expand(text, '\\', &lookup).as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("${A", "}"),
            ("${}", "name"),
            ("\"a", "quote"),
            ("'a", "quote"),
            ("${NOPE:?set it}", "NOPE: set it"),
            ("${A@Q}", "not supported"),
        ] {
            let error = expand(text, '\\', &lookup).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(expand("a`$A", '`', &lookup).as_deref(), Ok("a$A"));
    }

    #[test]
    fn words_are_split_after_expansion() {
        let words = |text: &str| expand_words(text, '\\', &lookup).unwrap();
        assert_eq!(words(" a  'b c' $TWO \"$TWO\" x\\ y "), ["a", "b c", "a", "b", "a b", "x y"]);
        assert_eq!(words("''"), [""]);
        assert_eq!(cut("a=\"b c\" d\\ e 'f g'", '\\'), ["a=\"b c\"", "d\\ e", "'f g'"]);
    }

    #[test]
    fn documents_keep_their_quotes() {
        assert_eq!(expand_document("'$A' \"x\" \\$A \\n", '\\', &lookup).as_deref(), Ok("'one' \"x\" $A \\n"));
    }
}
