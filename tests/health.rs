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

#[test]
fn the_image_s_check_takes_the_flags_that_are_given() {
    let lab = Lab::new();
    let draft = crate::lab::image::box_with(serde_json::json!({
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 7_000_000_000u64, "Timeout": 9_000_000_000u64 }
    }));
    let archive = lab.write("h.tar", draft.docker_archive(&["localhost/checked:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    if differs_on_purpose("podman passes over the flags unless the command is given, too") {
        return;
    }
    lab.ok("create --name one --health-interval 5s checked idle");
    let check = lab.json("container inspect one")[0]["Config"]["Healthcheck"].clone();
    assert_eq!(check["Test"], serde_json::json!(["CMD", "true"]));
    assert_eq!((check["Interval"].as_u64(), check["Timeout"].as_u64()), (Some(5_000_000_000), Some(9_000_000_000)));
    lab.ok("create --name two --health-interval 5s box idle");
    assert!(lab.json("container inspect two")[0]["Config"]["Healthcheck"].is_null());
}

#[test]
fn the_regular_checks_wait_for_the_startup_check() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd 'echo regular' --health-interval 200ms \
         --health-startup-cmd 'echo startup; test -e /up' --health-startup-interval 100ms --health-startup-success 2 \
         box idle");
    let checks = || lab.inspect("one", "{{range .State.Health.Log}}{{.Output}}{{end}}");
    eventually("it was checked", || checks().contains("startup"));
    assert_eq!(lab.inspect("one", "{{.State.Health.Status}}"), "starting");
    assert!(!checks().contains("regular"));
    lab.ok("exec one touch /up");
    eventually("healthy", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
    eventually("only regular checks run", || !checks().contains("startup"));
}

#[test]
fn a_container_that_does_not_come_up_is_started_again() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --stop-timeout 0 --health-cmd true --health-interval 200ms \
         --health-startup-cmd 'test -e /up' --health-startup-interval 100ms --health-startup-retries 2 \
         box sh -c 'echo begun; test -e /second && touch /up; touch /second; idle'");
    eventually("it came up the second time", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
    // More often where it needs longer to begin than the checks have patience.
    assert!(lab.ok("logs one").lines().filter(|line| *line == "begun").count() >= 2);
}

#[test]
fn an_unhealthy_container_is_stopped_or_started_again_when_asked() {
    if without_timers() {
        return;
    }
    let lab = Lab::new();
    let run = "run -d --network none --health-interval 200ms --health-retries 2 --stop-timeout 0";
    lab.ok(&format!("{run} --name stopped --restart always --health-cmd false --health-on-failure stop box idle"));
    eventually("it was stopped", || lab.state("stopped") == "exited");
    lab.ok(&format!(
        "{run} --name again --health-cmd 'test -e /second' --health-on-failure restart \
         box sh -c 'test -e /first && touch /second; touch /first; idle'"
    ));
    eventually("it is well the second time", || lab.inspect("again", "{{.State.Health.Status}}") == "healthy");
    // A stop by its own check holds, whatever the restart policy.
    assert_eq!(lab.state("stopped"), "exited");
}

#[test]
fn results_go_where_they_are_wanted() {
    let lab = Lab::new();
    let dir = lab.folder("results");
    let id = lab.ok(&format!(
        "run -d --name one --network none --health-cmd 'echo 0123456789' --health-interval disable \
         --health-log-destination {} --health-max-log-count 2 --health-max-log-size 4 box idle",
        dir.display()
    ));
    for _ in 0..3 {
        lab.ok("healthcheck run one");
    }
    let text = lab.read(&format!("results/{id}-healthcheck.log"));
    let log: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["Status"], "healthy");
    assert_eq!(log["Log"].as_array().unwrap().len(), 2);
    assert_eq!(log["Log"][1]["Output"], "0123");
    lab.ok("run -d --name two --network none --health-cmd 'echo seen' --health-interval disable \
         --health-log-destination events_logger box idle");
    lab.ok("healthcheck run two");
    let line = "events --stream=false --filter event=health_status --filter container=two";
    let told = lab.ok(line);
    assert!(told.contains("health_status=healthy") && told.contains("\"Output\":\"seen"), "{told}");
}

#[test]
fn what_means_nothing_without_a_check_is_refused() {
    let lab = Lab::new();
    for (flags, told) in [
        (
            "--health-log-destination /nowhere --health-cmd true",
            "running container create option: HealthCheck Log '/nowhere' destination error: stat /nowhere: no such file or directory",
        ),
        (
            "--health-log-destination /etc/passwd --health-cmd true",
            "running container create option: HealthCheck Log '/etc/passwd' destination must be directory",
        ),
        (
            "--health-startup-cmd true",
            "cannot set a startup healthcheck when there is no regular healthcheck: invalid argument",
        ),
        ("--health-on-failure kill", "cannot set on-failure action to kill without a health check"),
    ] {
        let error = lab.creel(&format!("create --network none {flags} box true")).run().fails(125);
        assert_eq!(error.lines().next().unwrap(), format!("Error: {told}"));
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_check_that_cannot_be_is_refused() {
    let lab = Lab::new();
    lab.ok("create --name made --network none box true");
    for (line, error) in [
        ("healthcheck run made", " is not running"),
        ("create --health-cmd [] box true", "Error: must define a healthcheck command for all healthchecks"),
        (
            "create --health-cmd x --health-startup-cmd x --health-startup-interval foo box true",
            "Error: invalid healthcheck-interval: time: invalid duration \"foo\"",
        ),
        ("create --health-cmd x --health-timeout 0s box true", "Error: healthcheck-timeout must be at least 1 second"),
    ] {
        let said = lab.creel(line).run().fails(125);
        assert!(said.contains(error), "{line}: {said}");
    }
}

#[test]
fn only_a_running_container_is_checked_and_no_time_is_no_time() {
    let lab = Lab::new();
    lab.ok("create --name one --network none --health-cmd true box idle");
    let text = lab.creel("healthcheck run one").run().fails(125);
    assert!(text.contains("is not running"), "{text}");
    for flag in ["--health-timeout 0s", "--health-start-period -1s", "--health-retries -1"] {
        lab.creel(&format!("create --network none --health-cmd true {flag} box idle")).run().fails(125);
    }
}

#[test]
fn checks_are_quicker_until_the_first_success() {
    if differs_on_purpose("podman does not have the flag") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none --health-cmd 'test -e /well' --health-interval 1h --health-start-period 1h --health-start-interval 200ms box idle");
    assert_eq!(lab.inspect("one", "{{.Config.Healthcheck.StartInterval}}"), "200ms");
    lab.ok("exec one touch /well");
    eventually("healthy", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
}
