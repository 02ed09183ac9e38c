//! What is broken while manifests are played and kept: processes are killed, records are damaged, ports are taken, somebody
//! takes down what is being played.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::crash::Chance;
use crate::lab::{Lab, comes_true, differs_on_purpose, eventually, free_port, ingress_port, ingress_turn};

fn nobody_keeps() -> bool {
    differs_on_purpose("podman keeps nothing of what it plays")
}

/// A pod `one` of two containers, `one-a` and `one-b`.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: { name: one }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: a, image: localhost/box, command: [idle] }
  - { name: b, image: localhost/box, command: [idle] }
";

/// A Deployment NAME of one pod with a Service in front of it that is published on PORT.
fn site(name: &str, port: u16) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  replicas: 2
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{ name: it, image: localhost/box, command: [httpd, -f, -p, '80', -h, /www] }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ type: NodePort, selector: {{ app: {name} }}, ports: [{{ port: 80, nodePort: {port} }}] }}
"
    )
}

/// One way in that leads to the Service `web`.
const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: way-in }
spec: { defaultBackend: { service: { name: web, port: { number: 80 } } } }
";

/// What is answered on a port of this machine, if anything.
fn page(port: u16) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(b"GET / HTTP/1.0\r\nHost: any\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
    }
    text
}

fn node_port() -> u16 {
    30000 + free_port() % 2767
}

fn monitor(lab: &Lab, container: &str) -> i32 {
    lab.inspect(container, "{{.State.ConmonPid}}").parse().unwrap()
}

fn kill_process(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Nothing is left of what was played.
#[track_caller]
fn nothing_is_left(lab: &Lab) {
    assert_eq!(lab.ok("pod ps -q"), "");
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("network ls -q --filter name=kube"), "");
    assert_eq!(lab.ok("kube get all --no-headers"), "");
    eventually("no process is left", || lab.processes().is_empty());
}

#[test]
fn played_objects_are_kept_whoever_is_killed() {
    if nobody_keeps() {
        return;
    }
    const LONGEST: Duration = Duration::from_secs(30);
    let lab = Lab::new();
    let Some(_turn) = ingress_turn() else { return };
    lab.write("all.yaml", format!("{POD}---{}---{INGRESS}", site("web", node_port())));
    let seed = u64::from(std::process::id());
    println!("chance begins with {seed}");
    let mut chance = Chance::new(seed);
    let begun = Instant::now();
    let rounds = crate::crash::rounds(20);
    for round in 0..rounds {
        if rounds == 20 && begun.elapsed() > LONGEST {
            println!("{round} rounds in {LONGEST:?}");
            break;
        }
        let line = ["kube play all.yaml", "kube play --replace all.yaml", "kube down all.yaml", "kube get all"]
            [chance.below(4) as usize];
        let running = lab.creel(line).within(60).spawn();
        std::thread::sleep(Duration::from_micros(chance.below(400_000)));
        for _ in 0..=chance.below(2) {
            let alive = lab.processes();
            if !alive.is_empty() {
                let victim = &alive[chance.below(alive.len() as u64) as usize];
                println!("{round}: {line}: {}", victim.command);
                kill_process(victim.pid);
            }
        }
        // Whatever its code: it must end.
        let _ = running.end().exit_code();
    }
    lab.creel("kube play all.yaml").within(60).run().ok();
    eventually("all run", || {
        let rows = lab.ok("kube get pods --no-headers");
        rows.lines().count() == 3 && rows.lines().all(|row| row.contains("Running"))
    });
    eventually("the page is served", || page(ingress_port()).contains("hello from the box"));
    lab.ok("kube down all.yaml");
    nothing_is_left(&lab);
    lab.ok("system check");
}

#[test]
fn a_pod_that_was_left_half_made_is_made_anew() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", POD);
    lab.ok("kube play pod.yaml");
    // As one is whose maker was killed between two containers.
    let half = |pod: &str, container: &str| {
        let id = lab.ok(&format!("pod inspect {pod} --format '{{{{.Id}}}}'"));
        lab.ok(&format!("rm -f -t 0 {container}"));
        id
    };
    let left = half("one", "one-b");
    let said = lab.ok("kube play pod.yaml");
    assert!(said.starts_with("pod/one configured\nPod:\n"), "{said}");
    assert_eq!([lab.state("one-a"), lab.state("one-b")], ["running", "running"]);
    assert_ne!(lab.ok("pod inspect one --format '{{.Id}}'"), left);
    lab.ok("kube down pod.yaml");

    lab.write("site.yaml", site("web", node_port()).replace("replicas: 2", "replicas: 1"));
    lab.ok("kube play site.yaml");
    let pod = lab.ok("pod ps --format '{{.Name}}'");
    let left = half(&pod, &format!("{pod}-it"));
    eventually("another one takes its place", || {
        let now = lab.ok("pod ps --format '{{.Id}} {{.Status}}' --no-trunc");
        now.lines().count() == 1 && now.ends_with(" Running") && !now.contains(&left)
    });
    lab.ok("kube down site.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_pod_that_has_lost_its_namespaces_heals_as_a_whole() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", POD);
    lab.ok("kube play pod.yaml");
    let is_holder = |process: &crate::lab::Process| process.command.contains("__hold");
    // In the instant of its execve(2) a process has no command line.
    let mut holder = None;
    eventually("the holder is to be seen", || {
        holder = lab.processes().into_iter().find(is_holder);
        holder.is_some()
    });
    let holder = holder.unwrap().pid;
    kill_process(holder);
    let network = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    eventually("both members share the network of the holder that is there now", || {
        let holders = lab.processes().into_iter().filter(is_holder).map(|process| process.pid).collect::<Vec<_>>();
        let pids =
            ["one-a", "one-b"].map(|name| lab.creel(&format!("inspect {name} -f {{{{.State.Pid}}}}")).run().out());
        let networks = pids.map(|pid| pid.parse().ok().and_then(network));
        matches!(holders.as_slice(), [now] if *now != holder && networks.iter().all(|found| *found == network(*now)))
    });
    lab.ok("kube down pod.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_pod_of_its_own_heals_when_a_monitor_is_killed() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", POD);
    lab.ok("kube play pod.yaml");
    let (pod, killed) = (lab.ok("pod ps -q"), monitor(&lab, "one-a"));
    kill_process(killed);
    eventually("it runs again", || lab.state("one-a") == "running" && monitor(&lab, "one-a") != killed);
    // The one that holds the namespaces: all of the pod starts anew.
    let infra = lab.ok("pod inspect one --format '{{.InfraContainerID}}'");
    let before = monitor(&lab, &infra);
    kill_process(before);
    eventually("all run again", || {
        let namespace = |name: &str| lab.creel(&format!("exec {name} readlink /proc/self/ns/net")).run().out();
        println!(
            "{} {} {before} {} {}",
            lab.ok("ps -a"),
            monitor(&lab, &infra),
            namespace("one-a"),
            namespace("one-b")
        );
        lab.ok("pod ps --format {{.Status}}") == "Running"
            && monitor(&lab, &infra) != before
            && namespace("one-a") == namespace("one-b")
    });
    assert_eq!(lab.ok("pod ps -q"), pod);
    // Who stops it means it.
    lab.ok("pod stop -t 0 one");
    lab.ok("kube get pods");
    assert!(!comes_true(Duration::from_secs(1), || lab.state("one-a") == "running"));
    lab.ok("kube down pod.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_pod_that_is_over_needs_nobody() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", POD.replace("spec:\n", "spec:\n  restartPolicy: Never\n"));
    lab.ok("kube play pod.yaml");
    let supervised = || lab.processes().iter().any(|process| process.command.contains("__kube-supervisor"));
    assert!(!supervised());
    lab.ok("kube down pod.yaml");
    let once = POD.replace("spec:\n", "spec:\n  restartPolicy: OnFailure\n").replace("[idle]", "[sleep, '0.3']");
    lab.write("once.yaml", once);
    lab.ok("kube play once.yaml");
    eventually("it has succeeded", || lab.ok("kube get pods --no-headers").contains("Completed"));
    eventually("nobody is left", || lab.processes().is_empty());
    lab.ok("kube down once.yaml");
}

#[test]
fn what_is_taken_down_while_it_is_played_is_gone_and_both_say_so() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    let init = "  initContainers: [{ name: first, image: localhost/box, command: [sleep, '1000'] }]\n";
    lab.write("pod.yaml", POD.replace("  containers:\n", &format!("{init}  containers:\n")));
    let playing = lab.creel("kube play pod.yaml").within(60).spawn();
    eventually("it is on its way", || lab.ok("kube get pods --no-headers").contains("Init:0/1"));
    let said = lab.ok("kube down pod.yaml");
    assert!(said.contains("Pods removed:"), "{said}");
    let error = playing.end().fails(125);
    assert!(error.contains("Pod/one was taken down while it was played"), "{error}");
    nothing_is_left(&lab);
}

#[test]
fn a_damaged_record_is_named_and_holds_up_no_other() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    let (one, two) = (node_port(), node_port());
    lab.write("a.yaml", site("a", one));
    lab.write("b.yaml", site("b", two));
    lab.ok("kube play a.yaml");
    lab.ok("kube play b.yaml");
    let record = lab.store().join("kube/default/Deployment/a.json");
    std::fs::write(&record, "{ \"version\": 1, \"body\": 7").unwrap();
    let pods = || lab.ok("pod ps --format '{{.Name}}' --sort name");
    let before = pods();
    // The other one is kept, and the pods of the damaged one are left alone.
    lab.ok("kube scale deploy/b --replicas 1");
    eventually("it is scaled", || pods().lines().filter(|name| name.starts_with("b-")).count() == 1);
    assert_eq!(pods().lines().filter(|name| name.starts_with("a-")).count(), 2, "{before}");
    let outcome = lab.creel("kube get deploy").run();
    assert!(outcome.err().contains("the record of Deployment/a cannot be read"), "{outcome}");
    assert!(outcome.ok().contains("b "), "{outcome}");
    assert!(lab.ok("kube play a.yaml").contains("deployment.apps/a created"));
    let outcome = lab.creel("kube get deploy").run();
    assert!(outcome.err().is_empty() && outcome.ok().contains("a "), "{outcome}");
    assert!(record.with_file_name("a.json.damaged-1").exists());
    lab.ok("kube down a.yaml b.yaml");
    assert!(!record.with_file_name("a.json.damaged-1").exists());
    nothing_is_left(&lab);
}

#[test]
fn a_port_of_the_host_that_is_taken_is_said_before_anything_is_made() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    let taken = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let refused = |file: &str, port: u16, object: &str| {
        let error = lab.creel(&format!("kube play {file}")).run().fails(125);
        assert!(error.contains(object) && error.contains("bind: address already in use"), "{error}");
        assert!(error.contains(&format!(":{port}")), "{error}");
        nothing_is_left(&lab);
    };
    lab.write("site.yaml", site("web", port));
    refused("site.yaml", port, "Service/web");
    let balanced =
        site("web", port).replace("NodePort", "LoadBalancer").replace("port: 80,", &format!("port: {port},"));
    lab.write("balanced.yaml", balanced.replace(&format!(", nodePort: {port}"), ", targetPort: 80"));
    refused("balanced.yaml", port, "Service/web");
    lab.write(
        "pod.yaml",
        POD.replace("name: a,", &format!("name: a, ports: [{{ containerPort: 80, hostPort: {port} }}],")),
    );
    refused("pod.yaml", port, "Pod/one");
    // Our own ports are in nobody's way, whatever changes.
    drop(taken);
    lab.ok("kube play site.yaml");
    lab.write("site.yaml", site("web", port).replace("port: 80,", "port: 81, targetPort: 80,"));
    assert!(lab.ok("kube play site.yaml").contains("service/web configured"));
    lab.ok("kube down site.yaml");
    lab.write("ingress.yaml", format!("{}---{INGRESS}", site("web", port)));
    let Some(_turn) = ingress_turn() else { return };
    let _taken = std::net::TcpListener::bind(("0.0.0.0", ingress_port())).unwrap();
    refused("ingress.yaml", ingress_port(), "Ingress/way-in");
}

#[test]
fn without_inotify_all_is_kept_all_the_same() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site("web", port));
    // Whoever lives in the user namespace keeps its limits.
    lab.ok("run -d --name holder --network none box idle");
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        lab.ok(&format!("unshare sh -c 'echo 0 > /proc/sys/user/{limit}'"));
        lab.ok("kube play site.yaml");
        let rows = || lab.ok("kube get pods --no-headers");
        let first = rows().split_whitespace().next().unwrap().to_owned();
        lab.ok(&format!("pod rm -f -t 0 {first}"));
        eventually("there are two again", || rows().matches("Running").count() == 2);
        lab.ok("kube down site.yaml");
        // Nor does any other command need it that waits for something.
        lab.ok("run -d --name short --network none box sleep 0.2");
        assert_eq!(lab.ok("wait short"), "0");
        assert_eq!(lab.ok("logs -f short"), "");
        lab.ok("rm short");
        lab.ok(&format!("unshare sh -c 'echo 128 > /proc/sys/user/{limit}'"));
    }
    lab.ok("rm -f -t 0 holder");
    nothing_is_left(&lab);
}

#[test]
fn a_host_without_a_free_port_is_named() {
    if nobody_keeps() {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", POD);
    // A network of its own, in which the kernel has one port to give, and somebody has it.
    let narrow = r#"
        exec unshare --net /bin/sh -c '
            ip link set lo up
            echo 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range
            busybox nc -l -p 40000 & holder=$!
            until grep -q :9C40 /proc/net/tcp /proc/net/tcp6; do :; done
            "$@"; code=$?
            kill $holder
            exit $code' sh "$@"
    "#;
    let line = format!("kube play --publish 80 {}", lab.path("pod.yaml").display());
    let Some(play) = lab.on_broken_host(narrow, &line) else { return };
    let error = play.run().fails(125);
    assert!(error.contains("no free tcp port"), "{error}");
    nothing_is_left(&lab);
}
