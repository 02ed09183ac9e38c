//! Archives made to do harm. Each may be refused or taken harmlessly; nothing outside of the store may change, nothing
//! may crash or hang, and the store is sound afterwards.

use std::path::Path;

use tar::EntryType;

use crate::lab::archive::Archive;
use crate::lab::image::{Compression, box_draft, box_with, docker_archive, sha256};
use crate::lab::{Lab, files, is_podman};

/// Loads the box with this layer on top and, where that was taken, looks around in a container.
#[track_caller]
fn taken(lab: &Lab, what: &str, layer: Archive) -> bool {
    let mut draft = box_draft().clone();
    draft.layers.push(layer.bytes());
    let archive = lab.write("hostile.tar", draft.docker_archive(&["localhost/hostile:latest"]));
    let outcome = lab.creel(&format!("load -q -i {}", archive.display())).within(60).run();
    assert!([0, 125].contains(&outcome.exit_code()), "{what}: {outcome}");
    assert!(!outcome.err().contains("panicked"), "{what}: {outcome}");
    if outcome.exit_code() == 0 {
        let ran = lab.creel("run --rm --network none hostile sh -c 'find / -xdev > /dev/null; true'").within(60).run();
        assert!(!ran.err().contains("panicked"), "{what}: {ran}");
        lab.ok("rmi -f hostile");
    }
    lab.ok("run --rm --network none box true");
    outcome.exit_code() == 0
}

fn untouched(lab: &Lab, place: &Path, before: &[std::path::PathBuf]) {
    let mut now = files(place);
    now.sort();
    assert_eq!(now, before, "something was planted");
    assert_eq!(lab.read("canary/bird"), "alive\n");
}

#[test]
fn no_name_leads_out_of_the_layer() {
    let lab = Lab::new();
    let canary = lab.write("canary/bird", "alive\n").parent().unwrap().to_owned();
    // Open to everybody, so that only the program keeps itself from writing there.
    std::fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let before = files(&canary);
    let out = format!("{}{}", "../".repeat(25), &canary.display().to_string()[1..]);
    let absolute = canary.display().to_string();
    let planted = format!("{out}/planted");
    let bird = format!("{out}/bird");
    for (what, layer) in [
        ("parent folders in a name", Archive::new().file("a/../../b", 0o644, "x")),
        (
            "a way out by parent folders",
            Archive::new().extended(&[("path", planted.as_bytes())]).file("short", 0o644, "x"),
        ),
        (
            "an absolute name",
            Archive::new().extended(&[("path", format!("{absolute}/planted").as_bytes())]).file("short", 0o644, "x"),
        ),
        ("through an absolute link", Archive::new().symlink("link", &absolute).file("link/planted", 0o644, "x")),
        (
            "through a relative link",
            Archive::new().extended(&[("linkpath", out.as_bytes())]).symlink("link", "x").file(
                "link/planted",
                0o644,
                "x",
            ),
        ),
        ("over a link", Archive::new().symlink("bird", &format!("{absolute}/bird")).file("bird", 0o644, "dead\n")),
        (
            "a folder over a link",
            Archive::new().symlink("link", &absolute).directory("link", 0o700).file("link/planted", 0o644, "x"),
        ),
        (
            "a hard link to the outside",
            Archive::new()
                .extended(&[("linkpath", bird.as_bytes())])
                .hard_link("bird", "x")
                .file("bird", 0o644, "dead\n"),
        ),
        (
            "a hard link to an absolute name",
            Archive::new()
                .extended(&[("linkpath", format!("{absolute}/bird").as_bytes())])
                .hard_link("bird", "x")
                .file("bird", 0o644, "dead\n"),
        ),
        (
            "a hard link through a link",
            Archive::new().symlink("link", &absolute).hard_link("bird", "link/bird").file("bird", 0o644, "dead\n"),
        ),
        ("taking away through a link", Archive::new().symlink("link", &absolute).file("link/.wh.bird", 0o644, "")),
        ("emptying through a link", Archive::new().symlink("link", &absolute).file("link/.wh..wh..opq", 0o644, "")),
        ("taking away the parent", Archive::new().file("a/.wh...", 0o644, "").file(".wh..", 0o644, "")),
        ("modes through a link", Archive::new().symlink("link", &absolute).directory("link/.", 0o000)),
    ] {
        taken(&lab, what, layer);
        untouched(&lab, &canary, &before);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&canary).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o777, "{what}");
    }
}

#[test]
fn links_of_a_lower_layer_lead_nowhere_either() {
    let lab = Lab::new();
    let canary = lab.write("canary/bird", "alive\n").parent().unwrap().to_owned();
    std::fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let before = files(&canary);
    let mut draft = box_draft().clone();
    draft.layers.push(Archive::new().symlink("link", &canary.display().to_string()).bytes());
    draft.layers.push(Archive::new().file("link/planted", 0o644, "x").file("link/.wh.bird", 0o644, "").bytes());
    let archive = lab.write("h.tar", draft.docker_archive(&["localhost/hostile:latest"]));
    let outcome = lab.creel(&format!("load -q -i {}", archive.display())).run();
    if outcome.exit_code() == 0 {
        lab.ok("run --rm --network none hostile true");
        lab.ok("create --name one --network none hostile true");
        lab.write("in", "");
        let _ = lab.creel("cp in one:/link/planted").run();
        let _ = lab.creel("export -o out.tar one").run();
    }
    untouched(&lab, &canary, &before);
}

#[test]
fn strange_entries_do_no_harm() {
    let lab = Lab::new();
    for (what, layer) in [
        (
            "devices",
            Archive::new().entry("dev/evil", EntryType::Char, 0o666, None, &[]).entry(
                "evil",
                EntryType::Block,
                0o666,
                None,
                &[],
            ),
        ),
        ("a file where a folder was", Archive::new().file("content", 0o644, "now a file")),
        ("a folder where a file was", Archive::new().directory("content/one", 0o755).file("content/one/f", 0o644, "")),
        (
            "the same name again and again",
            (0..50).fold(Archive::new(), |archive, number| archive.file("same", 0o644, format!("{number}"))),
        ),
        ("an empty name", Archive::new().entry("", EntryType::Regular, 0o644, None, b"x")),
        ("only dots", Archive::new().directory(".", 0o755).directory("./", 0o755).directory("./.", 0o755)),
        ("the root as a file", Archive::new().file("./", 0o644, "x").file(".", 0o644, "x")),
        ("the root as a link", Archive::new().symlink(".", "/tmp").symlink("./", "/tmp")),
        ("a link to itself", Archive::new().symlink("loop", "loop").file("loop/f", 0o644, "")),
        ("a hard link to nothing", Archive::new().hard_link("hl", "nowhere")),
        ("a hard link to a folder", Archive::new().hard_link("hl", "content")),
        ("control characters", Archive::new().file("a\nb\x1b[31m", 0o644, "x")),
        ("a whiteout of nothing", Archive::new().file(".wh.nothing", 0o644, "").file("deep/.wh.nothing", 0o644, "")),
        ("a whiteout of itself", Archive::new().file("x", 0o644, "").file(".wh.x", 0o644, "")),
        ("a bare whiteout", Archive::new().file(".wh.", 0o644, "")),
        (
            "names of the overlay",
            Archive::new().file("content/.wh..opq", 0o644, "").file(".wh..wh.plnk", 0o644, "").file(
                ".wh..wh.aufs",
                0o644,
                "",
            ),
        ),
        ("unknown kinds", Archive::new().entry("odd", EntryType::new(b'Z'), 0o644, None, b"x")),
        ("strange modes", Archive::new().file("m", 0o7777777, "x")),
        (
            "owners out of range",
            Archive::new().owned("o", EntryType::Regular, 0o644, (4_000_000_000, 4_000_000_000), None, b"x"),
        ),
        ("a very long name", Archive::new().extended(&[("path", "d/".repeat(2000).as_bytes())]).directory("d", 0o755)),
        (
            "a name with too long a part",
            Archive::new().extended(&[("path", "x".repeat(300).as_bytes())]).file("x", 0o644, ""),
        ),
        (
            "attributes of the overlay",
            Archive::new()
                .extended(&[
                    ("SCHILY.xattr.user.overlay.redirect", b"/../../../etc"),
                    ("SCHILY.xattr.user.overlay.opaque", b"y"),
                    ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                ])
                .directory("content", 0o755),
        ),
        ("a size that lies", Archive::new().extended(&[("size", b"999999999999999999999")]).file("s", 0o644, "x")),
        ("a negative time", Archive::new().extended(&[("mtime", b"-99999999999999")]).file("t", 0o644, "x")),
    ] {
        taken(&lab, what, layer);
    }
    if !is_podman() {
        lab.ok("system check");
    }
}

#[test]
fn attributes_of_the_overlay_are_not_taken_over() {
    let lab = Lab::new();
    let mut draft = box_draft().clone();
    draft.layers.push(
        Archive::new()
            .extended(&[
                ("SCHILY.xattr.user.overlay.redirect", b"/content/sub"),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ])
            .directory("www", 0o755)
            .bytes(),
    );
    let archive = lab.write("x.tar", draft.docker_archive(&["localhost/attributes:latest"]));
    if lab.creel(&format!("load -q -i {}", archive.display())).run().exit_code() == 0 && !is_podman() {
        assert_eq!(lab.ok("run --rm --network none attributes ls /www"), "index.html");
    }
}

#[test]
fn broken_archives_are_refused_and_leave_nothing() {
    let lab = Lab::empty();
    let whole = box_draft().docker_archive(&["localhost/box:latest"]);
    let config = box_draft().configuration();
    let manifest =
        |text: &str| Archive::new().file("config.json", 0o644, &config).file("manifest.json", 0o644, text).bytes();
    let name = format!("{}.tar", sha256(&box_draft().layers[0]));
    let mut other_layer = box_draft().clone();
    other_layer.layers[0] = Archive::new().file("other", 0o644, "").bytes();
    for (what, bytes) in [
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("no manifest", Archive::new().file("x", 0o644, "").bytes()),
        ("a manifest that is no JSON", manifest("{")),
        ("a manifest of the wrong kind", manifest("{\"a\":1}")),
        ("an empty manifest", manifest("[]")),
        (
            "a configuration that is missing",
            manifest(r#"[{"Config":"nowhere.json","RepoTags":["localhost/x:1"],"Layers":[]}]"#),
        ),
        (
            "a configuration from the host",
            manifest(r#"[{"Config":"/etc/passwd","RepoTags":["localhost/x:1"],"Layers":["/etc/passwd"]}]"#),
        ),
        (
            "a layer from the host",
            manifest(
                r#"[{"Config":"config.json","RepoTags":["localhost/x:1"],"Layers":["../../../../../../../../etc/passwd"]}]"#,
            ),
        ),
        (
            "a layer that is missing",
            manifest(&format!(r#"[{{"Config":"config.json","RepoTags":["localhost/x:1"],"Layers":["{name}"]}}]"#)),
        ),
        (
            "a layer that is a link to the host",
            Archive::new()
                .symlink(&name, "/etc/passwd")
                .file("config.json", 0o644, &config)
                .file(
                    "manifest.json",
                    0o644,
                    format!(r#"[{{"Config":"config.json","RepoTags":["localhost/x:1"],"Layers":["{name}"]}}]"#),
                )
                .bytes(),
        ),
        (
            "a layer of other content",
            Archive::new()
                .file(&name, 0o644, &other_layer.layers[0])
                .file("config.json", 0o644, &config)
                .file(
                    "manifest.json",
                    0o644,
                    format!(r#"[{{"Config":"config.json","RepoTags":["localhost/x:1"],"Layers":["{name}"]}}]"#),
                )
                .bytes(),
        ),
        (
            "fewer layers than the configuration says",
            manifest(r#"[{"Config":"config.json","RepoTags":["localhost/x:1"],"Layers":[]}]"#),
        ),
        ("JSON too deep", manifest(&"[".repeat(100_000))),
    ] {
        if is_podman() && what == "an empty manifest" {
            continue;
        }
        let outcome = lab.creel("load -q").input(bytes).within(60).run();
        assert_eq!(outcome.exit_code(), 125, "{what}: {outcome}");
        assert!(!outcome.err().contains("root:x:0:0"), "{what}: {outcome}");
        assert_eq!(lab.ok("images -q"), "", "{what}");
    }
    if !is_podman() {
        lab.ok("system check");
        assert!(crate::system::disk_usage(&lab.store()) < 200_000);
    }
}

#[test]
fn a_layout_whose_blobs_are_others_is_refused() {
    let lab = Lab::empty();
    for victim in ["config", "layer", "manifest"] {
        let folder = lab.folder(&format!("layout-{victim}"));
        box_draft().oci_layout(&folder, "v1", Compression::None);
        let blobs = files(&folder.join("blobs"));
        let wanted = |path: &std::path::PathBuf| {
            let size = std::fs::metadata(path).unwrap().len();
            let text = std::fs::read(path).unwrap();
            match victim {
                "layer" => size > 100_000,
                "config" => text.starts_with(b"{\"architecture"),
                _ => text.windows(13).any(|window| window == b"schemaVersion") && !text.starts_with(b"{\"architecture"),
            }
        };
        let path = blobs.iter().find(|path| wanted(path)).unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.iter().rposition(|&byte| byte == b'5').unwrap();
        bytes[at] = b'6';
        std::fs::write(path, bytes).unwrap();
        for path in files(&folder) {
            lab.give(&path);
        }
        let outcome = lab.creel(&format!("pull -q oci:{}:v1", folder.display())).run();
        assert_eq!(outcome.exit_code(), 125, "{victim}: {outcome}");
        assert_eq!(lab.ok("images -q"), "", "{victim}");
    }
}

#[test]
fn a_bomb_is_stopped_or_at_least_removed_whole() {
    let lab = Lab::empty();
    if is_podman() {
        return crate::lab::skip("podman unpacks whatever fits");
    }
    // 200 MB of zeros in 200 kB, twice compressed; unpacked it is a file like any other.
    let mut draft = box_draft().clone();
    draft.layers.push(Archive::new().file("zeros", 0o644, vec![0; 200_000_000]).bytes());
    let folder = lab.folder("bomb");
    draft.oci_layout(&folder, "localhost/bomb:latest", Compression::Zstd);
    for path in files(&folder) {
        lab.give(&path);
    }
    let outcome = lab.creel(&format!("load -q -i {}", folder.display())).within(60).run();
    if outcome.exit_code() == 0 {
        lab.ok("rmi -a -f");
    }
    crate::lab::eventually("nothing of it is left", || crate::system::disk_usage(&lab.store()) < 200_000);
}

#[test]
fn names_from_an_archive_are_checked() {
    let lab = Lab::empty();
    for name in ["../../etc:latest", "localhost/UPPER:latest", "", ":", "a b", "localhost/x:\u{1b}[31m"] {
        let archive = lab.write("n.tar", docker_archive(&[(&[name], box_draft())]));
        let outcome = lab.creel(&format!("load -q -i {}", archive.display())).run();
        assert!([0, 125].contains(&outcome.exit_code()), "{name}: {outcome}");
        assert!(!lab.ok("images --format {{.Repository}}").contains(".."), "{name}");
    }
}

#[test]
fn a_terminal_obeys_nothing_that_comes_with_an_image() {
    let lab = Lab::new();
    let title = "\u{1b}]0;title\u{7}";
    let draft = box_with(serde_json::json!({ "Labels": { "title": title } }));
    let archive = lab.write("t.tar", draft.docker_archive(&["localhost/title:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    let line = "image inspect --format {{.Labels.title}} title";
    assert_eq!(lab.ok(line), title);
    if crate::lab::differs_on_purpose("podman hands control characters on to the terminal") {
        return;
    }
    let mut terminal = lab.terminal(line);
    terminal.expect("\\x1b]0;title\\x07");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn more_layers_than_linux_mounts_are_refused_before_any_is_unpacked() {
    let lab = Lab::empty();
    if is_podman() {
        return crate::lab::skip("podman stops in the middle, after minutes");
    }
    let mut draft = box_draft().clone();
    draft.layers = (0..501).map(|number| Archive::new().file("f", 0o644, format!("{number}")).bytes()).collect();
    let archive = lab.write("deep.tar", draft.docker_archive(&["localhost/deep:latest"]));
    let error = lab.creel(&format!("load -q -i {}", archive.display())).within(60).run().fails(125);
    assert!(error.contains("501 layers"), "{error}");
    assert!(crate::system::disk_usage(&lab.store()) < 200_000);
}

/// A directory that everybody may write to, with something alive in it.
fn canary(lab: &Lab) -> (std::path::PathBuf, Vec<std::path::PathBuf>) {
    let canary = lab.write("canary/bird", "alive\n").parent().unwrap().to_owned();
    std::fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let before = files(&canary);
    (canary, before)
}

#[test]
fn an_archive_leads_nowhere_out_of_a_volume() {
    let lab = Lab::empty();
    let (canary, before) = canary(&lab);
    let absolute = canary.display().to_string();
    let up = format!("{}{}", "../".repeat(14), &absolute[1..]);
    for (what, archive) in [
        (
            "parent folders",
            Archive::new().extended(&[("path", format!("{up}/planted").as_bytes())]).file("f", 0o644, "x"),
        ),
        ("an absolute link", Archive::new().symlink("link", &absolute).file("link/planted", 0o644, "x")),
        ("a relative link", Archive::new().symlink("link", &up).file("link/planted", 0o644, "x")),
        ("a link to the file", Archive::new().symlink("link", &format!("{absolute}/bird")).file("link", 0o644, "x")),
        ("a hard link", Archive::new().hard_link("hl", &format!("{absolute}/bird")).file("hl", 0o644, "x")),
        (
            "links over links",
            Archive::new().directory("a", 0o755).symlink("a/b", "..").symlink("a/b/c", &up).file(
                "a/b/c/planted",
                0o644,
                "x",
            ),
        ),
    ] {
        let path = lab.write("hostile.tar", archive.bytes());
        lab.ok("volume create v");
        let outcome = lab.creel(&format!("volume import v {}", path.display())).within(60).run();
        assert!([0, 125].contains(&outcome.exit_code()), "{what}: {outcome}");
        untouched(&lab, &canary, &before);
        lab.ok("volume rm v");
    }
}

#[test]
fn what_one_copy_has_brought_does_not_lead_the_next_one_out() {
    let lab = Lab::new();
    let (canary, before) = canary(&lab);
    let out = lab.folder("out");
    let plant = format!("mkdir /x && ln -s {} /x/l", canary.display());
    lab.ok(&format!("run --name one --network none box sh -c '{plant}'"));
    lab.ok("run --name two --network none box sh -c 'mkdir -p /x/l && echo > /x/l/planted'");
    lab.ok(&format!("cp one:/x {}", out.display()));
    let outcome = lab.creel(&format!("cp two:/x {}", out.display())).run();
    assert!([0, 125].contains(&outcome.exit_code()), "{outcome}");
    untouched(&lab, &canary, &before);
    lab.ok("rm one two");
}
