//! The text of a Containerfile becomes logical lines: comments and continuations are gone, here-documents hang on the line
//! that asks for them.

use crate::error::Problem;

/// One instruction as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it begins, from 1.
    pub(crate) number: usize,
    /// Continuations joined, no white space around.
    pub(crate) text: String,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// A here-document of RUN, COPY or ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heredoc {
    pub(crate) name: String,
    /// The name was not quoted: variables are replaced.
    pub(crate) expands: bool,
    /// `<<-`: tabs before each line are taken off.
    pub(crate) strips_tabs: bool,
    pub(crate) content: String,
}

/// All lines, and the character that escapes and continues: a backslash, or what the directive `escape` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) escape: char,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn split(text: &str) -> Result<Lines, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let physical: Vec<&str> = text.lines().collect();
    let escape = escape_directive(&physical)?;
    let mut lines = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let number = at + 1;
        let mut joined = String::new();
        let mut continues = false;
        while at < physical.len() {
            let line = physical[at];
            at += 1;
            let bare = line.trim();
            // Remarks and, for old files, empty lines may stand between continued lines.
            if bare.starts_with('#') || bare.is_empty() {
                if continues {
                    continue;
                }
                break;
            }
            let line = if continues { line } else { line.trim_start() };
            match continued(line, escape) {
                Some(part) => {
                    joined.push_str(part);
                    continues = true;
                }
                None => {
                    joined.push_str(line.trim_end());
                    break;
                }
            }
        }
        let text = joined.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let mut heredocs = Vec::new();
        for opener in openers(&text) {
            heredocs.push(opener.read(&physical, &mut at).ok_or_else(|| {
                Problem::at(number, format!("the here-document {0} has no end: a line with {0} alone", opener.name))
            })?);
        }
        lines.push(Line { number, text, heredocs });
    }
    Ok(Lines { escape, lines })
}

/// The line without its last character where that continues it. One that is escaped itself does not.
fn continued(line: &str, escape: char) -> Option<&str> {
    let rest = line.trim_end().strip_suffix(escape)?;
    (!rest.ends_with(escape)).then_some(rest)
}

/// `# escape=X` among the first lines; the other directives say nothing that matters here.
fn escape_directive(physical: &[&str]) -> Result<char, Problem> {
    for (at, line) in physical.iter().enumerate() {
        let Some((key, value)) = line.trim().strip_prefix('#').and_then(|line| line.split_once('=')) else { break };
        match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "\\") => return Ok('\\'),
            ("escape", "`") => return Ok('`'),
            ("escape", other) => {
                return Err(Problem::at(at + 1, format!("the escape character is \\ or `, not {other}")));
            }
            ("syntax" | "check", _) => {}
            _ => break,
        }
    }
    Ok('\\')
}

/// `<<NAME` as it stands in a line.
struct Opener {
    name: String,
    expands: bool,
    strips_tabs: bool,
}

impl Opener {
    /// Reads to the line that ends it; `None` where there is none.
    fn read(&self, physical: &[&str], at: &mut usize) -> Option<Heredoc> {
        let mut content = String::new();
        loop {
            let line = *physical.get(*at)?;
            *at += 1;
            let line = if self.strips_tabs { line.trim_start_matches('\t') } else { line };
            if line == self.name {
                let (name, expands, strips_tabs) = (self.name.clone(), self.expands, self.strips_tabs);
                return Some(Heredoc { name, expands, strips_tabs, content });
            }
            content.push_str(line);
            content.push('\n');
        }
    }
}

/// The here-documents that a line asks for: `<<` at the beginning of a word, outside of quotes.
fn openers(text: &str) -> Vec<Opener> {
    let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
    let first = words.next();
    let instruction = if first.as_deref() == Some("ONBUILD") { words.next() } else { first };
    if !matches!(instruction.as_deref(), Some("RUN" | "COPY" | "ADD")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut quote = None;
    let mut begins = true;
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if letter == '\\' => at += 1,
            None if begins => {
                // A descriptor may stand before it, as in `3<<EOF`.
                let from = (at..letters.len()).find(|at| !letters[*at].is_ascii_digit()).unwrap_or(at);
                if let Some((opener, end)) = opener(&letters, from) {
                    found.push(opener);
                    at = end;
                    begins = false;
                    continue;
                }
            }
            None => {}
        }
        begins = letter.is_whitespace() && quote.is_none();
        at += 1;
    }
    found
}

fn opener(letters: &[char], from: usize) -> Option<(Opener, usize)> {
    if letters.get(from..from + 2)? != ['<', '<'] {
        return None;
    }
    let mut at = from + 2;
    let strips_tabs = letters.get(at) == Some(&'-');
    at += usize::from(strips_tabs);
    let quote = letters.get(at).copied().filter(|letter| matches!(letter, '\'' | '"'));
    at += usize::from(quote.is_some());
    let end = (at..letters.len())
        .find(|at| !(letters[*at].is_alphanumeric() || matches!(letters[*at], '_' | '.')))
        .unwrap_or(letters.len());
    let name: String = letters[at..end].iter().collect();
    if !name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') {
        return None;
    }
    let end = match quote {
        Some(quote) if letters.get(end) == Some(&quote) => end + 1,
        Some(_) => return None,
        None => end,
    };
    Some((Opener { name, expands: quote.is_none(), strips_tabs }, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        split(text).unwrap().lines.into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn lines_are_joined_and_remarks_left_out() {
        for (text, expected) in [
            ("", vec![]),
            ("# a remark\n\n  FROM x  \n", vec![(3, "FROM x")]),
            ("RUN a && \\\n  # between\n\n  b\nUSER c", vec![(1, "RUN a &&   b"), (5, "USER c")]),
            ("RUN a \\  \r\nb\r\n", vec![(1, "RUN a b")]),
            ("RUN a\\\\\nUSER b", vec![(1, "RUN a\\\\"), (2, "USER b")]),
            ("RUN # no remark", vec![(1, "RUN # no remark")]),
            ("# escape=`\nRUN a `\n b\\\nUSER x", vec![(2, "RUN a  b\\"), (4, "USER x")]),
            ("\u{feff}FROM x", vec![(1, "FROM x")]),
            ("RUN a \\", vec![(1, "RUN a")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(at, text)| (at, text.to_owned())).collect();
            assert_eq!(texts(text), expected, "{text:?}");
        }
        assert!(split("# escape=x\nFROM y").is_err());
    }

    #[test]
    fn here_documents_are_taken_off() {
        let lines =
            split("RUN <<A cat <<-'B' # \"<<C\"\n1\nA\n\t2\n\tB\nENV <<X\nCOPY <<f.txt /x\n\nf.txt\n").unwrap().lines;
        let docs: Vec<_> =
            lines[0].heredocs.iter().map(|doc| (doc.name.as_str(), doc.expands, doc.content.as_str())).collect();
        assert_eq!(docs, [("A", true, "1\n"), ("B", false, "2\n")]);
        assert_eq!((lines[1].text.as_str(), lines[1].heredocs.len()), ("ENV <<X", 0));
        assert_eq!(lines[2].heredocs[0].content, "\n");
        assert_eq!(lines[2].number, 7);
        let error = split("FROM x\nRUN <<EOF\necho\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(split("RUN a <<<b").unwrap().lines[0].heredocs.is_empty());
    }
}
