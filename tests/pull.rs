//! `pull`, and what `run` pulls by itself.

use crate::lab::archive::Archive;
use crate::lab::image::{Compression, Draft, box_draft, sha256};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, is_podman};

const PLAIN: &str = "--tls-verify=false";

#[test]
fn an_image_comes_whole_in_each_compression() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    for (name, compression) in [("plain", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]
    {
        let name = registry.name(&format!("{name}:v1"));
        registry.put(box_draft(), name.split_once('/').unwrap().1, compression);
        let printed = lab.ok(&format!("pull -q {PLAIN} {name}"));
        assert_eq!(printed, box_draft().id());
        assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /content/one")), "one");
        lab.ok("rmi -a -f");
    }
}

#[test]
fn progress_goes_to_standard_error_and_the_id_to_standard_output() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let outcome = lab.creel(&format!("pull {PLAIN} {}", registry.name("box"))).run();
    assert_eq!(outcome.ok(), box_draft().id());
    assert!(outcome.err().contains("Trying to pull"), "{outcome}");
}

#[test]
fn run_pulls_what_is_missing_and_only_then() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("box:latest");
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    assert_eq!(lab.creel(&format!("run --rm --network none {PLAIN} {name} echo pulled")).run().ok(), "pulled");
    drop(registry);
    assert_eq!(lab.ok(&format!("run --rm --network none {PLAIN} {name} echo local")), "local");
    lab.creel(&format!("run --rm --network none {PLAIN} --pull always {name} true")).run().fails(125);
}

#[test]
fn newer_takes_the_new_image_and_missing_keeps_the_old() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("moving:latest");
    let draft = |word: &str| {
        let mut draft = box_draft().clone();
        draft.layers.push(Archive::new().file("word", 0o644, word).bytes());
        draft
    };
    registry.put(&draft("old"), "moving:latest", Compression::Gzip);
    let run = |policy: &str| lab.ok(&format!("run --rm -q --network none {PLAIN} --pull {policy} {name} cat /word"));
    assert_eq!(run("missing"), "old");
    registry.put(&draft("new"), "moving:latest", Compression::Gzip);
    assert_eq!(run("missing"), "old");
    assert_eq!(run("never"), "old");
    assert_eq!(run("always"), "new");
    registry.put(&draft("third"), "moving:latest", Compression::Gzip);
    // Newer is decided by the digest, or by the creation time, which is the same here.
    let word = run("newer");
    assert!(is_podman() || word == "third", "{word}");
}

#[test]
fn a_digest_names_exactly_one_image() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let digest = sha256(registry.manifest("box:latest").as_bytes());
    let name = registry.name(&format!("box@sha256:{digest}"));
    lab.ok(&format!("pull -q {PLAIN} {name}"));
    lab.ok(&format!("run --rm --network none {name} true"));
    let json = lab.json(&format!("image inspect {name}"));
    assert_eq!(json[0]["RepoDigests"][0], name);
    assert_eq!(json[0]["Digest"], format!("sha256:{digest}"));
    let wrong = registry.name(&format!("box@sha256:{}", "0".repeat(64)));
    lab.creel(&format!("pull -q {PLAIN} {wrong}")).run().fails(125);
}

#[test]
fn a_missing_image_or_registry_is_125_and_named() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("nosuch:v9");
    let error = lab.creel(&format!("pull -q {PLAIN} {name}")).run().fails(125);
    let begins = format!("Error: unable to copy from source docker://{name}: initializing source docker://{name}: ");
    assert!(error.starts_with(&begins), "{error}");
    assert!(
        error.contains("manifest unknown") || error.contains("name unknown") || error.contains("not found"),
        "{error}"
    );
    let port = registry.port;
    drop(registry);
    let error = lab.creel(&format!("pull -q --retry 0 {PLAIN} 127.0.0.1:{port}/box")).run().fails(125);
    assert!(error.contains("connection refused"), "{error}");
    assert!(!error.contains("retrying"), "{error}");
    let again =
        lab.creel(&format!("pull -q --retry 2 --retry-delay 10ms {PLAIN} 127.0.0.1:{port}/box")).run().fails(125);
    assert!(again.contains("Failed, retrying in 10ms ... (2/2). Error: initializing source docker://"), "{again}");
    lab.creel("pull -q 'not a name'").run().fails(125);
    let error = lab.creel("pull -q UPPER").run().fails(125);
    assert!(error.contains("parsing reference \"UPPER\": repository name must be lowercase"), "{error}");
    let error = lab.creel("pull -q --all-tags oci:somewhere").run().fails(125);
    assert!(error.contains("pulling all tags is not supported for oci transport"), "{error}");
}

#[test]
fn short_names_are_looked_up_as_configured() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "team/box:latest", Compression::Gzip);
    lab.write(
        ".config/containers/registries.conf",
        format!("unqualified-search-registries = [\"127.0.0.1:{0}\"]\n[[registry]]\nlocation = \"127.0.0.1:{0}\"\ninsecure = true\n[aliases]\n\"friend\" = \"127.0.0.1:{0}/team/box\"\n", registry.port),
    );
    lab.ok("pull -q team/box");
    lab.ok("pull -q friend");
    assert_eq!(lab.ok("images --format {{.Repository}}"), registry.name("team/box"));
    lab.write(".config/containers/registries.conf", "unqualified-search-registries = []\n");
    let error = lab.creel("pull -q other/thing").run().fails(125);
    assert!(error.contains("short-name"), "{error}");
}

#[test]
fn other_transports_are_sources_too() {
    let lab = Lab::empty();
    let layout = lab.folder("layout");
    box_draft().oci_layout(&layout, "v1", Compression::Gzip);
    for path in crate::lab::files(&layout) {
        lab.give(&path);
    }
    let archive = lab.write("d.tar", box_draft().docker_archive(&["localhost/from-archive:latest"]));
    lab.ok(&format!("pull -q oci:{}:v1", layout.display()));
    lab.ok("rmi -a -f");
    lab.ok(&format!("pull -q docker-archive:{}", archive.display()));
    lab.ok("image exists localhost/from-archive");
}

#[test]
fn a_layer_that_is_there_is_not_fetched_again() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "base:latest", Compression::Gzip);
    lab.ok(&format!("pull -q {PLAIN} {}", registry.name("base")));
    let mut draft = box_draft().clone();
    draft.layers.push(Archive::new().file("more", 0o644, "more\n").bytes());
    registry.put(&draft, "derived:latest", Compression::Gzip);
    // The lower layer's blob goes away: only who asks for it notices.
    registry.forget_largest_blob();
    lab.ok(&format!("pull -q {PLAIN} {}", registry.name("derived")));
    assert_eq!(
        lab.ok(&format!("run --rm --network none {} cat /more /content/one", registry.name("derived"))),
        "more\none"
    );
}

#[test]
fn a_layer_with_other_content_than_its_digest_is_refused() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    registry.spoil_largest_blob();
    let error = lab.creel(&format!("pull -q --retry 0 {PLAIN} {}", registry.name("box"))).run();
    assert_eq!(error.exit_code(), 125, "{error}");
    assert_eq!(lab.ok("images -q"), "");
    if !is_podman() {
        // What never came is not missing, and what is bad does not wait for another try.
        lab.ok("system check");
        crate::lab::eventually("nothing of it is left", || crate::system::disk_usage(&lab.store()) < 200_000);
    }
}

#[test]
fn a_certificate_must_be_known() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Tls) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let name = registry.name("box");
    let error = lab.creel(&format!("pull -q --retry 0 {name}")).run().fails(125);
    assert!(error.contains("certificate"), "{error}");
    let folder = lab.folder("certificates");
    lab.write("certificates/ca.crt", std::fs::read(registry.authority()).unwrap());
    lab.ok(&format!("pull -q --cert-dir {} {name}", folder.display()));
    lab.ok("rmi -a -f");
    lab.ok(&format!("pull -q {PLAIN} {name}"));
    lab.ok("rmi -a -f");
    lab.write(
        &format!(".config/containers/certs.d/127.0.0.1:{}/ca.crt", registry.port),
        std::fs::read(registry.authority()).unwrap(),
    );
    lab.ok(&format!("pull -q {name}"));
}

#[test]
fn many_layers_arrive_in_their_order() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let mut layers = box_draft().layers.clone();
    for number in 1..=20 {
        layers.push(
            Archive::new()
                .file("number", 0o644, format!("{number}\n"))
                .file(&format!("only-{number}"), 0o644, "")
                .bytes(),
        );
    }
    let mut draft = Draft::new(layers);
    draft.config = box_draft().config.clone();
    registry.put(&draft, "tall:latest", Compression::Gzip);
    lab.ok(&format!("pull -q {PLAIN} {}", registry.name("tall")));
    assert_eq!(
        lab.ok(&format!("run --rm --network none {} sh -c 'cat /number; ls / | grep -c only'", registry.name("tall"))),
        "20\n20"
    );
}

#[test]
fn a_machine_without_a_policy_may_pull() {
    let lab = Lab::empty();
    if is_podman() {
        return crate::lab::skip("podman refuses to pull without policy.json");
    }
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    std::fs::remove_file(lab.path(".config/containers/policy.json")).unwrap();
    assert_eq!(lab.ok(&format!("pull -q {PLAIN} {}", registry.name("box"))), box_draft().id());
}

#[test]
fn registries_conf_blocks_mirrors_and_renames() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "team/box:latest", Compression::Gzip);
    let server = format!("127.0.0.1:{}", registry.port);
    let conf = |text: &str| lab.write(".config/containers/registries.conf", text.replace("SERVER", &server));
    conf("[[registry]]\nlocation = \"SERVER\"\nblocked = true\n");
    let error = lab.creel(&format!("pull -q {}", registry.name("team/box"))).run().fails(125);
    assert!(error.contains("is blocked in"), "{error}");
    conf("[[registry]]\nlocation = \"gone.invalid\"\n[[registry.mirror]]\nlocation = \"SERVER\"\ninsecure = true\n");
    lab.ok("pull -q gone.invalid/team/box");
    assert_eq!(lab.ok("images --format {{.Repository}}"), "gone.invalid/team/box");
    lab.ok("rmi -a");
    conf("[[registry]]\nprefix = \"other.invalid/x\"\nlocation = \"SERVER/team\"\ninsecure = true\n");
    lab.ok("pull -q other.invalid/x/box");
    lab.ok("rmi -a");
    // Several registries: one after the other, unless the mode is to have one say which.
    let two = "unqualified-search-registries = [\"a.invalid\", \"SERVER\"]\n[[registry]]\nlocation = \"SERVER\"\ninsecure = true\n";
    conf(&format!("short-name-mode = \"enforcing\"\n{two}"));
    let error = lab.creel("pull -q team/box").run().fails(125);
    assert!(error.contains("short"), "{error}");
    conf(two);
    lab.ok("pull -q team/box");
    conf("nonsense");
    lab.creel("pull -q team/box").run().fails(125);
    lab.creel("pull -q team/box").env("CONTAINERS_REGISTRIES_CONF", "nosuch.conf").run().fails(125);
}
