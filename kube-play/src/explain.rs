//! `kube explain`: what is known of a kind or a field, from the declarations that read it; see [`crate::document`].

use std::fmt::Write;

use crate::decode::{Field, Shape, Support, Table};
use crate::model;
use crate::plan::Kind;

/// Deeper than any object that does not hold itself.
const MOST_LEVELS: usize = 16;

/// The page of a kind, or of a field of it by the names that lead there. With `recursive` all that is in it, as a tree.
///
/// # Errors
/// kubectl's words for a field that is not there.
pub fn explain(kind: Kind, path: &[&str], recursive: bool) -> Result<String, String> {
    let mut table = model::table(kind);
    let mut found: Option<&'static Field> = None;
    for (index, name) in path.iter().enumerate() {
        let field = table.fields.iter().find(|field| field.name == *name);
        found = Some(field.ok_or_else(|| format!("field {name:?} does not exist"))?);
        match found.and_then(|field| table_of(field.shape)) {
            Some(inner) => table = inner,
            None if index + 1 == path.len() => {}
            None => return Err(format!("field {:?} does not exist", path[index + 1])),
        }
    }
    let mut page = String::new();
    if !kind.group().is_empty() {
        let _ = writeln!(page, "GROUP:      {}", kind.group());
    }
    let version = kind.api_versions()[0];
    let version = version.split_once('/').map_or(version, |(_, version)| version);
    let _ = writeln!(page, "KIND:       {kind}\nVERSION:    {version}\n");
    let fields = match found {
        None => Some(table),
        Some(field) => {
            let _ = writeln!(page, "FIELD: {} <{}>\n", field.name, type_of(field.shape));
            table_of(field.shape)
        }
    };
    let said = [found.map(told).unwrap_or_default(), fields.map_or("", |table| table.note).to_owned()];
    let said: Vec<&str> = said.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    let said = if said.is_empty() { "<none>".to_owned() } else { said.join("\n    ") };
    let _ = writeln!(page, "DESCRIPTION:\n    {said}\n");
    if let Some(table) = fields {
        page.push_str("FIELDS:\n");
        match recursive {
            true => tree(&mut page, table, 1),
            false => list(&mut page, table),
        }
    }
    Ok(page)
}

fn list(page: &mut String, table: &Table) {
    for field in table.fields {
        let _ = writeln!(page, "  {}\t<{}>", field.name, type_of(field.shape));
        let told = told(field);
        if !told.is_empty() {
            let _ = writeln!(page, "    {told}");
        }
        page.push('\n');
    }
}

fn tree(page: &mut String, table: &Table, level: usize) {
    for field in table.fields {
        let word = match field.support {
            Support::Full | Support::Quiet => "",
            Support::NoEffect => "\t(no effect)",
            Support::Refused => "\t(refused)",
        };
        let _ = writeln!(page, "{}{}\t<{}>{word}", "  ".repeat(level), field.name, type_of(field.shape));
        if let Some(inner) = table_of(field.shape).filter(|_| level < MOST_LEVELS) {
            tree(page, inner, level + 1);
        }
    }
}

/// What becomes of it here.
fn told(field: &Field) -> String {
    let why = if field.note.is_empty() { String::new() } else { format!(": {}", field.note) };
    match field.support {
        Support::Full => field.note.to_owned(),
        Support::NoEffect => format!("no effect{why}"),
        Support::Quiet => format!("read, without an effect{why}"),
        Support::Refused => format!("refused{why}"),
    }
}

/// As kubectl writes it: `[]Container`, `map[string]string`.
fn type_of(shape: Shape) -> String {
    match shape {
        Shape::Plain(words) => match words.trim() {
            "" => "Object".to_owned(),
            words => words.replace(' ', "|"),
        },
        Shape::Object(table) => table().name.to_owned(),
        Shape::List(inner) => format!("[]{}", type_of(inner())),
        Shape::Map(inner) => format!("map[string]{}", type_of(inner())),
    }
}

fn table_of(shape: Shape) -> Option<&'static Table> {
    match shape {
        Shape::Plain(_) => None,
        Shape::Object(table) => Some(table()),
        Shape::List(inner) | Shape::Map(inner) => table_of(inner()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_fields_are_explained() {
        let page = explain(Kind::Deployment, &[], false).unwrap();
        assert!(
            page.starts_with("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nDESCRIPTION:\n    So many"),
            "{page}"
        );
        assert!(page.contains("FIELDS:\n") && page.contains("  spec\t<DeploymentSpec>\n"), "{page}");
        let page = explain(Kind::Pod, &["spec", "containers", "resources", "claims"], false).unwrap();
        assert!(page.contains("refused: devices are given as"), "{page}");
        let page = explain(Kind::Pod, &["spec", "containers"], false).unwrap();
        assert!(page.contains("FIELD: containers <[]Container>\n") && page.contains("  image\t<string>\n"), "{page}");
        for (path, missing) in [(&["nothing"][..], "nothing"), (&["spec", "hostname", "x"], "x")] {
            let error = explain(Kind::Pod, path, false).unwrap_err();
            assert_eq!(error, format!("field {missing:?} does not exist"));
        }
    }

    #[test]
    fn every_kind_has_a_tree_that_ends() {
        for kind in Kind::ALL {
            let page = explain(kind, &[], true).unwrap();
            assert!(page.contains("  metadata\t<ObjectMeta>\n    name\t<"), "{page}");
            assert!(page.lines().all(|line| !line.starts_with(&"  ".repeat(MOST_LEVELS))), "{kind} is cut off");
        }
    }
}
