//! `-o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image`

use serde_json::Value;

use super::jsonpath::Path;
use super::table::Table;

/// A row for each object. What is not there is `<none>`.
///
/// # Errors
/// What is wrong with the columns.
pub fn custom_columns(text: &str, objects: &[Value]) -> Result<Table, String> {
    let wrong = |column: &str| {
        let form = "expected <header>:<json-path-expr>";
        format!("unexpected custom-columns spec: {column}, {form}")
    };
    let columns: Vec<(&str, Path)> = split(text)
        .into_iter()
        .map(|column| {
            let (header, path) = column.split_once(':').ok_or_else(|| wrong(column))?;
            Ok((header, Path::relaxed(path)?))
        })
        .collect::<Result<_, String>>()?;
    let mut table = Table::new(columns.iter().map(|(header, _)| (*header).to_owned()));
    for object in objects {
        table.row(columns.iter().map(|(_, path)| {
            let found: Vec<String> = path.find(object, object).into_iter().map(cell).collect();
            if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
        }));
    }
    Ok(table)
}

/// At commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|char| {
        match char {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        char == ',' && depth == 0
    })
    .collect()
}

/// As Go prints values: `map[app:web]`, `[a b]`.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(cell).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", cell(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_made_of_paths() {
        let pods = [
            json!({ "metadata": { "name": "web", "labels": { "app": "x" } }, "images": ["a", "b"] }),
            json!({ "metadata": { "name": "database" } }),
        ];
        let text = custom_columns("NAME:.metadata.name,IMAGES:images[*],L:{.metadata.labels}", &pods).unwrap();
        assert_eq!(
            text.text(true),
            "NAME       IMAGES   L\nweb        a,b      map[app:x]\ndatabase   <none>   <none>\n"
        );
        let names = custom_columns("N:.metadata['name','labels']", &pods[1..]).unwrap();
        assert_eq!(names.text(false), "database\n");
        assert!(custom_columns("NAME", &pods).unwrap_err().contains("expected <header>:<json-path-expr>"));
    }
}
