//! Health checks.

use crate::lab::{Lab, differs_on_purpose, eventually};

fn without_timers() -> bool {
    differs_on_purpose("podman leaves the time to systemd, which does not run everywhere")
}

#[test]
fn the_check_decides_between_healthy_and_unhealthy() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd 'test -e /well' --health-interval 200ms --health-retries 2 --health-start-period 0s box idle");
    eventually("unhealthy", || lab.inspect("one", "{{.State.Health.Status}}") == "unhealthy");
    lab.ok("exec one touch /well");
    eventually("healthy", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
    assert!(lab.ok("ps").contains("(healthy)"));
    assert_eq!(lab.ok("ps --filter health=healthy --format {{.Names}}"), "one");
    let json = lab.json("container inspect one");
    let log = json[0]["State"]["Health"]["Log"].as_array().unwrap();
    assert!(!log.is_empty() && log.len() <= 5, "{log:?}");
    assert_eq!(log.last().unwrap()["ExitCode"], 0);
}

#[test]
fn a_check_can_be_run_by_hand() {
    let lab = Lab::new();
    lab.ok(
        "run -d --name one --network none --health-cmd 'echo looked; test -e /well' --health-interval disable box idle",
    );
    let outcome = lab.creel("healthcheck run one").run();
    assert_eq!(outcome.exit_code(), 1, "{outcome}");
    lab.ok("exec one touch /well");
    lab.ok("healthcheck run one");
    lab.ok("run -d --name two --network none box idle");
    lab.creel("healthcheck run two").run().fails(125);
}

#[test]
fn an_unhealthy_container_is_killed_when_asked() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd false --health-interval 200ms --health-retries 1 --health-on-failure kill box idle");
    eventually("it was killed", || lab.state("one") == "exited");
    assert_eq!(lab.inspect("one", "{{.State.ExitCode}}"), "137");
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd 'sleep 100' --health-interval 300ms --health-timeout 1s --health-retries 1 box idle");
    eventually("unhealthy", || lab.inspect("one", "{{.State.Health.Status}}") == "unhealthy");
}

#[test]
fn the_image_s_check_is_used_unless_refused() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    let draft = crate::lab::image::box_with(
        serde_json::json!({ "Healthcheck": { "Test": ["CMD", "true"], "Interval": 200_000_000 } }),
    );
    let archive = lab.write("h.tar", draft.docker_archive(&["localhost/checked:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    lab.ok("run -d --name one --network none checked idle");
    eventually("healthy", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
    lab.ok("run -d --name two --network none --no-healthcheck checked idle");
    assert!(!lab.creel_words(&["inspect", "--format", "{{json .State.Health}}", "two"]).run().ok().contains("healthy"));
}

#[test]
fn before_the_first_check_it_is_starting() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd true --health-interval 1h box idle");
    eventually("it has been checked or is starting", || {
        ["starting", "healthy"].contains(&lab.inspect("one", "{{.State.Health.Status}}").as_str())
    });
    lab.creel("run --rm --health-cmd true --health-interval nonsense box true").run().fails(125);
}
