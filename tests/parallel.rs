//! Many at once.

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Background, Lab, is_podman};

const MANY: usize = 32;

fn all_end_well(running: Vec<Background>) -> Vec<String> {
    running.into_iter().map(|running| running.end().ok()).collect()
}

#[test]
fn thirty_two_runs_at_once_all_succeed() {
    let lab = Lab::new();
    let running =
        (0..MANY).map(|number| lab.creel(&format!("run --rm --network none box echo {number}")).spawn()).collect();
    let expected: Vec<String> = (0..MANY).map(|number| number.to_string()).collect();
    assert_eq!(all_end_well(running), expected);
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn thirty_two_detached_with_a_network_all_run() {
    let lab = Lab::new();
    let running = (0..MANY).map(|number| lab.creel(&format!("run -d --name c{number} box idle")).spawn()).collect();
    let mut ids = all_end_well(running);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    assert_eq!(lab.ok("ps -q").lines().count(), MANY);
    let running = (0..MANY).map(|number| lab.creel(&format!("rm -f -t 0 c{number}")).spawn()).collect();
    all_end_well(running);
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn the_same_name_is_given_once() {
    let lab = Lab::new();
    let running: Vec<_> = (0..16).map(|_| lab.creel("run -d --name only --network none box idle").spawn()).collect();
    let codes: Vec<i32> = running.into_iter().map(|running| running.end().exit_code()).collect();
    assert_eq!(codes.iter().filter(|&&code| code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 125].contains(code)), "{codes:?}");
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
}

#[test]
fn eight_pulls_of_one_image_all_succeed() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let name = registry.name("box");
    let running = (0..8).map(|_| lab.creel(&format!("pull -q --tls-verify=false {name}")).spawn()).collect();
    for id in all_end_well(running) {
        assert_eq!(id, box_draft().id());
    }
    assert_eq!(lab.ok("images -q").lines().count(), 1);
    assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /content/one")), "one");
    if !is_podman() {
        lab.ok("system check");
    }
}

#[test]
fn loading_removing_and_running_do_not_disturb_each_other() {
    let lab = Lab::new();
    let archive = lab.write("b.tar", box_draft().docker_archive(&["localhost/other:latest"]));
    let mut running = Vec::new();
    for _ in 0..6 {
        running.push(lab.creel(&format!("load -q -i {}", archive.display())).spawn());
        running.push(lab.creel("run --rm --network none box true").spawn());
        running.push(lab.creel("ps -a").spawn());
        running.push(lab.creel("images").spawn());
        running.push(lab.creel("rmi --ignore other").spawn());
    }
    for running in running {
        let outcome = running.end();
        // An image may be gone when its remover comes second.
        assert!([0, 1].contains(&outcome.exit_code()), "{outcome}");
    }
    lab.ok("run --rm --network none box true");
    if !is_podman() {
        lab.ok("system check");
    }
}

#[test]
fn starting_and_stopping_one_container_from_everywhere_ends_somewhere() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box idle");
    let running: Vec<_> = (0..12)
        .map(|number| {
            let verb = ["start", "stop -t 0", "restart -t 0", "inspect"][number % 4];
            lab.creel(&format!("{verb} one")).spawn()
        })
        .collect();
    for running in running {
        let outcome = running.end();
        assert!([0, 125].contains(&outcome.exit_code()), "{outcome}");
    }
    lab.ok("stop -t 0 one");
    assert!(["exited", "created"].contains(&lab.state("one").as_str()));
    lab.ok("start one");
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn a_pod_that_is_removed_while_it_is_made_leaves_nothing() {
    let lab = Lab::new();
    for _ in 0..6 {
        let verbs = ["pod create --name one", "pod rm -f -t 0 one", "pod start one", "pod rm -f -t 0 one"];
        let running: Vec<_> = (0..16).map(|number| lab.creel(verbs[number % verbs.len()]).spawn()).collect();
        for running in running {
            let outcome = running.end();
            assert!([0, 1, 125].contains(&outcome.exit_code()), "{outcome}");
        }
        lab.ok("pod rm -f -t 0 --ignore one");
        assert_eq!(lab.ok("ps -aq"), "");
    }
}
