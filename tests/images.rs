//! `images`

use crate::lab::{Lab, image};

#[test]
fn the_table_has_one_row_for_each_name() {
    let lab = Lab::new();
    lab.ok("tag box example.org/other/name:v1");
    let text = lab.ok("images");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert_eq!(lines.len(), 3, "{text}");
    let id = &image::box_draft().id()[..12];
    assert!(
        text.lines().any(|line| line.starts_with("localhost/box ") && line.contains(" latest ") && line.contains(id)),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("example.org/other/name ") && line.contains(" v1 ")), "{text}");
    assert!(lines[1][3..].join(" ").contains("ago"), "{text}");
    assert!(lines[1].last().is_some_and(|unit| ["kB", "MB"].contains(unit)), "{text}");
}

#[test]
fn ids_names_and_digests_are_shown_as_asked() {
    let lab = Lab::new();
    let id = image::box_draft().id();
    assert_eq!(lab.ok("images -q"), &id[..12]);
    assert_eq!(lab.ok("images -q --no-trunc"), format!("sha256:{id}"));
    assert_eq!(lab.ok("images --format {{.Repository}}:{{.Tag}}"), "localhost/box:latest");
    assert!(lab.ok("images --digests").contains("sha256:"));
    assert_eq!(lab.ok("images --noheading").lines().count(), 1);
    assert_eq!(lab.ok("image ls -q"), lab.ok("image list -q"));
    let json = lab.json("images --format json");
    for key in [
        "Id",
        "ParentId",
        "RepoTags",
        "RepoDigests",
        "Created",
        "Size",
        "SharedSize",
        "VirtualSize",
        "Labels",
        "Containers",
        "Digest",
        "Names",
        "CreatedAt",
    ] {
        assert!(json[0].get(key).is_some(), "{key} in {json}");
    }
    assert_eq!(json[0]["Id"], id);
}

#[test]
fn filters_and_patterns_choose() {
    let lab = Lab::new();
    let draft = image::box_with(serde_json::json!({ "Labels": { "kind": "other" } }));
    let archive = lab.write("o.tar", draft.docker_archive(&["localhost/other:v2"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    let names = |flags: &str| {
        let text = lab.ok(&format!("images --format {{{{.Repository}}}}:{{{{.Tag}}}} {flags}"));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    let (first, second) = ("localhost/box:latest", "localhost/other:v2");
    for (flags, expected) in [
        ("", format!("{first} {second}")),
        ("box", first.to_owned()),
        ("localhost/other:v2", second.to_owned()),
        ("--filter reference=*other*", second.to_owned()),
        ("--filter reference=localhost/b*", first.to_owned()),
        ("--filter label=kind=box", first.to_owned()),
        ("--filter label=kind", format!("{first} {second}")),
        ("--filter dangling=true", String::new()),
        ("--filter dangling=false", format!("{first} {second}")),
        ("--filter until=2020-01-01", String::new()),
    ] {
        assert_eq!(names(flags), expected, "{flags}");
    }
    for wrong in ["nonsense=1", "label", "dangling=maybe", "before=nosuch", "until=whenever"] {
        lab.creel(&format!("images --filter {wrong}")).run().fails(125);
    }
    assert_eq!(names("nosuch"), "");
}

#[test]
fn an_image_that_lost_its_name_is_called_none() {
    let lab = Lab::new();
    lab.ok("untag box");
    assert!(lab.ok("images").contains("<none>"), "{}", lab.ok("images"));
    assert_eq!(lab.ok("images -q --filter dangling=true"), &image::box_draft().id()[..12]);
}

#[test]
fn an_image_is_shown_with_all_its_names_and_can_be_sorted() {
    let lab = Lab::new();
    lab.ok("tag box reg.test/second:2");
    assert_eq!(lab.ok("images --noheading box").lines().count(), 2);
    assert_eq!(lab.ok("images --noheading --filter reference=second").lines().count(), 2);
    let names = |flags: &str| lab.ok(&format!("images --format {{{{.Repository}}}} {flags}"));
    assert_eq!(names("--sort repository"), "localhost/box\nreg.test/second");
    assert_eq!(names("--sort tag"), "reg.test/second\nlocalhost/box");
    lab.creel("images --sort colour").run().fails(125);
    let shown = lab.ok("images --history --noheading box");
    assert!(shown.contains("localhost/box:latest, reg.test/second:2"), "{shown}");
    lab.ok("untag box localhost/box");
    let row = lab.json("images --format '{{json .}}'");
    assert_eq!(row["repository"], "reg.test/second");
}

#[test]
fn a_full_name_shows_the_image_under_that_name_only() {
    let lab = Lab::new();
    lab.ok("tag box reg.test/second:2 localhost/box:v2");
    let all = "localhost/box:latest localhost/box:v2 reg.test/second:2";
    let names = |flags: &str| {
        let text = lab.ok(&format!("images --format {{{{.Repository}}}}:{{{{.Tag}}}} {flags}"));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    for (flags, expected) in [
        ("reg.test/second:2", "reg.test/second:2"),
        ("--filter reference=localhost/box:v2", "localhost/box:v2"),
        ("localhost/box", all),
        ("box:v2", all),
        ("localhost/bo*:v2", all),
        ("--filter reference=reg.test/second:2 --filter reference=box:v2", all),
    ] {
        assert_eq!(names(flags), expected, "{flags}");
    }
    assert_eq!(lab.json("images --format json reg.test/second:2")[0]["Names"][0], "reg.test/second:2");
    let error = lab.creel("images --filter digest=abc").run().fails(125);
    assert!(error.contains("invalid value \"abc\" for digest filter"), "{error}");
}

#[test]
fn the_tree_shows_layers_and_what_is_built_on_them() {
    let lab = Lab::new();
    lab.ok("run --name c --network none box touch /x");
    lab.ok("commit -q c derived");
    let tree = lab.ok("image tree derived");
    assert_eq!(tree.lines().filter(|line| line.contains("── ID: ")).count(), 2, "{tree}");
    assert!(tree.contains("Top Layer of: [localhost/box:latest]"), "{tree}");
    let tree = lab.ok("image tree --whatrequires box");
    assert!(tree.contains("Top Layer of: [localhost/derived:latest]"), "{tree}");
    assert!(!lab.ok("image tree box").contains("derived"));
    lab.creel("image tree nosuch").run().fails(125);
}

#[test]
fn parents_without_a_name_are_left_out_of_filtered_lists_too() {
    let lab = Lab::new();
    lab.write("Containerfile", "FROM box\nLABEL kind=x\nENV A=1\nENV B=2\n");
    lab.ok("build -q -t made .");
    assert_eq!(lab.ok("images -q --filter label=kind=x").lines().count(), 1);
    assert_eq!(lab.ok("images -qa --filter label=kind=x").lines().count(), 3);
}

#[test]
fn a_field_that_is_not_there_is_named_with_those_that_are() {
    let lab = Lab::new();
    let error = lab.creel("images --format {{.Nope}}").run().fails(125);
    assert!(error.contains("can't evaluate field Nope in type images.imageReporter"), "{error}");
    if !crate::lab::differs_on_purpose("Podman has no hints") {
        assert!(error.contains("there are .Repository"), "{error}");
    }
}

#[test]
fn images_of_additional_stores_are_used_and_never_changed() {
    let lab = Lab::empty();
    let (other, run) = (lab.path("other"), lab.path("other-run"));
    let archive = lab.box_archive().display().to_string();
    lab.ok(&format!("--root {} --runroot {} load -q -i {archive}", other.display(), run.display()));
    assert_eq!(lab.ok("images -q"), "");
    let with = |line: &str| lab.creel(&format!("--storage-opt additionalimagestore={} {line}", other.display())).run();
    let row = |text: String| text.split_whitespace().last().unwrap().to_owned();
    assert_eq!(row(with("images").ok().lines().next().unwrap().to_owned()), "R/O");
    assert_eq!(row(with("images --noheading").ok()), "true");
    assert_eq!(with("images -q --filter readonly=true").ok().lines().count(), 1);
    assert_eq!(with("run --rm --network none box cat /content/one").ok(), "one");
    let error = with("rmi box").fails(125);
    assert!(error.contains("cannot remove read-only image"), "{error}");
    with("rmi -af").ok();
    with("image prune -af").ok();
    assert_eq!(with("images -q").ok().lines().count(), 1);
    with("tag box mine").ok();
    assert_eq!(
        with("images --format '{{.Repository}} {{.ReadOnly}}' mine").ok().lines().next().unwrap(),
        "localhost/mine false"
    );
    lab.write("Containerfile", "FROM box\nRUN touch /x\n");
    with("build -q -t built .").ok();
    assert_eq!(with("run --rm --network none built cat /content/one").ok(), "one");
    with("rmi -f mine built").ok();
    assert_eq!(with("run --rm --network none box cat /content/one").ok(), "one");
}

#[test]
fn an_image_store_of_its_own_takes_what_is_new() {
    let lab = Lab::new();
    let with = |line: &str| lab.creel(&format!("--imagestore {} {line}", lab.path("elsewhere").display())).run();
    lab.write("root.tar", crate::lab::archive::Archive::new().directory("etc", 0o755).bytes());
    with("import -q root.tar new").ok();
    assert_eq!(with("images --format {{.Repository}}").ok().lines().count(), 2);
    assert_eq!(with("run --rm --network none box cat /content/one").ok(), "one");
    with("run --name c --network none box touch /x").ok();
    with("commit -q c committed").ok();
    assert_eq!(with("run --rm --network none committed ls /x").ok(), "/x");
    assert_eq!(lab.ok("images --format {{.Repository}}"), "localhost/box");
    with("rmi new").ok();
    let left = with("images --filter readonly=false --format {{.Repository}}").ok();
    assert!(left.contains("localhost/committed") && !left.contains("localhost/new"), "{left}");
}

#[test]
fn images_are_copied_to_other_machines_and_users() {
    let lab = Lab::new();
    for (words, told) in [
        ("", "accepts between 1 and 2 arg(s), received 0"),
        (" box", "must specify a destination: invalid argument"),
        (" box nosuchuser@localhost::", "user: unknown user nosuchuser"),
    ] {
        let error = lab.creel(&format!("image scp{words}")).run().fails(125);
        assert!(error.contains(told), "{error}");
    }
    if crate::lab::differs_on_purpose("Podman speaks ssh itself") {
        return;
    }
    // The other machine is another store of this one.
    let there = format!(
        "{} --root {} --runroot {} \"$@\"",
        crate::lab::program().display(),
        lab.path("far").display(),
        lab.path("far-run").display()
    );
    let bin = lab.folder("bin");
    lab.executable("bin/creel", &format!("#!/bin/sh\nexec {there}\n"));
    lab.executable("bin/ssh", "#!/bin/sh\n[ \"$1 $2\" = '-- me@far' ] || exit 7\nexec sh -c \"$3\"\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let scp = |words: &str| lab.creel(&format!("image scp {words}")).env("PATH", &path).run();
    assert_eq!(scp("-q box me@far::").ok(), "Loaded image: localhost/box:latest");
    lab.ok("rmi -af");
    assert_eq!(scp("-q me@far::box").ok(), "Loaded image: localhost/box:latest");
    lab.ok("run --rm --network none box true");
    scp("nosuch me@far::").fails(125);
    scp("me@far::nosuch").fails(125);
    scp("box me@elsewhere::").fails(125);
    // Another user of this machine, whom sudo lets in.
    lab.executable("bin/sudo", "#!/bin/sh\n[ \"$1 $2 $3 $4\" = '-i -u root --' ] || exit 7\nshift 4; exec \"$@\"\n");
    lab.ok("tag box again");
    assert_eq!(scp("-q again root@localhost::").ok(), "Loaded image: localhost/again:latest");
    lab.ok("rmi again");
    assert_eq!(scp("-q root@localhost::again").ok(), "Loaded image: localhost/again:latest");
    let error = lab.creel("image sign box").run().fails(125);
    assert!(error.contains("no identity provided"), "{error}");
}
