//! docs/quadlet.md: the tables of keys, written from those that translate them.

use super::Kind;
use super::keys::{Becomes, Key, QUADLET};

fn page() -> String {
    let mut page = include_str!("introduction.md").to_owned();
    for kind in Kind::ALL {
        let section = kind.section();
        page.push_str(&format!("\n## `[{section}]` in NAME.{}\n\n{}\n\n", kind.extension(), about(kind)));
        table(&mut page, kind.keys());
    }
    page.push_str("\n## `[Quadlet]` in each of them\n\n");
    table(&mut page, QUADLET);
    page
}

fn about(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "NAME.service: `creel run`. `Image=` or `Rootfs=` is needed.",
        Kind::Pod => "NAME-pod.service: `creel pod create` and `pod start`. Containers join with `Pod=NAME.pod`.",
        Kind::Volume => "NAME-volume.service: `creel volume create`.",
        Kind::Network => "NAME-network.service: `creel network create`.",
        Kind::Kube => "NAME.service: `creel kube play`, and `kube down` when it ends. `Yaml=` is needed.",
        Kind::Image => "NAME-image.service: `creel image pull`. `Image=` is needed.",
        Kind::Build => {
            "NAME-build.service: `creel build`. `ImageTag=` is needed, and `File=` or `SetWorkingDirectory=`."
        }
        Kind::Artifact => "NAME-artifact.service: `creel artifact pull`. `Artifact=` is needed.",
    }
}

fn table(page: &mut String, keys: &[Key]) {
    page.push_str("| key | becomes | how often |\n|---|---|---|\n");
    let mut keys: Vec<&Key> = keys.iter().collect();
    keys.sort_by_key(|key| key.name.to_ascii_lowercase());
    for key in keys {
        let (becomes, often) = match key.becomes {
            Becomes::Last(flag, "") => (format!("`{flag}`"), "the last one"),
            Becomes::Last(flag, prefix) => (format!("`{flag} {prefix}`"), "the last one"),
            Becomes::Joined(flag) => (format!("`{flag}=`"), "the last one"),
            Becomes::Each(flag) => (format!("`{flag}`"), "each value"),
            Becomes::Words(flag, "") => (format!("`{flag}`"), "each word"),
            Becomes::Words(flag, prefix) => (format!("`{flag} {prefix}`"), "each word"),
            Becomes::Pairs(flag) => (format!("`{flag}`"), "each word `NAME=VALUE`, of a NAME the last one"),
            Becomes::Paths(flag) => (format!("`{flag}`"), "each word, a path relative to the file"),
            Becomes::Switch(flag) => (format!("`{flag}` or `{flag}=false`"), "the last one"),
            Becomes::When(words) => (format!("`{}` if true", words.join(" ")), "the last one"),
            Becomes::Verbatim => ("words on the command line, as they are".to_owned(), "each word"),
            Becomes::Done(what, _) | Becomes::Read(what) => (what.to_owned(), ""),
            Becomes::Retired(what) => (format!("{what}; from before `UserNS=`"), ""),
        };
        page.push_str(&format!("| `{}=` | {becomes} | {often} |\n", key.name));
    }
}

#[test]
fn the_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/quadlet.md");
    let page = page();
    if std::env::var_os("CREEL_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).expect("docs/quadlet.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/quadlet.md is not current: run this test with CREEL_WRITE_DOCS=1");
}
