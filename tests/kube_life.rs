//! What becomes of played pods by themselves: init containers that are tried again, what is killed, what goes by the
//! clock. Podman keeps none of it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, Process, comes_true, differs_on_purpose, eventually};

fn nobody_keeps() -> bool {
    differs_on_purpose("podman keeps nothing of what it plays")
}

/// A pod `one` with an init container `first`, both with `/t` in common.
fn pod_with_init(policy: &str, init: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: one }}
spec:
  restartPolicy: {policy}
  terminationGracePeriodSeconds: 0
  initContainers:
  - {{ name: first, image: localhost/box, command: [sh, -c, '{init}'], volumeMounts: [{{ name: t, mountPath: /t }}] }}
  containers:
  - {{ name: it, image: localhost/box, command: [idle], volumeMounts: [{{ name: t, mountPath: /t }}] }}
  volumes: [{{ name: t, emptyDir: {{}} }}]
"
    )
}

/// The column STATUS of all pods.
fn shown(lab: &Lab) -> Vec<String> {
    let table = lab.ok("kube get pods --no-headers");
    table.lines().filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned)).collect()
}

fn supervisor(lab: &Lab) -> Option<Process> {
    lab.processes().into_iter().find(|process| process.command.contains("__kube-supervisor"))
}

#[test]
fn an_init_container_that_fails_is_tried_again() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", pod_with_init("Always", "test -e /t/second || { touch /t/second; exit 3; }"));
    lab.ok("kube play pod.yaml");
    assert_eq!(shown(&lab), ["Running"]);
    assert_eq!(lab.inspect("one-first", "{{.RestartCount}}"), "1");
    lab.ok("kube down pod.yaml");
}

#[test]
fn a_container_that_is_not_ready_at_first_is_asked_again_before_a_whole_period_is_over() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: one }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: it
    image: localhost/box
    command: [idle]
    readinessProbe:
      exec: { command: [sh, -c, 'test -e /asked || { touch /asked; exit 1; }'] }
      periodSeconds: 3600
      timeoutSeconds: 60
",
    );
    lab.ok("kube play pod.yaml");
    lab.ok("kube wait --for=condition=Ready pod/one --timeout=300s");
    lab.ok("kube down pod.yaml");
}

#[test]
fn an_init_container_of_type_once_runs_at_the_first_start_alone() {
    let lab = Lab::new();
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: { io.podman.annotations.init.container.type: once }
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{ name: t, emptyDir: {} }]
  initContainers:
  - name: first
    image: localhost/box
    imagePullPolicy: Never
    command: [sh, -c, echo ran >> /t/f]
    volumeMounts: [{ name: t, mountPath: /t }]
  containers:
  - name: c
    image: localhost/box
    imagePullPolicy: Never
    command: [idle]
    volumeMounts: [{ name: t, mountPath: /t }]
",
    );
    let played = lab.creel("kube play pod.yaml").run();
    assert_eq!(played.err(), "");
    played.ok();
    lab.creel("container exists p-first").run().code(1);
    lab.ok("pod restart p");
    assert_eq!(lab.ok("exec p-c cat /t/f"), "ran");
    if !differs_on_purpose("podman has no kube get") {
        assert!(lab.ok("kube get pods").contains("1/1     Running"), "{}", lab.ok("kube get pods"));
        assert!(lab.ok("kube play pod.yaml").contains("unchanged"));
    }
    lab.ok("kube down --force pod.yaml");
}

#[test]
fn a_pod_whose_init_container_never_succeeds_says_so_and_can_be_taken_down() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", pod_with_init("OnFailure", "echo not yet; exit 3"));
    let playing = lab.creel("kube play pod.yaml").within(60).spawn();
    eventually("it is seen to fail", || shown(&lab) == ["Init:CrashLoopBackOff"]);
    assert!(lab.ok("kube logs one -c first").contains("not yet"));
    // The play may go before: whoever starts the pod stays.
    kill(Pid::from_raw(playing.pid()), Signal::SIGINT).unwrap();
    let played = playing.end();
    assert!(played.exit_code() != 0 || played.err().contains("is still on its way"), "{}", played.err());
    // Between two tries; in one of them it is said to run.
    eventually("it goes on failing", || shown(&lab) == ["Init:CrashLoopBackOff"]);
    assert_eq!(lab.ok("kube play pod.yaml"), "pod/one unchanged");
    lab.ok("kube down pod.yaml");
    eventually("nobody is left", || lab.processes().is_empty());
}

#[test]
fn with_restart_policy_never_a_failed_init_container_is_the_end_of_the_pod() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", pod_with_init("Never", "echo never; exit 3"));
    lab.ok("kube play pod.yaml");
    assert_eq!(shown(&lab), ["Init:Error"]);
    assert_eq!(lab.json("kube get pod one -o json")["status"]["phase"], "Failed");
    assert!(lab.ok("kube logs one -c first").contains("never"));
    eventually("nothing of it runs", || lab.processes().is_empty());
    assert_eq!(lab.ok("kube play pod.yaml"), "pod/one unchanged");
    lab.ok("kube down pod.yaml");
}

#[test]
fn an_init_container_may_wait_for_the_service_of_another_pod_of_the_file() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    let server = "
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { selector: { app: db }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: db, labels: { app: db } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: it, image: localhost/box, command: [sh, -c, 'sleep 0.5; mkdir /w; exec httpd -f -p 80 -h /w'] }
";
    // Before the Service has its address a try goes out into the world, and somebody there may take it and say nothing.
    let wait = "until timeout 5 nc -w 1 $DB_SERVICE_HOST 80 < /dev/null; do sleep 0.1; done";
    lab.write("both.yaml", pod_with_init("Always", wait) + server);
    lab.ok("kube play both.yaml");
    assert_eq!(shown(&lab), ["Running", "Running"]);
    lab.ok("kube down both.yaml");
}

/// A Deployment `web` of one pod.
fn deployment(init: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers: [{{ name: first, image: localhost/box, command: [sh, -c, '{init}'] }}]
      containers: [{{ name: it, image: localhost/box, command: [idle] }}]
"
    )
}

#[test]
fn a_deployment_whose_init_container_fails_is_mended_by_the_next_play() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("web.yaml", deployment("exit 1"));
    let playing = lab.creel("kube play web.yaml").within(60).spawn();
    eventually("it is seen to fail", || shown(&lab) == ["Init:CrashLoopBackOff"]);
    playing.signal(Signal::SIGKILL);
    playing.end().exit_code();
    lab.write("web.yaml", deployment("true"));
    lab.ok("kube play web.yaml");
    eventually("the new one is alone", || shown(&lab) == ["Running"]);
    lab.ok("kube down web.yaml");
    eventually("nobody is left", || lab.processes().is_empty());
}

#[test]
fn a_supervisor_with_nothing_to_do_sleeps() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("web.yaml", deployment("true"));
    lab.ok("kube play web.yaml");
    let pid = supervisor(&lab).expect("a supervisor").pid;
    let wakings = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    // What it is told of the start may still be on its way.
    assert!(comes_true(Duration::from_secs(20), || {
        let before = wakings();
        std::thread::sleep(Duration::from_secs(3));
        wakings() == before
    }));
    // And it wakes up when there is something to do.
    lab.ok("kube scale deploy/web --replicas 2");
    eventually("there are two", || shown(&lab) == ["Running", "Running"]);
    lab.ok("kube down web.yaml");
}

#[test]
fn a_container_whose_monitor_was_killed_is_started_again() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("web.yaml", deployment("true"));
    lab.ok("kube play web.yaml");
    let monitor = || lab.inspect("web-pod-it", "{{.State.ConmonPid}}").parse::<i32>().unwrap();
    let killed = monitor();
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    eventually("it runs again", || lab.state("web-pod-it") == "running" && monitor() != killed);
    // The one of the infra container: all of the pod is made anew.
    let before = lab.ok("pod ps -q");
    let infra = lab.ok("pod inspect web-pod --format '{{.InfraContainerID}}'");
    let killed: i32 = lab.inspect(&infra, "{{.State.ConmonPid}}").parse().unwrap();
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    eventually("another pod runs", || shown(&lab) == ["Running"] && lab.ok("pod ps -q") != before);
    lab.ok("kube down web.yaml");
}
