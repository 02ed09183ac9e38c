//! kubectl's verbs that look at what is there and go on looking, or reach into it: get --watch, top, events,
//! port-forward, cp, set image, label, annotate, explain. Podman has none of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::lab::{Lab, differs_on_purpose, eventually};

fn no_verbs() -> bool {
    differs_on_purpose("podman has none of kubectl's verbs")
}

/// A pod that runs until it is told to end.
fn run_idle(lab: &Lab, name: &str) {
    lab.ok(&format!("kube run {name} --image localhost/box --command -- idle"));
    lab.ok(&format!("kube wait --for=condition=Ready pod/{name} --timeout 60s"));
}

#[track_caller]
fn nothing_is_left(lab: &Lab) {
    assert_eq!(lab.ok("kube get all --no-headers"), "");
    eventually("no process is left", || lab.processes().is_empty());
}

#[test]
fn changes_are_shown_as_they_come() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let mut watching = lab.creel("kube get pods -w --output-watch-events").spawn();
    run_idle(&lab, "one");
    let head = watching.line();
    assert!(head.starts_with("EVENT ") && head.contains("NAME ") && head.ends_with("AGE"), "{head}");
    let first = watching.line();
    assert!(first.starts_with("ADDED ") && first.contains(" one "), "{first}");
    let mut row = first;
    while !(row.contains(" 1/1 ") && row.contains(" Running ")) {
        row = watching.line();
        assert!(row.starts_with("MODIFIED "), "{row}");
    }
    lab.ok("kube delete pod one --force");
    while !row.starts_with("DELETED ") {
        row = watching.line();
    }
    let error = lab.creel("kube get pod one -w").run().fails(125);
    assert!(error.contains("pods \"one\" not found"), "{error}");
    let error = lab.creel("kube get pods,svc -w").run().fails(125);
    assert!(error.contains("you may only specify a single resource type"), "{error}");
    let error = lab.creel("kube get pods --output-watch-events").run().fails(125);
    assert!(error.contains("can only be used with --watch"), "{error}");
    drop(watching);
    nothing_is_left(&lab);
}

#[test]
fn what_pods_use_is_shown() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    assert_eq!(lab.ok("kube top pod"), "");
    run_idle(&lab, "one");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let top = lab.ok("kube top pods --sort-by cpu");
    let lines: Vec<&str> = top.lines().collect();
    assert_eq!(words(lines[0]), ["NAME", "CPU(cores)", "MEMORY(bytes)"]);
    let [name, cpu, memory] = &words(lines[1])[..] else { panic!("{top}") };
    assert!(name == "one" && cpu.ends_with('m') && memory.ends_with("Mi") && lines.len() == 2, "{top}");
    let each = lab.ok("kube top pod one --containers --no-headers");
    assert_eq!(words(&each)[..2], ["one", "one"], "{each}");
    for (line, said) in [
        ("kube top pod two", "pods \"two\" not found"),
        ("kube top node", "there are no nodes"),
        ("kube top pod --sort-by size", "--sort-by accepts only cpu or memory"),
    ] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains(said), "{line}: {error}");
    }
    lab.ok("kube delete pod one --force");
    nothing_is_left(&lab);
}

/// The port that is forwarded, as the command says it.
fn port_of(line: &str) -> u16 {
    let address = line.strip_prefix("Forwarding from 127.0.0.1:").unwrap_or_else(|| panic!("{line}"));
    address.split(' ').next().unwrap().parse().unwrap()
}

/// The head of what a server says; empty where it says nothing.
fn ask(port: u16) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
    }
    text
}

#[test]
fn ports_lead_into_a_pod_and_to_what_only_its_loopback_serves() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: one, labels: { app: one } }\nspec:\n  terminationGracePeriodSeconds: 0\n  \
               containers:\n  - name: it\n    image: localhost/box\n    command: [httpd, -f, -p, '127.0.0.1:80', -h, /www]\n    \
               ports: [{ name: web, containerPort: 80 }]\n";
    lab.write("pod.yaml", pod);
    lab.ok("kube play pod.yaml");
    lab.ok("kube expose pod one --port 8080 --target-port web");
    for (place, remote) in [("one", ":80"), ("pod/one", ":web"), ("svc/one", ":8080")] {
        let mut forwarding = lab.creel_words(&["kube", "port-forward", place, remote]).spawn();
        let line = forwarding.line();
        let port = port_of(&line);
        assert!(line.ends_with(" -> 80"), "{line}");
        eventually("the server answers", || ask(port).contains("200 OK"));
        let handled = format!("Handling connection for {port}");
        // Another line is that of ::1, where there is one.
        while forwarding.line() != handled {}
        forwarding.signal(nix::sys::signal::Signal::SIGINT);
        assert_eq!(forwarding.end().exit_code(), 0);
    }
    for (words, said) in [
        ("two 80", "pods \"two\" not found"),
        ("one", "at least 1 PORT is required"),
        ("one :admin", "Pod 'one' does not have a named port 'admin'"),
        ("svc/one :80", "Service one does not have a service port 80"),
        ("svc/two 80", "services \"two\" not found"),
        ("one 1:2:3", "invalid port format"),
        ("one :80 --address nowhere", "nowhere is not a valid IP"),
    ] {
        let error = lab.creel(&format!("kube port-forward {words}")).run().fails(125);
        assert!(error.contains(said), "{words}: {error}");
    }
    let mut forwarding = lab.creel("kube port-forward one :80").spawn();
    port_of(&forwarding.line());
    lab.ok("kube delete svc one");
    lab.ok("kube delete pod one --force");
    let error = forwarding.end_with_input_open().fails(125);
    assert!(error.contains("lost connection to pod"), "{error}");
    nothing_is_left(&lab);
}

#[test]
fn files_are_copied_into_a_pod_and_back() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    run_idle(&lab, "one");
    lab.write("in", "from here");
    lab.ok("kube cp in one:/tmp/there");
    assert_eq!(lab.ok("kube exec one -- cat /tmp/there"), "from here");
    lab.ok("kube cp default/one:/tmp/there out -c one");
    assert_eq!(lab.creel("kube cp one:/tmp/there ./a:b").run().ok(), "");
    for (words, said) in [
        ("in out", "one of src or dest must be a remote file specification"),
        ("one:/a one:/b", "one of src or dest must be a local file specification"),
        ("one:/a", "source and destination are required"),
        ("one: x", "filepath can not be empty"),
        ("in two:/tmp", "pods \"two\" not found"),
        ("in one:/tmp -c two", "container two is not valid for pod one"),
        ("one:/nothing x", "could not be found"),
    ] {
        let error = lab.creel(&format!("kube cp {words}")).run().fails(125);
        assert!(error.contains(said), "{words}: {error}");
    }
    // What came back goes in again.
    lab.ok("kube cp out one:/tmp/again");
    assert_eq!(lab.ok("kube exec one -- cat /tmp/again"), "from here");
    lab.ok("kube delete pod one --force");
    nothing_is_left(&lab);
}

#[test]
fn what_happened_to_a_pod_is_told() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let error = lab.creel("kube events").run();
    assert!(error.err().contains("No events found in default namespace."), "{}", error.err());
    let mut watching = lab.creel("kube events -w --for pod/one --no-headers --types=Warning").spawn();
    lab.ok("kube run one --image localhost/box --restart Never --command -- sh -c 'exit 3'");
    lab.ok("kube wait --for=jsonpath={.status.phase}=Failed pod/one --timeout 60s");
    let events = lab.ok("kube events --for pod/one");
    let reasons: Vec<&str> = events.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(reasons, ["TYPE", "Created", "Started", "Error"], "{events}");
    assert!(events.lines().last().unwrap().ends_with("Pod/one   Container one ended with exit code 3"), "{events}");
    let told = watching.line();
    assert!(told.contains("Warning") && told.ends_with("Container one ended with exit code 3"), "{told}");
    let normal = lab.ok("kube events --types Normal -A");
    assert!(normal.starts_with("NAMESPACE ") && !normal.contains("Warning"), "{normal}");
    let page = lab.ok("kube describe pod one");
    let end = page.split_once("Events:\n").map(|(_, end)| end).unwrap_or_else(|| panic!("{page}"));
    assert!(end.contains("Warning  ") && end.contains("ended with exit code 3"), "{page}");
    let error = lab.creel("kube events --types=Odd").run().fails(125);
    assert!(error.contains("valid --types are Normal or Warning"), "{error}");
    lab.ok("kube delete pod one --force");
    drop(watching);
    nothing_is_left(&lab);
}

const SITE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: site, labels: { tier: front } }
spec:
  replicas: 1
  selector: { matchLabels: { app: site } }
  template:
    metadata: { labels: { app: site } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: it, image: localhost/box, imagePullPolicy: Never, command: [idle] }]
";

#[test]
fn an_image_is_set_and_the_file_leads_back() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    lab.ok("tag localhost/box localhost/box:two");
    lab.write("site.yaml", SITE);
    lab.ok("kube play site.yaml");
    for (words, said) in [
        ("it=localhost/none:1", "localhost/none:1"),
        ("other=localhost/box:two", "unable to find container named \"other\""),
        ("", "at least one image update is required"),
    ] {
        let error = lab.creel(&format!("kube set image deploy/site {words}")).run().fails(125);
        assert!(error.contains(said), "{words}: {error}");
    }
    let image = || lab.ok("kube get deploy site -o jsonpath={.spec.template.spec.containers[0].image}");
    assert_eq!(image(), "localhost/box");
    assert_eq!(lab.ok("kube set image deploy/site it=localhost/box:two"), "deployment.apps/site image updated");
    assert_eq!(lab.ok("kube set image deployment site *=localhost/box:two"), "");
    lab.ok("kube rollout status deploy/site --timeout 60s");
    assert_eq!(image(), "localhost/box:two");
    eventually("the pod of the first image has gone", || {
        lab.ok("kube get pods -o jsonpath={.items[*].spec.containers[0].image}") == "localhost/box:two"
    });
    let note = "kubernetes.io/change-cause=a second image";
    let noted = lab.creel_words(&["kube", "annotate", "deploy/site", note]).run().ok();
    assert_eq!(noted, "deployment.apps/site annotated");
    lab.ok("kube rollout undo deploy/site");
    assert_eq!(image(), "localhost/box");
    lab.ok("kube set image deploy/site it=localhost/box:two");
    assert!(lab.ok("kube play site.yaml").contains("deployment.apps/site configured"));
    assert_eq!(image(), "localhost/box");
    let error = lab.creel("kube set env deploy/site A=b").run().fails(125);
    assert!(error.contains("creel cannot set \"env\""), "{error}");
    lab.ok("kube down site.yaml");
    nothing_is_left(&lab);
}

#[test]
fn objects_are_labelled() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    lab.write("site.yaml", SITE);
    lab.ok("kube play --replicas 0 site.yaml");
    assert_eq!(lab.ok("kube label deploy site owner=me"), "deployment.apps/site labeled");
    assert_eq!(lab.ok("kube get deploy -l owner=me -o name"), "deployment.apps/site");
    assert_eq!(lab.ok("kube label deploy site owner=me"), "deployment.apps/site not labeled");
    let error = lab.creel("kube label deploy site owner=you").run().fails(125);
    assert!(error.contains("\"owner\" already has a value (me), and --overwrite is false"), "{error}");
    assert_eq!(lab.ok("kube label deploy --all owner=you --overwrite"), "deployment.apps/site labeled");
    assert_eq!(lab.ok("kube label deploy site --list"), "owner=you\ntier=front");
    assert_eq!(lab.ok("kube label deploy site owner-"), "deployment.apps/site unlabeled");
    let error = lab.creel("kube label deploy site a=?").run().fails(125);
    assert!(error.contains("\"?\" is not valid in labels"), "{error}");
    let error = lab.creel("kube label deploy site").run().fails(125);
    assert!(error.contains("at least one label update is required"), "{error}");
    assert!(lab.ok("kube play --replicas 0 site.yaml").contains("deployment.apps/site configured"));
    lab.ok("kube down site.yaml");
    nothing_is_left(&lab);
}

#[test]
fn fields_are_explained() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let page = lab.ok("kube explain deploy.spec.replicas");
    assert!(page.contains("KIND:       Deployment\n") && page.contains("FIELD: replicas <integer>"), "{page}");
    assert!(lab.ok("kube explain pod --recursive").contains("      readinessProbe\t<Probe>\n"));
    let error = lab.creel("kube explain pod.spec.nothing").run().fails(125);
    assert!(error.contains("field \"nothing\" does not exist"), "{error}");
}
