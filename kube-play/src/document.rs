//! docs/kubernetes.md: the table of fields, written from the declarations that also read and check manifests.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::decode::{Shape, Support, Table};
use crate::model;
use crate::plan::Kind;

const HEAD: &str = "\
# Kubernetes manifests

`creel kube play` reads these kinds and fields. This page is written from the declarations in `kube-play/src/model/` that
also read and check manifests; a test keeps it so.

Every object remembers the file that it was played from. A play of a changed file leaves alone what is no longer in it and
says so; `--prune` takes that away. `creel kube down FILE` takes away what FILE names and what was played from it before,
works without FILE where that is gone, and keeps what another file has been played over since. What `kubectl get -o yaml` writes
of a cluster's objects can be played.

- **yes**: carried out.
- **no effect**: read, without an effect on one machine; a warning says so.
- **read**: bookkeeping of a cluster, passed over without a word.
- **refused**: an error that names the file, the line and the path. `--validate=warn` makes it a warning,
  `--validate=ignore` passes it over.

Fields that are not listed are refused, too, with the nearest known name. ServiceAccounts, roles and
their bindings, PodDisruptionBudgets, PriorityClasses, quotas, and what extends an API server (CustomResourceDefinitions, webhooks)
have no effect here, and a warning says so. Other kinds are refused by name, or passed over with a warning where `--ignore-unknown` is given.
";

/// The whole page.
pub fn support_page() -> String {
    let mut page = HEAD.to_owned();
    let mut todo: Vec<&'static Table> = Vec::new();
    page.push_str("\n## Kinds\n\n| kind | apiVersion | |\n|---|---|---|\n");
    for kind in Kind::ALL {
        let table = model::table(kind);
        let versions: Vec<String> = kind.api_versions().iter().map(|version| format!("`{version}`")).collect();
        let _ = writeln!(
            page,
            "| [{kind}](#{}) | {} | {} |",
            kind.word().to_ascii_lowercase(),
            versions.join(", "),
            table.note
        );
        todo.push(table);
    }
    page.push_str("| List | `v1` | Its items, one by one. |\n");
    let mut done = BTreeSet::new();
    page.push_str("\n## Fields\n");
    while !todo.is_empty() {
        let mut next = Vec::new();
        for table in todo {
            if !done.insert(table.name) {
                continue;
            }
            section(&mut page, table);
            next.extend(table.fields.iter().filter_map(|field| object(field.shape)));
        }
        todo = next;
    }
    page
}

fn section(page: &mut String, table: &Table) {
    let _ = write!(page, "\n### {}\n\n", table.name);
    if !table.note.is_empty() {
        let _ = write!(page, "{}\n\n", table.note);
    }
    page.push_str("| field | type | | |\n|---|---|---|---|\n");
    for field in table.fields {
        let word = match field.support {
            Support::Full => "yes",
            Support::NoEffect => "no effect",
            Support::Quiet => "read",
            Support::Refused => "refused",
        };
        let _ = writeln!(page, "| `{}` | {} | {word} | {} |", field.name, shape(field.shape), field.note);
    }
}

fn shape(shape_of: Shape) -> String {
    match shape_of {
        Shape::Plain(word) => word.trim().to_owned(),
        Shape::Object(table) => {
            let name = table().name;
            format!("[{name}](#{})", name.to_ascii_lowercase())
        }
        Shape::List(inner) => format!("list of {}", shape(inner())),
        Shape::Map(inner) => format!("map of {}", shape(inner())),
    }
}

fn object(shape: Shape) -> Option<&'static Table> {
    match shape {
        Shape::Plain(_) => None,
        Shape::Object(table) => Some(table()),
        Shape::List(inner) | Shape::Map(inner) => object(inner()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kubernetes.md");
        let page = super::support_page();
        if std::env::var_os("CREEL_WRITE_DOCS").is_some() {
            std::fs::write(path, &page).expect("docs/kubernetes.md can be written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/kubernetes.md is not current: run this test with CREEL_WRITE_DOCS=1");
    }
}
