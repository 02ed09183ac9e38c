//! `system df`, `system check`, `system reset`

use std::process::Command;

use crate::lab::{Lab, differs_on_purpose, is_podman};

/// Bytes that the store occupies, as `du` counts.
pub(crate) fn disk_usage(path: &std::path::Path) -> u64 {
    let counted = Command::new("du").args(["-s", "-B1"]).arg(path).output().unwrap();
    String::from_utf8(counted.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// The sum over the rows of `system df`.
pub(crate) fn told_usage(lab: &Lab) -> u64 {
    lab.json("system df --format json").as_array().unwrap().iter().map(|row| row["RawSize"].as_u64().unwrap()).sum()
}

#[test]
fn df_has_a_row_for_each_kind() {
    let lab = Lab::new();
    lab.ok("create --name one -v vol:/vol --network none box true");
    let text = lab.ok("system df");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for (line, start) in lines[1..].iter().zip(["Images", "Containers", "Local Volumes"]) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(lines[1].split_whitespace().nth(1) == Some("1") && lines[3].contains(" 1 "), "{text}");
    for heading in ["REPOSITORY", "CONTAINER ID", "VOLUME NAME"] {
        assert!(lab.ok("system df -v").contains(heading));
    }
}

#[test]
fn df_counts_what_du_counts() {
    if differs_on_purpose("podman's sum counts shared layers more than once") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run --name fat -v vol:/vol --network none box sh -c 'dd if=/dev/zero of=/vol/a bs=1M count=5; dd if=/dev/zero of=/b bs=1M count=7'");
    lab.ok("commit -q fat derived");
    lab.ok("tag derived again");
    let (told, counted) = (told_usage(&lab), disk_usage(&lab.store()));
    assert!(told <= counted && counted - told < 2_000_000, "df says {told}, du {counted}");
    lab.ok("rm fat");
    lab.ok("rmi -a -f");
    lab.ok("volume rm vol");
    assert_eq!(told_usage(&lab), 0);
    crate::lab::eventually("what is thrown away is gone", || disk_usage(&lab.store()) < 200_000);
}

#[test]
fn check_finds_nothing_in_a_sound_store() {
    let lab = Lab::new();
    lab.ok("run --name one -v vol:/vol --network none box touch /x");
    lab.ok("run -d --name two --network none box idle");
    lab.ok("commit -q one derived");
    lab.ok("system check");
}

#[test]
fn check_finds_and_repairs_what_is_damaged() {
    if differs_on_purpose("the store is laid out otherwise") {
        return;
    }
    let lab = Lab::new();
    lab.ok("system check");
    // A layer nobody knows, and one that lost its content.
    let stray = lab.store().join("layers").join("0".repeat(64));
    std::fs::create_dir(&stray).unwrap();
    lab.give(&stray);
    let outcome = lab.creel("system check").run();
    assert_eq!(outcome.exit_code(), 125, "{outcome}");
    assert!(format!("{}{}", outcome.out(), outcome.err()).contains(&"0".repeat(12)), "{outcome}");
    lab.ok("system check --repair --force --max 0");
    assert!(!stray.exists());
    lab.ok("system check");
    lab.ok("run --rm --network none box true");
}

#[test]
fn reset_leaves_nothing() {
    let lab = Lab::new();
    lab.ok("run -d --name one -v vol:/vol --network none box sleep 1000");
    let asked = lab.creel("system reset").input("n\n").run().ok();
    for line in [
        "- all containers",
        "- all pods",
        "- all volumes",
        "- the graphRoot directory: \"",
        "- the runRoot directory: \"",
    ] {
        assert!(asked.contains(&format!("\n        {line}")), "{asked}");
    }
    lab.ok("image exists box");
    lab.ok("system reset --force");
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("images -q"), "");
    assert_eq!(lab.ok("volume ls -q"), "");
    if !is_podman() {
        assert!(disk_usage(&lab.store()) < 200_000);
    }
}

#[test]
fn renumber_and_migrate_have_nothing_to_do_and_take_no_words() {
    let lab = Lab::empty();
    for command in ["renumber", "migrate"] {
        assert_eq!(lab.ok(&format!("system {command}")), "");
        let refused = lab.creel(&format!("system {command} now")).run().fails(125);
        assert!(refused.ends_with(&format!("system {command}` takes no arguments")), "{refused}");
    }
    let refused = lab.creel("system check --max 1x").run().fails(125);
    assert!(refused.contains("time: unknown unit \"x\" in duration \"1x\""), "{refused}");
}

#[test]
fn what_belongs_to_other_machines_is_refused_with_the_reason() {
    if crate::lab::differs_on_purpose("Podman has remote connections and virtual machines") {
        return;
    }
    let lab = Lab::empty();
    for line in ["machine ls", "system connection ls", "farm list", "context ls"] {
        let refused = lab.creel(line).run().fails(125);
        assert!(refused.starts_with("Error: creel has no \"") && !refused.contains("yet"), "{refused}");
    }
    for flags in ["--remote", "-r", "--url ssh://me@there", "--connection there", "-H tcp://there:2375"] {
        for command in ["ps", "run box true"] {
            let refused = lab.creel(&format!("{flags} {command}")).run().fails(125);
            assert!(refused.starts_with("Error: creel has no remote connections"), "{refused}");
        }
    }
    let refused = lab.creel("--storage-opt ignore_chown_errors=maybe ps").run().fails(125);
    assert!(refused.contains("neither true nor false"), "{refused}");
    let refused = lab.creel("--module nowhere ps").run().fails(1);
    assert!(refused.contains("could not resolve module \"nowhere\""), "{refused}");
}

#[test]
fn df_counts_names_of_images_as_its_rows_do() {
    let lab = Lab::new();
    lab.ok("tag box one two");
    assert!(lab.ok("system df --format '{{.Type}} {{.Total}}'").contains("Images 3"));
    lab.ok("untag box");
    assert!(lab.ok("system df --format '{{.Type}} {{.Total}}'").contains("Images 1"));
}
