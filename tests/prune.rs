//! `container prune`, `image prune`, `volume prune`, `system prune`

use crate::lab::{Lab, eventually, is_podman};

#[test]
fn container_prune_takes_what_does_not_run() {
    let lab = Lab::new();
    lab.ok("run -d --name runs --network none box idle");
    let ended = lab.ok("run -d --name ended --network none box true");
    eventually("it ended", || lab.state("ended") == "exited");
    let fresh = lab.ok("create --name fresh --network none box true");
    let text = lab.ok("container prune -f");
    assert!(text.contains(&ended) && text.contains(&fresh), "{text}");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "runs");
}

#[test]
fn prune_asks_first_and_no_is_no_failure() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let outcome = lab.creel("container prune").input("n\n").run();
    assert!(outcome.ok().contains("Are you sure you want to continue? [y/N]"), "{outcome}");
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
    lab.creel("container prune").input("y\n").run().ok();
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn filters_limit_what_is_pruned() {
    let lab = Lab::new();
    lab.ok("create --name a -l keep=no --network none box true");
    lab.ok("create --name b --network none box true");
    lab.ok("container prune -f --filter label=keep=no");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "b");
    lab.ok("container prune -f --filter until=1h");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "b");
    lab.ok("container prune -f --filter label!=keep");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn image_prune_takes_images_without_a_name_or_all_unused() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box touch /x");
    let bare = lab.ok("commit -q one");
    lab.ok("rm one");
    let text = lab.ok("image prune -f");
    assert!(text.contains(&bare[..12]), "{text}");
    lab.ok("image exists box");
    lab.ok("create --name user --network none box true");
    lab.ok("image prune -a -f");
    lab.ok("image exists box");
    lab.ok("rm user");
    lab.ok("image prune -a -f");
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn volume_prune_takes_unused_volumes() {
    let lab = Lab::new();
    lab.ok("volume create loose");
    lab.ok("create --name user -v used:/used --network none box true");
    // Podman 6.0's rule, ahead of the one that is installed.
    let all = if is_podman() { "volume prune -f" } else { "volume prune -a -f" };
    if !is_podman() {
        lab.ok("run --name once -v /data --network none box true");
        lab.ok("rm once");
        let anonymous = lab.ok("volume ls -q --filter anonymous=true");
        assert_eq!(lab.ok("volume prune --dry-run"), anonymous);
        assert_eq!(lab.ok("volume prune -f"), anonymous);
        assert_eq!(lab.ok("volume ls -q"), "loose\nused");
    }
    assert_eq!(lab.ok(all), "loose");
    assert_eq!(lab.ok("volume ls -q"), "used");
}

#[test]
fn system_prune_takes_it_all_and_says_how_much() {
    let lab = Lab::new();
    lab.ok("create --name one -v loose:/x --network none box true");
    let text = lab.ok("system prune -f");
    assert!(text.contains("Deleted Containers") && text.contains("Total reclaimed space:"), "{text}");
    lab.ok("image exists box");
    assert_eq!(lab.ok("volume ls -q"), "loose");
    lab.ok("system prune -a -f --volumes");
    assert_eq!(lab.ok("images -q"), "");
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn system_prune_takes_networks_too_and_what_is_not_there_is_no_error() {
    let lab = Lab::new();
    lab.ok("network create unused");
    lab.ok("create --name stopped --network none -v kept:/v box true");
    let said = lab.ok("system prune --force");
    assert!(said.contains("Deleted Containers\n") && said.contains("Deleted Networks\nunused"), "{said}");
    assert!(said.contains("Total reclaimed space: "), "{said}");
    assert_eq!(lab.ok("volume ls -q"), "kept");
    assert_eq!(lab.ok("network ls -q"), "podman");
    assert_eq!(lab.ok("system prune --external"), "");
    lab.ok("system prune --force --build");
    lab.ok("image prune --force --build-cache");
    lab.creel("system prune --external --volumes").run().fails(125);
    lab.creel("system prune --force --filter colour=red").run().fails(125);
    let asked = lab.creel("system prune --all --volumes").input("n\n").run();
    for line in ["all networks", "all volumes", "all images without at least one container"] {
        assert!(asked.ok().contains(line), "{asked}");
    }
    lab.ok("image exists box");
}

#[test]
fn a_time_that_is_none_is_refused_by_every_filter() {
    let lab = Lab::empty();
    for line in
        ["container prune -f", "volume prune -f", "network prune -f", "image prune -f", "ps", "images", "volume ls"]
    {
        let error = lab.creel(&format!("{line} --filter until=zz")).run().fails(125);
        assert_eq!(error.lines().next(), Some("Error: failed to parse value as time or duration: \"zz\""), "{line}");
    }
}
