//! `rm`

use crate::lab::{Lab, eventually};

#[test]
fn rm_prints_what_was_typed() {
    let lab = Lab::new();
    let id = lab.ok("run -d --name one --network none box true");
    eventually("it has exited", || lab.state("one") == "exited");
    assert_eq!(lab.ok("rm one"), "one");
    assert_eq!(lab.creel(&format!("container exists {id}")).run().exit_code(), 1);
}

#[test]
fn a_running_container_needs_force() {
    let lab = Lab::new();
    lab.ok("run -d --name busy --network none box sleep 1000");
    let error = lab.creel("rm busy").run().fails(2);
    assert!(error.contains("running or paused containers cannot be removed without force"), "{error}");
    assert_eq!(lab.state("busy"), "running");
    assert_eq!(lab.ok("rm -f -t 0 busy"), "busy");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_missing_container_is_1_unless_ignored_or_forced() {
    let lab = Lab::new();
    let error = lab.creel("rm nosuch").run().fails(1);
    assert!(error.contains("\"nosuch\" found: no such container"), "{error}");
    lab.ok("rm --ignore nosuch");
    lab.ok("rm -f nosuch");
}

#[test]
fn one_that_cannot_be_removed_does_not_save_the_others() {
    let lab = Lab::new();
    lab.ok("run -d --name busy --network none box sleep 1000");
    lab.ok("create --name idle --network none box true");
    lab.creel("rm busy idle").run().fails(2);
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "busy");
}

#[test]
fn all_takes_those_that_do_not_run() {
    let lab = Lab::new();
    lab.ok("create --name a --network none box true");
    lab.ok("create --name b --network none box true");
    assert_eq!(lab.ok("rm --all").lines().count(), 2);
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn volumes_flag_takes_anonymous_volumes_but_no_named_ones() {
    let lab = Lab::new();
    lab.ok("create --name one -v /scratch -v kept:/kept --network none box true");
    assert_eq!(lab.ok("volume ls -q").lines().count(), 2);
    lab.ok("rm -v one");
    assert_eq!(lab.ok("volume ls -q"), "kept");
    lab.ok("create --name two -v /scratch --network none box true");
    lab.ok("rm two");
    assert_eq!(lab.ok("volume ls -q").lines().count(), 2);
}

#[test]
fn filter_and_cidfile_name_containers_too() {
    let lab = Lab::new();
    lab.ok("create --name a -l x=y --network none box true");
    lab.ok("create --name b --cidfile id --network none box true");
    lab.ok("rm --filter label=x=y");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "b");
    lab.ok("rm --cidfile id");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_container_with_files_nobody_may_touch_is_removed() {
    let lab = Lab::new();
    let script = "mkdir /locked && touch /locked/file && chmod 000 /locked && chown -R 1000 /locked; mkdir -p /deep/$(seq -s / 60)";
    lab.creel_words(&["run", "--name", "messy", "--network", "none", "box", "sh", "-c", script]).run().ok();
    lab.ok("rm messy");
}

#[test]
fn the_start_of_an_id_is_enough_but_must_be_unambiguous() {
    let lab = Lab::new();
    let ids: Vec<String> = (0..17).map(|_| lab.ok("create --network none box true")).collect();
    // Of seventeen, two begin with the same digit.
    let digit = (0..16u8)
        .map(|digit| format!("{digit:x}"))
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1);
    lab.creel(&format!("rm {}", digit.unwrap())).run().fails(125);
    lab.ok(&format!("rm {}", &ids[0][..12]));
    assert_eq!(lab.ok("ps -aq").lines().count(), 16);
}

#[test]
fn filters_and_names_are_not_meant_together() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.creel("rm --filter name=one one").run().fails(125);
    assert_eq!(lab.state("one"), "created");
    // `-f` is force.
    lab.ok("rm -f --filter name=one");
    lab.creel("container exists one").run().code(1);
    lab.creel("rm --latest").run().fails(1);
}

#[test]
fn all_go_also_where_one_needs_another() {
    let lab = Lab::new();
    lab.ok("run -d --name owner --network none box idle");
    lab.ok("run -d --name joined --network container:owner box idle");
    lab.creel("rm -f -t 0 owner").run().fails(125);
    lab.ok("rm -f -t 0 --all");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_file_with_an_id_has_to_be_there_unless_ignored() {
    let lab = Lab::empty();
    for line in ["rm --cidfile nosuch", "rm -f --cidfile nosuch"] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains("reading CIDFile: open nosuch: no such file or directory"), "{line}: {error}");
    }
    lab.ok("rm --ignore --cidfile nosuch");
}
