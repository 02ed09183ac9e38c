//! `search`

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, is_podman};

const PLAIN: &str = "--tls-verify=false";

fn filled(lab: &Lab, guarded: Guarded) -> Option<Registry> {
    let registry = Registry::start(lab, guarded)?;
    for name in ["team/box:v1", "team/box:v2", "other:latest"] {
        registry.put(box_draft(), name, Compression::Gzip);
    }
    Some(registry)
}

#[test]
fn repositories_are_found_by_a_part_of_their_name() {
    let lab = Lab::empty();
    let Some(registry) = filled(&lab, Guarded::Plain) else { return };
    let text = lab.ok(&format!("search {PLAIN} {}", registry.name("box")));
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["NAME", "DESCRIPTION"]);
    assert_eq!(lines[1..], [registry.name("team/box")]);
    assert_eq!(lab.ok(&format!("search {PLAIN} --format {{{{.Name}}}} {}", registry.name(""))).lines().count(), 2);
    assert_eq!(
        lab.ok(&format!("search {PLAIN} --limit 1 --format {{{{.Name}}}} {}", registry.name(""))).lines().count(),
        1
    );
    assert_eq!(lab.ok(&format!("search {PLAIN} {}", registry.name("nosuch"))), "");
    assert_eq!(lab.ok(&format!("search {PLAIN} --filter is-official {}", registry.name("box"))), "");
    assert_eq!(lab.ok(&format!("search {PLAIN} --filter stars=1 {}", registry.name("box"))), "");
    let compatible = lab.ok(&format!("search {PLAIN} --compatible {}", registry.name("box")));
    assert!(compatible.contains("STARS") && compatible.contains("AUTOMATED"), "{compatible}");
    let json = lab.json(&format!("image search {PLAIN} --format json {}", registry.name("box")));
    assert_eq!(json[0]["Name"], registry.name("team/box"));
    for wrong in ["--filter stars=x", "--filter colour=red"] {
        lab.creel(&format!("search {PLAIN} {wrong} {}", registry.name("box"))).run().fails(125);
    }
    lab.creel(&format!("search {}", registry.name("box"))).run().fails(125);
}

#[test]
fn the_tags_of_a_repository_are_listed() {
    let lab = Lab::empty();
    let Some(registry) = filled(&lab, Guarded::Plain) else { return };
    let name = registry.name("team/box");
    let tags = lab.ok(&format!("search {PLAIN} --list-tags --format {{{{.Tag}}}} {name}"));
    assert_eq!(tags, "v1\nv2");
    assert_eq!(lab.ok(&format!("search {PLAIN} --list-tags --limit 1 --format {{{{.Tag}}}} {name}")), "v1");
    let json = lab.json(&format!("search {PLAIN} --list-tags --format json {name}"));
    assert_eq!(json, serde_json::json!([{ "Name": name, "Tags": ["v1", "v2"] }]));
    lab.creel(&format!("search {PLAIN} --list-tags --filter is-official {name}")).run().fails(125);
    lab.creel(&format!("search {PLAIN} --list-tags {}", registry.name("nosuch"))).run().fails(125);
}

#[test]
fn a_guarded_registry_is_searched_with_the_credentials_that_are_stored() {
    let lab = Lab::empty();
    let Some(registry) = filled(&lab, Guarded::Password) else { return };
    let search = format!("search {PLAIN} --format {{{{.Name}}}}");
    let name = registry.name("box");
    lab.creel(&format!("{search} {name}")).run().fails(125);
    assert_eq!(lab.ok(&format!("{search} --creds 'alice:open sesame' {name}")), registry.name("team/box"));
    lab.ok(&format!("login {PLAIN} -u alice -p 'open sesame' 127.0.0.1:{}", registry.port));
    assert_eq!(lab.ok(&format!("{search} {name}")), registry.name("team/box"));
}

#[test]
fn registries_conf_says_where_to_search_and_how() {
    let lab = Lab::empty();
    let Some(registry) = filled(&lab, Guarded::Plain) else { return };
    let text = format!(
        "unqualified-search-registries = [\"127.0.0.1:{0}\"]\n[[registry]]\nlocation = \"127.0.0.1:{0}\"\ninsecure = true\n",
        registry.port
    );
    lab.write(".config/containers/registries.conf", text);
    assert_eq!(lab.ok("search --format {{.Name}} box"), registry.name("team/box"));
    if !is_podman() {
        assert_eq!(lab.ok("search --list-tags --format {{.Tag}} team/box"), "v1\nv2");
    }
}
