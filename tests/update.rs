//! `update`

use crate::lab::{Lab, differs_on_purpose, eventually};

#[test]
fn a_restart_policy_is_changed_while_the_container_runs() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'until test -e /go; do sleep 0.1; done'");
    let id = lab.ok("update --restart on-failure:3 one");
    assert_eq!(id, lab.inspect("one", "{{.Id}}"));
    assert_eq!(
        lab.inspect("one", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
        "on-failure 3"
    );
    lab.ok("update --restart always one");
    lab.ok("exec one touch /go");
    eventually("it was started again", || lab.inspect("one", "{{.RestartCount}}") != "0");
    lab.creel("update --restart sometimes one").run().fails(125);
    lab.ok("rm -f -t 0 one");
}

#[test]
fn variables_come_and_go() {
    let lab = Lab::new();
    lab.ok("create --name one --network none -e KEPT=1 -e GONE=1 box sh -c 'echo $KEPT $GONE $NEW'");
    lab.ok("update --env NEW=3 --unsetenv GONE one");
    assert_eq!(lab.ok("start -a one"), "1 3");
    lab.ok("update --env GONE=2 one");
    assert_eq!(lab.ok("start -a one"), "1 2 3");
}

#[test]
fn a_health_check_is_changed_piece_by_piece() {
    let lab = Lab::new();
    lab.ok("create --name one --network none --health-cmd true --health-interval 5s box sleep 1000");
    lab.ok("update --health-interval 10s --health-retries 5 one");
    let check = |field: &str| lab.inspect("one", &format!("{{{{json .Config.Healthcheck{field}}}}}"));
    assert_eq!(check(".Test"), r#"["CMD-SHELL","true"]"#);
    assert_eq!(check(".Interval"), "10000000000");
    assert_eq!(check(".Retries"), "5");
    lab.ok("update --health-cmd 'echo hi' one");
    assert_eq!(check(".Test"), r#"["CMD-SHELL","echo hi"]"#);
    assert_eq!(check(".Interval"), "10000000000");
    lab.ok("update --no-healthcheck one");
    assert_eq!(check(".Test"), r#"["NONE"]"#);
    lab.creel("update --no-healthcheck --health-cmd x one").run().fails(125);
    lab.creel("update --health-on-failure explode one").run().fails(125);
}

#[test]
fn a_running_container_is_checked_as_it_is_told_now() {
    if differs_on_purpose("podman leaves the time to systemd, which does not run everywhere") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    lab.ok("update --health-cmd 'test -e /well' --health-interval 200ms --health-retries 1 one");
    eventually("unhealthy", || lab.inspect("one", "{{.State.Health.Status}}") == "unhealthy");
    lab.ok("exec one touch /well");
    eventually("healthy", || lab.inspect("one", "{{.State.Health.Status}}") == "healthy");
}

#[test]
fn limits_of_a_container_that_does_not_run_wait_for_its_start() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("update --cpus 2 --memory 100m one");
    let limits = lab.inspect("one", "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}");
    assert_eq!(limits, "2000000000 104857600 209715200");
    lab.ok("update --ulimit nofile=100:200 one");
    lab.creel("update --memory much one").run().fails(125);
    lab.creel("update nosuch").run().fails(125);
    lab.creel("update").run().fails(125);
    lab.creel("update one one").run().fails(125);
}

#[test]
fn limits_of_a_running_container_hold_at_once() {
    let Some(lab) = Lab::with_cgroup() else { return };
    for controller in ["memory", "cpu", "pids"] {
        if !lab.enable_controller(controller) {
            return crate::lab::skip(&format!("no {controller} controller is delegated here"));
        }
    }
    lab.ok("run -d --name one --network none box sleep 1000");
    lab.ok("update --memory 64m --pids-limit 77 --cpus 0.5 one");
    let path = lab.inspect("one", "{{.State.CgroupPath}}");
    let value = |file: &str| {
        let path = std::path::Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    };
    assert_eq!(value("memory.max"), (64 * 1024 * 1024).to_string());
    assert_eq!(value("pids.max"), "77");
    assert_eq!(value("cpu.max"), "50000 100000");
    lab.ok("update --memory 32m --memory-swap 32m --pids-limit -1 one");
    assert_eq!(value("memory.max"), (32 * 1024 * 1024).to_string());
    assert_eq!(value("pids.max"), "max");
    let swap = std::path::Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')).join("memory.swap.max");
    if swap.exists() {
        assert_eq!(value("memory.swap.max"), "0");
    }
}
