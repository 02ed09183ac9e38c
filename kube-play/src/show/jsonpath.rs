//! kubectl's JSONPath templates, `{range .items[*]}{.metadata.name}{"\n"}{end}`, and its columns made of paths.

use std::cmp::Ordering;

use serde_json::Value;

/// Text with `{expressions}` in it. What is not there is left out.
#[derive(Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Path),
    Range(Path, Vec<Part>),
}

/// Leads from the object at hand (`.a`, `@.a`), or from the outermost one (`$.a`), to values in it.
#[derive(Debug, PartialEq)]
pub struct Path {
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq)]
enum Step {
    Fields(Vec<String>),
    /// Counted from the end where negative.
    Items(Vec<i64>),
    /// From the first to before the second.
    Slice(Option<i64>, Option<i64>),
    Every,
    /// At any depth.
    Deep(String),
    Where(Path, Option<(Comparison, Operand)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

#[derive(Debug, PartialEq)]
enum Operand {
    Value(Value),
    Path(Path),
}

impl Template {
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut reader = Reader { rest: text };
        let parts = reader.parts(false)?;
        Ok(Template(parts))
    }

    pub fn text(&self, root: &Value) -> String {
        let mut text = String::new();
        write(&self.0, root, root, &mut text);
        text
    }
}

fn write(parts: &[Part], root: &Value, here: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(words) => text.push_str(words),
            Part::Path(path) => {
                let found: Vec<String> = path.find(root, here).into_iter().map(shown).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(path, parts) => path.find(root, here).into_iter().for_each(|one| write(parts, root, one, text)),
        }
    }
}

/// Texts as they are, all else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

impl Path {
    /// As columns and `wait` have it: the braces and the first dot may be left out.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn relaxed(text: &str) -> Result<Path, String> {
        let inner = match text.strip_prefix('{') {
            Some(opened) => opened.strip_suffix('}').ok_or("a brace that is opened has to be closed")?,
            None => text,
        };
        let dotted = if inner.starts_with(['.', '[', '$', '@']) { inner.to_owned() } else { format!(".{inner}") };
        let mut reader = Reader { rest: &dotted };
        let path = reader.path()?;
        reader.ends_with("")?;
        Ok(path)
    }

    /// What is there; nothing where something on the way is not.
    pub fn find<'v>(&self, root: &'v Value, here: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![if self.from_root { root } else { here }];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.take(root, value)).collect();
        }
        found
    }
}

impl Step {
    fn take<'v>(&self, root: &'v Value, value: &'v Value) -> Vec<&'v Value> {
        let place = |list: &Vec<Value>, index: i64| {
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            usize::try_from(if index < 0 { index + length } else { index }).unwrap_or(usize::MAX)
        };
        match (self, value) {
            (Step::Fields(names), value) => names.iter().filter_map(|name| value.get(name)).collect(),
            (Step::Items(indexes), Value::Array(list)) => {
                indexes.iter().filter_map(|index| list.get(place(list, *index))).collect()
            }
            (Step::Slice(from, to), Value::Array(list)) => {
                let from = from.map_or(0, |from| place(list, from));
                let to = to.map_or(list.len(), |to| place(list, to)).min(list.len());
                list.get(from..to).unwrap_or_default().iter().collect()
            }
            (Step::Every, value) => children(value),
            (Step::Deep(name), value) => {
                let mut found: Vec<&Value> = value.get(name).into_iter().collect();
                found.extend(children(value).into_iter().flat_map(|child| self.take(root, child)));
                found
            }
            (Step::Where(path, test), Value::Array(list)) => list
                .iter()
                .filter(|item| {
                    let left = path.find(root, item);
                    match test {
                        None => !left.is_empty(),
                        Some((comparison, Operand::Value(right))) => {
                            left.iter().any(|left| comparison.holds(left, right))
                        }
                        Some((comparison, Operand::Path(right))) => {
                            let right = right.find(root, item);
                            left.iter().any(|left| right.iter().any(|right| comparison.holds(left, right)))
                        }
                    }
                })
                .collect(),
            (Step::Items(_) | Step::Slice(..) | Step::Where(..), _) => Vec::new(),
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

impl Comparison {
    const WORDS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::Different),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::MoreOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::More),
    ];

    /// Numbers with numbers, texts with texts; values of two kinds are different and nothing else.
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (left, right) => (left == right).then_some(Ordering::Equal),
        };
        match self {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::Different => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
            Comparison::More => order == Some(Ordering::Greater),
            Comparison::MoreOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn parts(&mut self, in_range: bool) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        while !self.rest.is_empty() {
            let text = self.until(|char| char == '{');
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            if !self.skip("{") {
                continue;
            }
            self.blanks();
            if self.skip("range ") {
                self.blanks();
                let path = self.path()?;
                self.closes()?;
                parts.push(Part::Range(path, self.parts(true)?));
            } else if self.skip("end") {
                self.closes()?;
                return if in_range { Ok(parts) } else { Err("{end} without {range}".to_owned()) };
            } else if self.rest.starts_with(['"', '\'']) {
                parts.push(Part::Text(self.quoted()?));
                self.closes()?;
            } else {
                parts.push(Part::Path(self.path()?));
                self.closes()?;
            }
        }
        if in_range { Err("{range} without {end}".to_owned()) } else { Ok(parts) }
    }

    fn path(&mut self) -> Result<Path, String> {
        let from_root = self.skip("$");
        if !from_root {
            self.skip("@");
        }
        let mut steps = Vec::new();
        loop {
            if self.skip("..") {
                steps.push(Step::Deep(self.word()?));
            } else if self.skip("[") {
                steps.push(self.brackets()?);
            } else if self.skip(".") {
                match self.rest.chars().next() {
                    Some('*') => {
                        self.skip("*");
                        steps.push(Step::Every);
                    }
                    Some('[') | Some('}') | None => {}
                    Some(_) => steps.push(Step::Fields(vec![self.word()?])),
                }
            } else if steps.is_empty() && !from_root && self.rest.starts_with(|char: char| char.is_alphabetic()) {
                steps.push(Step::Fields(vec![self.word()?]));
            } else {
                return Ok(Path { from_root, steps });
            }
        }
    }

    /// A name, in which a backslash takes the next character as it is: `.metadata.labels.app\.kubernetes\.io/name`.
    fn word(&mut self) -> Result<String, String> {
        let mut word = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => word.extend(chars.next().map(|(_, char)| char)),
                '.' | '[' | ']' | '}' | ')' | '=' | '!' | '<' | '>' | ' ' => {
                    end = at;
                    break;
                }
                char => word.push(char),
            }
        }
        if word.is_empty() {
            return Err(format!("a name is missing before {:?}", self.rest));
        }
        self.rest = &self.rest[end..];
        Ok(word)
    }

    fn brackets(&mut self) -> Result<Step, String> {
        if self.skip("?(") {
            self.blanks();
            let left = self.path()?;
            self.blanks();
            let comparison = Comparison::WORDS.into_iter().find(|(word, _)| self.skip(word)).map(|(_, it)| it);
            let test = match comparison {
                Some(comparison) => Some((comparison, self.operand()?)),
                None => None,
            };
            self.blanks();
            self.ends_with(")]")?;
            return Ok(Step::Where(left, test));
        }
        if self.rest.starts_with(['"', '\'']) {
            let mut names = vec![self.quoted()?];
            while self.skip(",") {
                self.blanks();
                names.push(self.quoted()?);
            }
            self.ends_with("]")?;
            return Ok(Step::Fields(names));
        }
        let inner = self.until(|char| char == ']').trim();
        self.ends_with("]")?;
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text:?} is no index"));
        let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
        match inner.split_once(':') {
            _ if inner == "*" => Ok(Step::Every),
            Some((from, to)) => Ok(Step::Slice(bound(from)?, bound(to)?)),
            None => Ok(Step::Items(inner.split(',').map(number).collect::<Result<_, _>>()?)),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.blanks();
        if self.rest.starts_with(['"', '\'']) {
            return Ok(Operand::Value(self.quoted()?.into()));
        }
        if self.rest.starts_with(['@', '$', '.']) {
            return Ok(Operand::Path(self.path()?));
        }
        let word = self.until(|char| char == ')').trim();
        serde_json::from_str(word).map(Operand::Value).map_err(|_| format!("{word:?} is no value: texts are quoted"))
    }

    /// Between quotes of one kind; `\n`, `\t` and the like mean what they mean elsewhere.
    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, char)| char).filter(|char| matches!(char, '"' | '\''));
        let mut text = String::new();
        while let Some((at, char)) = chars.next() {
            match char {
                char if Some(char) == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, char)| char) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    other => text.extend(other),
                },
                char => text.push(char),
            }
        }
        Err(format!("unterminated quoted string {:?}", self.rest))
    }

    fn until(&mut self, stop: impl FnMut(char) -> bool) -> &'t str {
        let (text, rest) = self.rest.split_at(self.rest.find(stop).unwrap_or(self.rest.len()));
        self.rest = rest;
        text
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn closes(&mut self) -> Result<(), String> {
        self.blanks();
        self.ends_with("}")
    }

    /// The next thing is this; with nothing it is the end.
    fn ends_with(&mut self, word: &str) -> Result<(), String> {
        let fits = if word.is_empty() { self.rest.is_empty() } else { self.skip(word) };
        match fits {
            true => Ok(()),
            false if self.rest.is_empty() => Err(format!("{word:?} is missing at the end")),
            false => Err(format!("unexpected {:?}", self.rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled_in_as_kubectls() {
        let list = json!({ "kind": "List", "items": [
            { "name": "a", "n": 1, "labels": { "x.io/y": "z" }, "on": true, "c": [{ "i": 1 }, { "i": 2 }] },
            { "name": "b", "n": 2, "c": [{ "i": 3 }] },
        ] });
        for (template, expected) in [
            ("{.items[*].name}", "a b"),
            ("{.items[0].name}", "a"),
            ("{.items[-1].name}", "b"),
            ("{.items[0,1].n}", "1 2"),
            ("{.items[0:1].name}-{.items[1:].name}", "a-b"),
            ("{range .items[*]}{.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\n"),
            ("{range .items[*]}{.name}{range .c[*]} {.i}{end};{end}", "a 1 2;b 3;"),
            ("{range .items[*]}{$.kind}{'\\t'}{end}", "List\tList\t"),
            ("{.items[0].labels.x\\.io/y} {.items[0].labels['x.io/y']}", "z z"),
            ("{.items[?(@.name==\"b\")].n}", "2"),
            ("{.items[?(@.n >= 1)].name}", "a b"),
            ("{.items[?(@.n!=1)].name}", "b"),
            ("{.items[?(@.on)].name} {.items[?(@.on==true)].name}", "a a"),
            ("{..i}", "1 2 3"),
            ("{.items[1]}", "{\"c\":[{\"i\":3}],\"n\":2,\"name\":\"b\"}"),
            ("{.items[0]['name','n']}", "a 1"),
            ("{.none.such[3]}|{.kind}", "|List"),
            ("plain", "plain"),
            ("{kind} {$.kind} {@.kind}", "List List List"),
        ] {
            assert_eq!(Template::parse(template).map(|it| it.text(&list)).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn mistakes_in_templates_are_told() {
        for (template, said) in [
            ("{.a", "\"}\" is missing at the end"),
            ("{range .a}{.b}", "{range} without {end}"),
            ("{end}", "{end} without {range}"),
            ("{.a[x]}", "\"x\" is no index"),
            ("{.a[?(@.b==c)]}", "\"c\" is no value"),
            ("{\"x}", "unterminated quoted string"),
            ("{.a b}", "unexpected \"b}\""),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(said), "{template}: {error}");
        }
    }

    #[test]
    fn columns_may_leave_out_braces_and_the_dot() {
        let object = json!({ "a": { "b": [1, 2] } });
        for path in ["{.a.b[*]}", ".a.b[*]", "a.b[*]"] {
            let path = Path::relaxed(path).unwrap();
            assert_eq!(path.find(&object, &object).len(), 2);
        }
        assert!(Path::relaxed(".a b").is_err());
    }
}
