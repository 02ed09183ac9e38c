//! The flags of `kube play`: images of its own, addresses, a container for the service manager, staying until the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::lab::{Lab, differs_on_purpose, eventually};

fn pod(name: &str, image: &str, command: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{ name: {name} }}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {{ name: it, image: '{image}', imagePullPolicy: IfNotPresent, command: {command} }}
"
    )
}

#[test]
fn images_are_built_from_directories_of_their_names() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("trees/made")).unwrap();
    lab.write("trees/made/Containerfile", "FROM localhost/box:latest\nENV WHO=first\n");
    lab.write("pod.yaml", pod("built", "localhost/made:1", "[sh, -c, 'echo $WHO; exec idle']"));
    let error = lab.creel("kube play --context-dir trees pod.yaml").run().fails(125);
    assert!(error.contains("--build must be specified when using --context-dir option"), "{error}");
    let refused = lab.creel("kube play --build=false pod.yaml").run();
    refused.fails(125);
    lab.ok("kube down pod.yaml");
    let text = lab.ok("kube play --build --context-dir trees pod.yaml");
    assert!(text.starts_with("STEP 1/2: FROM localhost/box:latest\n") && text.contains("\nPod:\n"), "{text}");
    assert!(lab.log_holds("built-it", "first").starts_with("first"));
    if differs_on_purpose("podman has to be told --replace") {
        return;
    }
    let text = lab.ok("kube play --build --context-dir trees pod.yaml");
    assert!(text.ends_with("pod/built unchanged"), "{text}");
    lab.write("trees/made/Containerfile", "FROM localhost/box:latest\nENV WHO=second\n");
    let text = lab.ok("kube play --build --context-dir trees pod.yaml");
    assert!(text.contains("pod/built configured"), "{text}");
    lab.log_holds("built-it", "second");
}

#[test]
fn pods_get_the_addresses_that_are_given() {
    let lab = Lab::new();
    lab.ok("network create --subnet 10.91.7.0/24 fixed");
    let command = "[idle]";
    lab.write("pods.yaml", format!("{}{}", pod("one", "localhost/box", command), pod("two", "localhost/box", command)));
    lab.ok("kube play --network fixed --ip 10.91.7.9,10.91.7.2 --mac-address 92:d0:c6:0a:29:33 pods.yaml");
    let has = |name: &str, what: &str| {
        let format = format!("{{{{.NetworkSettings.Networks.fixed.{what}}}}}");
        let infra = lab.ok(&format!("pod inspect {name} --format '{{{{.InfraContainerID}}}}'"));
        lab.ok(&format!("inspect {infra} --format '{format}'"))
    };
    assert_eq!((has("one", "IPAddress"), has("two", "IPAddress")), ("10.91.7.9".into(), "10.91.7.2".into()));
    assert_eq!(has("one", "MacAddress"), "92:d0:c6:0a:29:33");
    lab.ok("kube down pods.yaml");
    for (line, text) in [
        ("--network host --ip 10.91.7.9", "static ip addresses can only be set when the network mode is bridge"),
        ("--network fixed --network podman --ip 10.91.7.9", "cannot set static ip addresses for more than network"),
        ("--ip nowhere", "invalid string being converted to IP address: nowhere"),
        ("--mac-address nowhere", "address nowhere: invalid MAC address"),
        ("--network container:x", "pods presently do not support network mode container"),
    ] {
        let error = lab.creel(&format!("kube play {line} pods.yaml")).run().fails(125);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_service_manager_has_one_process_to_look_at() {
    let lab = Lab::new();
    let path = lab.path("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (good, bad) = ("[sh, -c, 'until test -e /tmp/go; do sleep 0.1; done']", "[sh, -c, 'exit 3']");
    lab.write("pods.yaml", format!("{}{}", pod("good", "localhost/box", good), pod("bad", "localhost/box", bad)));
    let line = "kube play --service-container --service-exit-code-propagation any pods.yaml";
    lab.creel(line).env("NOTIFY_SOCKET", path.to_str().unwrap()).run().ok();
    let mut buffer = [0; 4096];
    let length = manager.recv(&mut buffer).expect("a message within 30 s");
    let heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(heard.starts_with("MAINPID=") && heard.ends_with("\nREADY=1"), "{heard}");
    let service = lab.ok("ps --filter name=-service --format '{{.Names}}'");
    assert_eq!(service.len(), "0123456789ab-service".len(), "{service}");
    let about = "{{.IsService}} {{.KubeExitCodePropagation}}";
    assert_eq!(lab.ok(&format!("inspect {service} --format '{about}'")), "true any");
    let error = lab.creel(&format!("rm -f {service}")).run().fails(125);
    assert!(error.contains("is the service container of pod(s)"), "{error}");
    lab.ok("exec good-it touch /tmp/go");
    assert_eq!(lab.ok(&format!("wait {service}")), "137");
    lab.ok("kube down pods.yaml");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_play_that_waits_takes_everything_down() {
    let lab = Lab::new();
    lab.write("pod.yaml", pod("short", "localhost/box", "[sh, -c, 'echo done']"));
    let text = lab.creel("kube play --wait pod.yaml").within(60).run().ok();
    assert!(text.starts_with("Use ctrl+c to clean up or wait for pods to exit\n"), "{text}");
    assert!(text.contains("\nCleaning up containers, pods, and volumes...\nPods stopped:\n"), "{text}");
    assert_eq!(lab.ok("pod ps -q"), "");
    let error = lab.creel("kube play --wait --start=false pod.yaml").run().fails(125);
    assert!(error.contains("running a service container requires starting the pod(s)"), "{error}");
}

#[test]
fn members_of_a_pod_show_its_ports_and_follow_its_flags() {
    let lab = Lab::new();
    let port = crate::lab::free_port();
    lab.ok(&format!("pod create --name all -p 127.0.0.1:{port}:80 --no-hostname"));
    lab.ok("run -d --pod all --name member box idle");
    assert_eq!(lab.ok("port member"), format!("80/tcp -> 127.0.0.1:{port}"));
    eventually("ps knows", || {
        lab.ok("ps --format '{{.Names}} {{.Ports}}'").contains(&format!("member 127.0.0.1:{port}->80/tcp"))
    });
    let seen = lab.creel("exec member cat /etc/hostname").run();
    assert!(!String::from_utf8_lossy(&seen.stdout).contains("all"), "{seen}");
    let outcome = lab.creel("run --rm --pod all --dns 192.0.2.7 box cat /etc/resolv.conf").run();
    assert!(!outcome.ok().contains("192.0.2.7"));
    if !crate::lab::is_podman() {
        assert!(outcome.err().contains("--dns has no effect"), "{outcome}");
    }
    lab.ok("pod create --name mine --userns keep-id");
    let own = lab.ok("run --rm --userns keep-id box id -u");
    assert_eq!(lab.ok("run --rm --pod mine box id -u"), own);
}
