//! Kubernetes' probes, hooks and sidecars, of pods that `kube play` makes: run from the pod's network, with nothing needed
//! in the image.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::lab::{Lab, eventually, is_podman};

/// A pod with these lines below `spec`, played.
fn play(lab: &Lab, spec: &str) {
    lab.write(
        "pod.yaml",
        format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  terminationGracePeriodSeconds: 3\n{spec}"),
    );
    lab.ok("kube play pod.yaml");
}

/// A directory in which containers write down what happened.
fn told(lab: &Lab) -> PathBuf {
    let dir = lab.path("told");
    std::fs::create_dir(&dir).unwrap();
    // The user that runs the containers may be another one than ours.
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

fn status(lab: &Lab, name: &str) -> String {
    lab.ok(&format!("ps -a --filter name={name} --format {{{{.Status}}}}"))
}

#[test]
fn a_container_starts_gets_ready_and_stops_being_ready() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    play(
        &lab,
        "  containers:
  - name: web
    image: localhost/box
    command: [sh, -c, 'until [ -e /go ]; do sleep 0.05; done; exec httpd -f -p 80 -h /www']
    startupProbe:
      httpGet: { path: /, port: 80, httpHeaders: [{ name: X-A, value: b }] }
      periodSeconds: 1
      failureThreshold: 60
    readinessProbe:
      exec: { command: [test, -e, /ready] }
      periodSeconds: 1
      failureThreshold: 1
    livenessProbe:
      tcpSocket: { port: 80 }
      periodSeconds: 1
",
    );
    assert!(status(&lab, "p-web").ends_with("(starting)"), "{}", status(&lab, "p-web"));
    lab.ok("exec p-web touch /go");
    eventually("it has started and is not ready", || status(&lab, "p-web").ends_with("(unhealthy)"));
    lab.ok("exec p-web touch /ready");
    eventually("it is ready", || status(&lab, "p-web").ends_with("(healthy)"));
    lab.ok("exec p-web rm /ready");
    eventually("it is not ready any more", || status(&lab, "p-web").ends_with("(unhealthy)"));
    assert_eq!(lab.ok("inspect --format {{.RestartCount}} p-web"), "0");
}

#[test]
fn a_container_that_does_not_live_is_started_again() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    play(
        &lab,
        "  containers:
  - name: deaf
    image: localhost/box
    command: [sh, -c, 'trap \"rm /up; exit 0\" TERM; echo run; touch /up; while :; do sleep 0.05; done']
    startupProbe:
      exec: { command: [test, -e, /up] }
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      grpc: { port: 9000 }
      periodSeconds: 1
      failureThreshold: 1
",
    );
    // The first restart is at once; before the second there is a pause of ten seconds.
    eventually("it waits for its second restart", || {
        lab.ok("inspect --format {{.RestartCount}} p-deaf") == "1" && status(&lab, "p-deaf").starts_with("Exited (0)")
    });
    assert_eq!(lab.ok("logs p-deaf"), "run\nrun");
    let told = lab.ok("events --stream=false --filter event=health_status --format '{{.Name}} {{.HealthStatus}}'");
    assert!(told.lines().any(|line| line == "p-deaf unhealthy"), "{told}");
    lab.ok("kube down pod.yaml");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    let dir = told(&lab);
    play(
        &lab,
        &format!(
            "  containers:
  - name: hooked
    image: localhost/box
    command: [sh, -c, 'trap \"echo signalled >> /told/log; exit 0\" TERM; echo listens; while :; do sleep 0.05; done']
    lifecycle:
      postStart:
        exec: {{ command: [sh, -c, 'echo started >> /told/log'] }}
      preStop:
        exec: {{ command: [sh, -c, 'sleep 0.2; echo stopping >> /told/log'] }}
    volumeMounts:
    - {{ name: told, mountPath: /told }}
  volumes:
  - name: told
    hostPath: {{ path: {}, type: Directory }}
",
            dir.display()
        ),
    );
    lab.log_holds("p-hooked", "listens");
    eventually("the first hook has run", || dir.join("log").exists());
    lab.ok("kube down pod.yaml");
    assert_eq!(std::fs::read_to_string(dir.join("log")).unwrap(), "started\nstopping\nsignalled\n");
}

#[test]
fn a_sidecar_is_there_before_and_after_the_others() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    let dir = told(&lab);
    play(
        &lab,
        &format!(
            "  initContainers:
  - name: side
    image: localhost/box
    restartPolicy: Always
    command: [sh, -c, 'trap \"echo side ends >> /told/log; exit 0\" TERM; sleep 0.3; httpd -p 80 -h /www; while :; do sleep 0.05; done']
    startupProbe:
      tcpSocket: {{ port: 80 }}
      periodSeconds: 1
      failureThreshold: 30
    volumeMounts:
    - &told {{ name: told, mountPath: /told }}
  - name: before
    image: localhost/box
    command: [sh, -c, 'wget -qO- http://127.0.0.1/ >> /told/log']
    volumeMounts:
    - *told
  containers:
  - name: main
    image: localhost/box
    command: [sh, -c, 'trap \"echo main ends >> /told/log; exit 0\" TERM; echo main begins >> /told/log; while :; do sleep 0.05; done']
    volumeMounts:
    - *told
  volumes:
  - name: told
    hostPath: {{ path: {}, type: Directory }}
",
            dir.display()
        ),
    );
    let text = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    eventually("the main container runs", || text().contains("main begins"));
    lab.ok("kube down pod.yaml");
    let expected = ["hello from the box", "main begins", "main ends", "side ends"];
    assert_eq!(text().lines().collect::<Vec<_>>(), expected);
}
