//! A unit file: sections of keys, each value with the file and the line it came from (systemd.syntax(7)).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::words;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    pub file: Arc<str>,
    /// From 1; 0 for what nobody wrote.
    pub line: usize,
}

impl fmt::Display for At {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    /// One line, without space at its ends; lines that were continued are joined by one space.
    pub value: String,
    pub at: At,
}

impl Entry {
    /// The value's words, unquoted.
    pub fn words(&self) -> Result<Vec<String>> {
        words::split(&self.value)
            .map_err(|why| Error::Value { why: format!("{}: {why}", self.key), at: self.at.clone() })
    }
}

#[derive(Clone, Debug)]
enum Line {
    Entry(Entry),
    /// With its `#` or `;`, or empty.
    Comment(String),
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    /// What stands above its heading.
    comments: Vec<String>,
    lines: Vec<Line>,
}

impl Section {
    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Comment(_) => None,
        })
    }
}

/// A file and its drop-ins, in order.
#[derive(Clone, Debug)]
pub struct UnitFile {
    path: Arc<str>,
    sections: Vec<Section>,
}

impl UnitFile {
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let mut unit = Self { path: path.into(), sections: Vec::new() };
        unit.read(path.into(), text)?;
        Ok(unit)
    }

    /// The values of a drop-in come after those that are there.
    pub fn add_drop_in(&mut self, path: &str, text: &str) -> Result<()> {
        self.read(path.into(), text)
    }

    fn read(&mut self, file: Arc<str>, text: &str) -> Result<()> {
        let mut section = None;
        let mut comments = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let at = At { file: file.clone(), line: number + 1 };
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                comments.push(line.to_owned());
                continue;
            }
            if let Some(heading) = line.strip_prefix('[') {
                let Some(name) = heading.strip_suffix(']') else {
                    return Err(Error::Syntax { at, text: line.to_owned() });
                };
                if name.is_empty() || name.contains(['[', ']']) || name.chars().any(char::is_control) {
                    return Err(Error::SectionName { at, name: name.to_owned() });
                }
                let here = self.section(name);
                self.sections[here].comments.append(&mut comments);
                section = Some(here);
                continue;
            }
            let (key, first) = match line.split_once('=') {
                Some((key, first)) if !key.trim().is_empty() => (key.trim_end(), first.trim_start()),
                _ => return Err(Error::Syntax { at, text: line.to_owned() }),
            };
            let Some(section) = section else { return Err(Error::NoSection { at }) };
            let mut value = first.to_owned();
            while let Some(part) = value.strip_suffix('\\') {
                value = part.trim_end().to_owned();
                // Comments between continued lines are no part of the value; an empty line ends it.
                let Some((_, next)) = lines.by_ref().find(|(_, next)| !next.trim_start().starts_with(['#', ';']))
                else {
                    break;
                };
                let next = next.trim();
                if next.is_empty() {
                    break;
                }
                value.push(' ');
                value.push_str(next);
            }
            let lines = &mut self.sections[section].lines;
            lines.extend(comments.drain(..).map(Line::Comment));
            lines.push(Line::Entry(Entry { key: key.to_owned(), value, at }));
        }
        Ok(())
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The index of a section, which is made at the end if there is none.
    fn section(&mut self, name: &str) -> usize {
        self.sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), comments: Vec::new(), lines: Vec::new() });
            self.sections.len() - 1
        })
    }

    pub fn entries(&self, section: &str) -> impl DoubleEndedIterator<Item = &Entry> {
        self.sections.iter().filter(move |known| known.name == section).flat_map(Section::entries)
    }

    /// What counts where a key has one value: the last one.
    pub fn last(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries(section).rfind(|entry| entry.key == key)
    }

    /// The same, where an empty value is none.
    pub fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.last(section, key).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
    }

    /// What counts where a key has many values: all since the last empty one.
    pub fn all(&self, section: &str, key: &str) -> Vec<&Entry> {
        let mut found = Vec::new();
        for entry in self.entries(section).filter(|entry| entry.key == key) {
            match entry.value.is_empty() {
                true => found.clear(),
                false => found.push(entry),
            }
        }
        found
    }

    pub fn words(&self, section: &str, key: &str) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for entry in self.all(section, key) {
            words.extend(entry.words()?);
        }
        Ok(words)
    }

    /// systemd's booleans; an empty value is false.
    pub fn switch(&self, section: &str, key: &str) -> Result<Option<bool>> {
        let Some(entry) = self.last(section, key) else { return Ok(None) };
        match entry.value.to_ascii_lowercase().as_str() {
            "1" | "yes" | "y" | "true" | "t" | "on" => Ok(Some(true)),
            "0" | "no" | "n" | "false" | "f" | "off" | "" => Ok(Some(false)),
            other => {
                Err(Error::Value { why: format!("{key}: '{other}' is neither true nor false"), at: entry.at.clone() })
            }
        }
    }

    fn made(&self, key: &str, value: &str) -> Line {
        let at = At { file: self.path.clone(), line: 0 };
        Line::Entry(Entry { key: key.to_owned(), value: value.to_owned(), at })
    }

    /// One more value, after those that are there.
    pub fn add(&mut self, section: &str, key: &str, value: &str) {
        let line = self.made(key, value);
        let section = self.section(section);
        self.sections[section].lines.push(line);
    }

    /// One more value, before all of the section.
    pub fn add_first(&mut self, section: &str, key: &str, value: &str) {
        let line = self.made(key, value);
        let section = self.section(section);
        self.sections[section].lines.insert(0, line);
    }

    /// The one value of a key, in the place of the last one.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        let there = self.section(section);
        let known = self.sections[there].lines.iter_mut().rev().find_map(|line| match line {
            Line::Entry(entry) if entry.key == key => Some(entry),
            _ => None,
        });
        match known {
            Some(entry) => value.clone_into(&mut entry.value),
            None => self.add(section, key, value),
        }
    }

    pub fn rename_section(&mut self, name: &str, to: &str) {
        for section in self.sections.iter_mut().filter(|section| section.name == name) {
            to.clone_into(&mut section.name);
        }
    }

    /// Values of `keys` are written anew, by `change`, where it has something else to say.
    pub fn change(
        &mut self,
        section: &str,
        keys: &[&str],
        mut change: impl FnMut(&Entry) -> Result<Option<String>>,
    ) -> Result<()> {
        for section in self.sections.iter_mut().filter(|known| known.name == section) {
            for line in &mut section.lines {
                if let Line::Entry(entry) = line
                    && keys.contains(&entry.key.as_str())
                    && let Some(value) = change(entry)?
                {
                    entry.value = value;
                }
            }
        }
        Ok(())
    }
}

/// The file as systemd reads it.
impl fmt::Display for UnitFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, section) in self.sections.iter().enumerate() {
            if index > 0 && section.comments.first().is_none_or(|comment| !comment.is_empty()) {
                out.write_char('\n')?;
            }
            for comment in &section.comments {
                writeln!(out, "{comment}")?;
            }
            writeln!(out, "[{}]", section.name)?;
            for line in &section.lines {
                match line {
                    Line::Comment(comment) => writeln!(out, "{comment}")?,
                    Line::Entry(entry) => writeln!(out, "{}={}", entry.key, entry.value)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> UnitFile {
        UnitFile::parse("/q/a.container", text).expect("a unit file")
    }

    #[test]
    fn values_have_their_file_and_line() {
        let mut unit = read("# c\n[Container]\nImage=a\n\n[Service]\n  Restart = always  \n");
        unit.add_drop_in("/q/a.container.d/1.conf", "[Container]\nImage=b\n").expect("a drop-in");
        let image = unit.last("Container", "Image").expect("an image");
        assert_eq!((image.value.as_str(), image.at.to_string()), ("b", "/q/a.container.d/1.conf:2".to_owned()));
        assert_eq!(unit.last("Service", "Restart").expect("a policy").at.to_string(), "/q/a.container:6");
    }

    #[test]
    fn lines_go_on_over_comments_but_not_over_empty_ones() {
        let unit = read("[Container]\nExec=a \\\n  b \\\n# no\n; no\n c\nImage=x \\\n\nLabel=y\nUser=last\\");
        assert_eq!(unit.text("Container", "Exec"), Some("a b c"));
        assert_eq!(unit.text("Container", "Image"), Some("x"));
        assert_eq!(unit.text("Container", "Label"), Some("y"));
        assert_eq!(unit.text("Container", "User"), Some("last"));
    }

    #[test]
    fn an_empty_value_forgets_those_before_it() {
        let unit = read("[Container]\nDNS=1\nDNS=\nDNS=2\nDNS=3\nIP=x\nIP=\n[Container]\nDNS=4\n");
        let values: Vec<_> = unit.all("Container", "DNS").iter().map(|entry| entry.value.clone()).collect();
        assert_eq!(values, ["2", "3", "4"]);
        assert_eq!(unit.text("Container", "IP"), None);
    }

    #[test]
    fn what_is_no_unit_file_is_refused_with_its_line() {
        for (text, said) in [
            (
                "[A]\nImage docker\n",
                "file contains line 2: “Image docker” which is not a key-value pair, group, or comment (/f:2)",
            ),
            ("Image=x\n", "key file does not start with a group (/f:1)"),
            ("[A\n", "file contains line 1: “[A” which is not a key-value pair, group, or comment (/f:1)"),
            ("[]\n", "invalid group name:  (/f:1)"),
            ("[A] x\n", "file contains line 1: “[A] x” which is not a key-value pair, group, or comment (/f:1)"),
            ("[A]\n=x\n", "file contains line 2: “=x” which is not a key-value pair, group, or comment (/f:2)"),
        ] {
            assert_eq!(UnitFile::parse("/f", text).expect_err(text).to_string(), said);
        }
    }

    #[test]
    fn comments_and_order_are_kept() {
        let mut unit =
            read("[Container]\n# c1\nImage=x\n\n\n# c2\n[Unit]\n# c3\nDescription=y\n; c4\n[Container]\nLabel=a=b\n");
        unit.rename_section("Container", "X-Container");
        unit.add_first("Unit", "After", "n");
        unit.add("Service", "Type", "exec");
        unit.set("Service", "Type", "notify");
        assert_eq!(
            unit.to_string(),
            "; c4\n[X-Container]\n# c1\nImage=x\nLabel=a=b\n\n\n# c2\n[Unit]\nAfter=n\n# c3\nDescription=y\n\n[Service]\nType=notify\n"
        );
    }
}
