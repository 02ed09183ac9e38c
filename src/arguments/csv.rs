//! A list in one value, as Go's `encoding/csv` reads it.

/// One line of CSV: fields in double quotes may hold commas, doubled quotes a quote. The error is Go's, with the byte at
/// fault counted from 1.
pub fn csv(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |column: usize, what: &str| Err(format!("parse error on line 1, column {column}: {what}"));
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => match quoted(inside) {
                Some((field, after)) if after.is_empty() || after.starts_with(',') => (field, after),
                Some((_, after)) => {
                    return wrong(line.len() - after.len(), "extraneous or missing \" in quoted-field");
                }
                None => return wrong(line.len() + 1, "extraneous or missing \" in quoted-field"),
            },
            None => {
                let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                if let Some(quote) = field.find('"') {
                    return wrong(line.len() - rest.len() + quote + 1, "bare \" in non-quoted-field");
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// A field up to the quote that closes it, and what comes after; none where no quote closes it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comma_lists_follow_csv() {
        assert_eq!(csv("a,b").unwrap(), ["a", "b"]);
        assert_eq!(csv("").unwrap(), Vec::<String>::new());
        assert_eq!(csv("a,,b").unwrap(), ["a", "", "b"]);
        assert_eq!(csv("\"a,\"\"b\",c").unwrap(), ["a,\"b", "c"]);
        for (line, column) in [("a\"b", 2), ("x,\"a", 5), ("x,\"a\"b,c", 5)] {
            let error = csv(line).unwrap_err();
            assert!(error.starts_with(&format!("parse error on line 1, column {column}: ")), "{line}: {error}");
        }
    }
}
