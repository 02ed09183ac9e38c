//! kubectl's verbs on what was played: expose, run, delete, exec, wait, ps. Podman has none of them.

use std::collections::BTreeSet;

use crate::lab::{Lab, differs_on_purpose, eventually};

fn no_verbs() -> bool {
    differs_on_purpose("podman has none of kubectl's verbs")
}

/// A Deployment `site` of two pods that serve /www on port 80.
const SITE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: site, labels: { tier: front } }
spec:
  replicas: 2
  selector: { matchLabels: { app: site } }
  template:
    metadata: { labels: { app: site } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: it
        image: localhost/box
        command: [httpd, -f, -p, '80', -h, /www]
        ports: [{ containerPort: 80 }]
";

#[track_caller]
fn nothing_is_left(lab: &Lab) {
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("kube get all --no-headers"), "");
    assert_eq!(lab.ok("network ls -q --filter name=kube"), "");
    eventually("no process is left", || lab.processes().is_empty());
}

fn pods(lab: &Lab) -> BTreeSet<String> {
    lab.ok("kube ps -o name").lines().map(str::to_owned).collect()
}

fn ids(lab: &Lab) -> BTreeSet<String> {
    lab.ok("pod ps -q --no-trunc").lines().map(str::to_owned).collect()
}

#[test]
fn a_deployment_is_exposed_and_its_service_leads_to_its_pods() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    lab.write("site.yaml", SITE);
    lab.ok("kube play site.yaml");
    assert_eq!(lab.ok("kube expose deployment site --port 8080 --target-port 80 -l made=here"), "service/site exposed");
    let service = lab.json("kube get svc site -o json");
    assert_eq!(service["spec"]["selector"], serde_json::json!({ "app": "site" }));
    assert_eq!(service["metadata"]["labels"], serde_json::json!({ "made": "here" }));
    let address = service["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 8080");
    eventually("the Service answers in the pods' network", || {
        lab.creel_words(&["kube", "exec", "deploy/site", "--", "sh", "-c", &ask]).run().out().contains("200 OK")
    });
    let error = lab.creel("kube expose deployment site --port 1").run().fails(125);
    assert!(error.contains("services \"site\" already exists"), "{error}");
    let error = lab.creel("kube expose deployment other --port 1").run().fails(125);
    assert!(error.contains("deployments \"other\" not found"), "{error}");
    let dry = lab.ok("kube expose deployment site --name again --type NodePort --dry-run=client -o yaml");
    assert!(dry.contains("  name: again\n") && dry.contains("  type: NodePort") && dry.contains("port: 80\n"), "{dry}");
    assert_eq!(lab.ok("kube get svc -o name"), "service/site");
    // It is in no file, and goes by its name.
    lab.ok("kube down site.yaml");
    assert_eq!(lab.ok("kube delete service site"), "service \"site\" deleted");
    nothing_is_left(&lab);
}

#[test]
fn a_pod_of_a_deployment_is_deleted_and_another_comes() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    lab.write("site.yaml", SITE);
    lab.ok("kube play site.yaml");
    let before = pods(&lab);
    assert_eq!(before.len(), 2, "{before:?}");
    let ids_before = ids(&lab);
    let victim = before.first().unwrap().strip_prefix("pod/").unwrap();
    assert_eq!(lab.ok(&format!("kube delete pod {victim}")), format!("pod {victim:?} deleted"));
    // It may have the name of the one that went.
    eventually("another has come", || {
        let now = ids(&lab);
        now.len() == 2 && now.intersection(&ids_before).count() == 1
    });
    lab.ok("kube wait --for=condition=available deploy/site --timeout 60s");
    assert_eq!(lab.ok("kube delete deploy -l tier=front"), "deployment.apps \"site\" deleted");
    nothing_is_left(&lab);
    let error = lab.creel("kube delete -f site.yaml").run().fails(125);
    assert!(error.contains("deployments \"site\" not found"), "{error}");
    assert_eq!(lab.ok("kube delete -f site.yaml --ignore-not-found"), "");
}

#[test]
fn a_pod_is_run_entered_and_deleted() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let made = lab.ok("kube run one --image localhost/box --env A=b --port 80 --expose --command -- idle");
    assert_eq!(made, "service/one created\npod/one created");
    assert_eq!(lab.ok("kube wait --for=condition=Ready pod/one"), "pod/one condition met");
    assert_eq!(lab.ok("kube wait --for=jsonpath={.status.phase}=Running pod one"), "pod/one condition met");
    assert_eq!(lab.creel_words(&["kube", "exec", "one", "--", "sh", "-c", "echo $A"]).run().ok(), "b");
    let echoed = lab.creel("kube exec -i one -c one -- cat").input("from here").run();
    assert_eq!(echoed.ok(), "from here");
    assert_eq!(lab.creel("kube exec one -- sh -c 'exit 7'").run().exit_code(), 7);
    let error = lab.creel("kube exec one -c two -- true").run().fails(125);
    assert!(error.contains("container two is not valid for pod one"), "{error}");
    let error = lab.creel("kube run one --image localhost/box").run().fails(125);
    assert!(error.contains("pods \"one\" already exists"), "{error}");
    assert!(lab.ok("kube ps --no-headers").starts_with("one "));
    let offered = lab.creel_words(&["__complete", "kube", "describe", "p"]).run().ok();
    assert_eq!(offered.lines().next(), Some("pod/one"), "{offered}");
    let late = lab.creel("kube wait --for=delete pod/one --timeout 0").run().fails(125);
    assert!(late.contains("timed out waiting for the condition on pods/one"), "{late}");
    let waiting = lab.creel("kube wait --for=delete pod/one --timeout 60s").within(70).spawn();
    assert_eq!(lab.ok("kube delete pod,svc --all --force"), "pod \"one\" force deleted\nservice \"one\" force deleted");
    let waited = waiting.end().ok();
    assert!(waited == "pod/one condition met" || waited.is_empty(), "{waited}");
    nothing_is_left(&lab);
}

#[test]
fn a_job_is_waited_for() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      \
               containers: [{ name: it, image: localhost/box, command: [sleep, '0.2'] }]\n";
    lab.write("job.yaml", job);
    lab.ok("kube play job.yaml");
    assert_eq!(lab.ok("kube wait --for=condition=complete job/once --timeout 60s"), "job.batch/once condition met");
    let error = lab.creel("kube wait --for=condition=complete job/never").run().fails(125);
    assert!(error.contains("jobs \"never\" not found"), "{error}");
    let error = lab.creel("kube wait --for=complete job/once").run().fails(125);
    assert!(error.contains("unrecognized condition: \"complete\""), "{error}");
    assert_eq!(lab.ok("kube delete job once"), "job.batch \"once\" deleted");
    nothing_is_left(&lab);
}

#[test]
fn a_pod_that_was_read_from_a_cluster_runs() {
    if no_verbs() {
        return;
    }
    let lab = Lab::new();
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: p, uid: 0f6c2f6e, resourceVersion: '12', creationTimestamp: '2026-11-20T10:15:30Z', managedFields: [{ manager: x }] }
spec:
  terminationGracePeriodSeconds: 0
  serviceAccountName: default
  containers:
  - name: it
    image: localhost/box
    command: [idle]
    volumeMounts:
    - { name: kube-api-access-9x2lz, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true }
  volumes:
  - name: kube-api-access-9x2lz
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: { expirationSeconds: 3607, path: token }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { apiVersion: v1, fieldPath: metadata.namespace } }] }
status: { phase: Running, podIP: 10.244.1.23 }
",
    );
    let played = lab.creel("kube play pod.yaml").run();
    let warned = "Pod/p: spec.volumes[0].projected.sources[0].serviceAccountToken: has no effect here: there is no API server \
                  to log in to";
    assert!(played.err().ends_with(warned) && played.err().lines().count() == 1, "{played}");
    played.ok();
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(lab.ok(&format!("kube exec p -- ls {account}")), "namespace");
    assert_eq!(lab.ok(&format!("kube exec p -- cat {account}/namespace")), "default");
    lab.ok("kube down pod.yaml");
    nothing_is_left(&lab);
}
