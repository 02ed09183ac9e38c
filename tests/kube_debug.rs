//! `kube debug`: a container with tools is added to a pod that runs.

use crate::lab::{Lab, differs_on_purpose, eventually};

fn nobody_debugs() -> bool {
    differs_on_purpose("podman has no kube debug")
}

/// A pod `site` whose container `web` has one program and no shell.
const SITE: &str = "
apiVersion: v1
kind: Pod
metadata: { name: site }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: web, image: localhost/creel/hello }]
";

fn with_site() -> Lab {
    let lab = Lab::new();
    lab.write("site.yaml", SITE);
    lab.ok("kube play site.yaml");
    lab
}

/// The line of the pod in `kube get pods`, without its age.
fn shown(lab: &Lab) -> Vec<String> {
    lab.ok("kube get pods --no-headers").split_whitespace().take(4).map(str::to_owned).collect()
}

#[test]
fn it_is_in_the_pod_and_shown_with_it() {
    if nobody_debugs() {
        return;
    }
    let lab = with_site();
    let namespaces = "for process in self 1; do readlink /proc/$process/ns/net; done";
    let script = &format!("ps -o args; {namespaces}; test -e /proc/1/root/creel && echo $WHY");
    let words = ["kube", "debug", "site", "-q", "-c", "look", "--target", "web", "--image", "box", "--attach"];
    let command = ["--env", "WHY=because", "--", "sh", "-c", script];
    let said = lab.creel_words(&[&words[..], &command[..]].concat()).run().ok();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.contains(&"/creel __hello") && lines.last() == Some(&"because"), "{said}");
    let namespaces: Vec<&&str> = lines.iter().filter(|line| line.starts_with("net:")).collect();
    assert!(namespaces.len() == 2 && namespaces[0] == namespaces[1], "{said}");

    assert_eq!(lab.ok("kube logs site -c look"), said);
    assert!(!lab.ok("kube logs site").contains("because"));
    assert_eq!(shown(&lab), ["site", "1/1", "Running", "0"]);
    let page = lab.ok("kube describe pod site");
    let (_, below) = page.split_once("\nEphemeral Containers:\n  look:\n").unwrap_or_else(|| panic!("{page}"));
    assert!(below.contains("Terminated") && below.contains("Completed"), "{page}");
    let object = lab.json("kube get pod site -o json");
    let one = &object["spec"]["ephemeralContainers"][0];
    assert_eq!((one["name"].as_str(), one["targetContainerName"].as_str()), (Some("look"), Some("web")));
    assert_eq!(one["env"][0]["value"], "because");
    assert_eq!(one["securityContext"]["capabilities"]["add"][0], "SYS_PTRACE");
    let status = &object["status"]["ephemeralContainerStatuses"][0];
    assert_eq!((status["name"].as_str(), status["restartCount"].as_u64()), (Some("look"), Some(0)));
    assert_eq!(status["state"]["terminated"]["exitCode"], 0);
    assert_eq!(object["status"]["containerStatuses"].as_array().map(Vec::len), Some(1));

    let error = lab.creel("kube debug site -c look --image box").run().fails(125);
    assert!(error.contains("already"), "{error}");
    assert!(!lab.ok("kube generate site").contains("name: look"));
    lab.ok("kube down site.yaml");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn whoever_keeps_the_pod_leaves_it_alone() {
    if nobody_debugs() {
        return;
    }
    let lab = with_site();
    let said = lab.ok("kube debug pod/site --image box -- idle");
    assert!(said.starts_with("Defaulting debug container name to debugger-") && said.ends_with('.'), "{said}");
    let name = said.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
    eventually("it runs", || lab.state(&format!("site-{name}")) == "running");
    let before = lab.inspect(&format!("site-{name}"), "{{.Id}}");
    lab.ok("kube play site.yaml");
    assert_eq!(lab.inspect(&format!("site-{name}"), "{{.Id}} {{.State.Status}}"), format!("{before} running"));
    assert_eq!(shown(&lab), ["site", "1/1", "Running", "0"]);
    // It ends with the pod, and does not begin again with it.
    lab.ok("pod stop -t 0 site");
    lab.ok("pod start site");
    assert_eq!(shown(&lab)[1..3], ["1/1", "Running"]);
    assert_eq!(lab.state(&format!("site-{name}")), "exited");
    lab.ok("kube down site.yaml");
}

#[test]
fn a_pod_ends_without_it() {
    if nobody_debugs() {
        return;
    }
    let lab = Lab::new();
    let short = SITE.replace("localhost/creel/hello }", "localhost/box, command: [idle] }");
    lab.write("short.yaml", short.replace("spec:\n", "spec:\n  restartPolicy: Never\n"));
    lab.ok("kube play short.yaml");
    lab.ok("kube debug site -q -c look --image box -- idle");
    lab.ok("stop -t 0 site-web");
    eventually("the pod is over", || lab.ok("pod inspect site --format {{.State}}") == "Exited");
    assert_eq!(shown(&lab)[1..3], ["0/1", "Error"]);
    lab.ok("kube down short.yaml");
}

#[test]
fn what_cannot_be_is_said_and_leaves_nothing() {
    if nobody_debugs() {
        return;
    }
    let lab = with_site();
    let before = lab.ok("ps -aq");
    for (line, why) in [
        ("kube debug site", "you must specify --image"),
        ("kube debug site --image box -t", "-i is required"),
        ("kube debug site --image box --profile legacy", "unknown profile \"legacy\""),
        ("kube debug nosuch --image box", "pods \"nosuch\" not found"),
        ("kube debug deploy/site --image box", "name a pod"),
        ("kube debug site -q --image box --target nosuch", "no container \"nosuch\""),
        ("kube debug site -q --image box -c Not_A_Label", "Not_A_Label"),
        ("kube debug site -q --image box --profile restricted", "runAsNonRoot"),
    ] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains(why), "{line}: {error}");
    }
    lab.creel("kube debug site -q --image box -- nosuch").run().fails(127);
    assert_eq!(lab.ok("ps -aq"), before);
    lab.creel("kube debug site -q -i --image box -- sh -c 'exit 3'").run().code(3);
    lab.ok("kube down site.yaml");
}
