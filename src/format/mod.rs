//! How lists and objects are shown: tables, Go templates, JSON.

mod functions;
mod go;
pub mod human;
mod json;
mod printf;
pub mod table;
mod template;
mod types;
mod value;
mod yaml;

pub use go::{go_duration, go_time, rfc3339, zero_time};
pub use template::Template;
pub use types::unknown_field;
pub use value::{All, Asked, Field, Kind, Nil, Value};
pub use yaml::yaml;

use crate::error::Failure;

/// How a list is to be shown, from `--format`.
#[derive(Debug)]
pub enum Format {
    Json,
    /// Lined up, with a heading, in lines of so many characters where that can be.
    Table(Template, Option<usize>),
    /// Anything else, printed as it comes.
    Plain(Template),
}

/// The words above the columns of one command that are not simply the field's name in capitals.
pub type Headings = &'static [(&'static str, &'static str)];

impl Format {
    /// Reads `--format`; `name` is the command's, for messages.
    pub fn parse(name: &'static str, text: &str) -> Result<Format, Failure> {
        if is_json(text) {
            return Ok(Format::Json);
        }
        let is_table = text == "table" || text.starts_with("table ");
        let body = text.strip_prefix("table ").unwrap_or(text);
        let body = unescape(if is_table { body } else { text });
        let body = if is_table { spaces_to_tabs(&body) } else { body };
        let template = Template::for_each(name, body.trim_start_matches([' ', '\n'])).map_err(Failure::plain)?;
        Ok(if is_table { Format::Table(template, None) } else { Format::Plain(template) })
    }

    /// The same where each object is shown by itself, when it comes.
    pub fn parse_single(name: &'static str, text: &str) -> Result<Format, Failure> {
        if is_json(text) {
            return Ok(Format::Json);
        }
        Template::parse(name, &unescape(text)).map(Format::Plain).map_err(Failure::plain)
    }

    /// What it asks of each item.
    pub fn asked(&self) -> Asked<'_> {
        Asked(match self {
            Format::Json => None,
            Format::Table(template, _) | Format::Plain(template) => template.fields(),
        })
    }

    /// A table is to fit in lines of that many characters, if any: see [`crate::output::room`].
    pub fn within(self, room: Option<usize>) -> Format {
        match self {
            Format::Table(template, _) => Format::Table(template, room),
            other => other,
        }
    }

    /// Shows a list. `heading`: whether a table gets its line of headings; `width`: the indentation of JSON.
    pub fn list(&self, items: Vec<Value>, headings: Headings, heading: bool, width: usize) -> Result<String, Failure> {
        match self {
            Format::Json => Ok(Value::List(items).json_indented(width) + "\n"),
            Format::Table(template, room) => {
                let mut text = each(template, vec![Value::Heading { text: String::new(), words: headings }])?;
                let first = if heading { 0 } else { text.len() };
                text.push_str(&each(template, items)?);
                Ok(match room {
                    Some(room) => table::align_within(&text, heading, *room),
                    None => table::align(&text[first..]),
                })
            }
            Format::Plain(template) => each(template, items),
        }
    }
}

/// The template once for each item, or once for all when it has its own `range`.
fn each(template: &Template, items: Vec<Value>) -> Result<String, Failure> {
    if template.ranges_itself() {
        return lines(template, &Value::List(items));
    }
    let mut text = String::new();
    for item in &items {
        text.push_str(&lines(template, item)?);
    }
    Ok(text)
}

/// What the template gives, with a newline behind it unless it says one itself.
fn lines(template: &Template, value: &Value) -> Result<String, Failure> {
    let mut text = template.run(value).map_err(|why| unknown_field(template.command(), why, value))?;
    if !template.ends_line() {
        text.push('\n');
    }
    Ok(text)
}

/// Shows one object through a template.
pub fn object(name: &'static str, format: &str, value: &Value) -> Result<String, Failure> {
    if is_json(format) {
        return Ok(value.json_indented(2) + "\n");
    }
    lines(&Template::parse(name, &unescape(format)).map_err(Failure::plain)?, value)
}

/// `json`, `{{json}}`.
fn is_json(format: &str) -> bool {
    let format = format.trim();
    let inside = format.strip_prefix("{{").and_then(|format| format.strip_suffix("}}"));
    inside.unwrap_or(format).trim() == "json"
}

/// `\t`, `\n` and the like as shells leave them.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('{', Some('{')) => inside = true,
            ('}', Some('}')) => inside = false,
            ('\\', Some(&next)) if !inside => {
                let escaped = match next {
                    'n' => Some('\n'),
                    't' => Some('\t'),
                    'r' => Some('\r'),
                    'a' => Some('\u{7}'),
                    'b' => Some('\u{8}'),
                    'f' => Some('\u{c}'),
                    'v' => Some('\u{b}'),
                    _ => None,
                };
                if let Some(escaped) = escaped {
                    chars.next();
                    out.push(escaped);
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// In a table every space between fields ends a cell.
fn spaces_to_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0usize;
    let mut last = '\0';
    for c in text.chars() {
        match (last, c) {
            ('{', '{') => depth += 1,
            ('}', '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Two braces of one kind are one delimiter: the third begins another.
        last = if last == c && matches!(c, '{' | '}') { '\0' } else { c };
        out.push(if c == ' ' && depth == 0 { '\t' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    fn rows() -> Vec<Value> {
        vec![
            object! { "ID": "9fb6b92fc807", "Names": "c1", "RunningFor": "3 seconds ago" },
            object! { "ID": "6a8625a47f12", "Names": "c2", "RunningFor": "2 weeks ago" },
        ]
    }

    #[test]
    fn tables_have_headings_from_the_fields() {
        let format = Format::parse("ps", "table {{.Names}} {{.ID}}\\t{{.RunningFor}}").unwrap();
        let expected = "NAMES       CONTAINER ID  RUNNING FOR\nc1          9fb6b92fc807  3 seconds ago\nc2          6a8625a47f12  2 weeks ago\n";
        assert_eq!(format.list(rows(), &[("ID", "CONTAINER ID")], true, 2).unwrap(), expected);
    }

    #[test]
    fn templates_run_once_for_each_element_unless_they_have_a_range() {
        let each = Format::parse("ps", "{{.Names}}\\t{{.ID}}").unwrap();
        assert_eq!(each.list(rows(), &[], true, 2).unwrap(), "c1\t9fb6b92fc807\nc2\t6a8625a47f12\n");
        let whole = Format::parse("ps", "{{range .}}{{.Names}},{{end}}").unwrap();
        assert_eq!(whole.list(rows(), &[], true, 2).unwrap(), "c1,c2,\n");
    }

    #[test]
    fn json_is_a_list_even_when_empty() {
        assert_eq!(Format::parse("ps", "json").unwrap().list(Vec::new(), &[], true, 2).unwrap(), "[]\n");
    }

    #[test]
    fn lines_end_once_unless_the_template_ends_them() {
        let listed = |format: &str| Format::parse("ps", format).unwrap().list(rows(), &[], true, 2).unwrap();
        assert_eq!(listed("{{println .Names}}"), "c1\n\nc2\n\n");
        assert_eq!(listed("{{.Names}}\\n"), "c1\nc2\n");
        assert_eq!(listed("{{range .}}{{.Names}}{{end}}"), "c1c2\n");
        assert_eq!(listed("{{range 2}}x{{end}}"), "xx\nxx\n");
    }

    #[test]
    fn mistakes_are_where_podman_has_them() {
        let listed = |format: &str| match Format::parse("volume ls", format).unwrap().list(rows(), &[], true, 2) {
            Ok(text) => text,
            Err(failure) => failure.to_string(),
        };
        let expected =
            "template: ls:1:13: executing \"ls\" at <.Nope>: can't evaluate field Nope in type *types.VolumeListReport";
        assert_eq!(listed("{{.Nope}}"), expected);
        assert_eq!(listed("{{range .}}{{.Nope}}{{end}}"), expected);
        assert_eq!(
            listed("{{len .}}"),
            "template: ls:1:13: executing \"ls\" at <len .>: error calling len: len of type *types.VolumeListReport"
        );
        let unread = |format: &str| Format::parse("volume ls", format).unwrap_err().to_string();
        assert_eq!(unread("{{.Name"), "template: ls:1: bad character U+007B '{'");
    }

    #[test]
    fn spaces_inside_of_actions_stay() {
        assert_eq!(spaces_to_tabs("{{ .A }} {{.B}}"), "{{ .A }}\t{{.B}}");
    }
}
