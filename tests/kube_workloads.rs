//! What `kube play` keeps: Deployments, StatefulSets, Jobs, CronJobs, Services, Ingresses. Podman has none of it, or keeps
//! none of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, comes_true, differs_on_purpose, eventually, free_port, ingress_port, ingress_turn};

fn no_controllers() -> bool {
    differs_on_purpose("podman plays one pod of each and keeps none")
}

/// The answer to one request, or why there is none.
fn get(port: u16, path: &str, host: &str) -> Result<String, String> {
    let fail = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(fail)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(fail)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").map_err(fail)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// The page behind a name, as a container sees it. The box's own programs cannot look names up by themselves.
fn fetch(lab: &Lab, container: &str, name: &str, port: u16, path: &str) -> String {
    let address = format!("nslookup {name} | awk '/^Address: /{{print $2}}' | tail -1");
    let script = format!("printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $({address}) {port}");
    lab.creel_words(&["exec", container, "sh", "-c", &script]).run().out()
}

fn node_port() -> u16 {
    30000 + free_port() % 2767
}

/// A Deployment `site` whose pages say `version`, and a Service in front of it.
fn site(replicas: u32, version: &str, port: u16) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: site }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: site }} }}
  strategy: {{ rollingUpdate: {{ maxSurge: 1, maxUnavailable: 0 }} }}
  template:
    metadata: {{ labels: {{ app: site }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: localhost/box:latest
        command: [sh, -c, 'mkdir /tmp/w; echo {version} $(hostname) > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w']
        ports: [{{ name: web, containerPort: 80 }}]
        readinessProbe: {{ httpGet: {{ path: /, port: web }}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 10 }}
        livenessProbe: {{ tcpSocket: {{ port: web }}, periodSeconds: 1, failureThreshold: 20 }}
---
apiVersion: v1
kind: Service
metadata: {{ name: site }}
spec:
  type: NodePort
  selector: {{ app: site }}
  ports: [{{ port: 8080, targetPort: web, nodePort: {port} }}]
"
    )
}

fn pods(lab: &Lab) -> Vec<String> {
    let mut names: Vec<String> = lab.ok("pod ps --format '{{.Name}} {{.Status}}'").lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_rolling_update_under_load_loses_no_request() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site(3, "one", port));
    lab.ok("kube play site.yaml");
    eventually("the first version serves", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    lab.write("site.yaml", site(3, "two", port));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut count, mut failed) = (0, Vec::new());
                    while !over.load(Ordering::Relaxed) {
                        count += 1;
                        match get(port, "/", "x") {
                            Ok(text) if text.contains("one") || text.contains("two") => {}
                            other => failed.push(format!("{other:?}")),
                        }
                    }
                    (count, failed)
                })
            })
            .collect();
        let played = lab.creel("kube play site.yaml").run();
        std::thread::sleep(Duration::from_millis(300));
        over.store(true, Ordering::Relaxed);
        for thread in load {
            let (count, failed) = thread.join().unwrap();
            assert!(count > 10, "{count} requests only");
            assert!(failed.is_empty(), "{} of {count} requests failed: {}", failed.len(), failed[0]);
        }
        assert!(played.ok().contains("deployment.apps/site configured"), "{played}");
    });
    assert!(get(port, "/", "x").unwrap().contains("two"));
    assert_eq!(pods(&lab).len(), 3, "{:?}", pods(&lab));
    assert!(lab.ok("kube play site.yaml").contains("deployment.apps/site unchanged"));
    lab.ok("kube down site.yaml");
    assert_eq!(lab.ok("pod ps -q"), "");
}

#[test]
fn a_workload_is_looked_at_scaled_and_turned_back() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site(1, "one", port));
    lab.ok("kube play site.yaml");
    lab.ok("kube rollout status deploy/site");
    assert!(lab.ok("kube get deploy").contains("site   1/1"), "{}", lab.ok("kube get deploy"));
    lab.ok("kube scale deploy/site --replicas 2");
    lab.ok("kube rollout status deploy/site");
    assert_eq!(lab.ok("kube get pods --no-headers").lines().filter(|line| line.contains("Running")).count(), 2);
    lab.write("site.yaml", site(2, "two", port));
    lab.ok("kube play site.yaml");
    lab.ok("kube rollout status deploy/site");
    assert!(get(port, "/", "x").unwrap().contains("two"));
    lab.ok("kube rollout undo deploy/site");
    lab.ok("kube rollout status deploy/site");
    eventually("the first version is back", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    let json = lab.json("kube get deploy/site -o json");
    assert_eq!(json["status"]["readyReplicas"], 2);
    assert!(lab.ok("kube describe svc site").contains("NodePort"));
    lab.creel("kube get deploy/nosuch").run().fails(125);
    lab.creel("kube get nonsense").run().fails(125);
    lab.ok("kube down site.yaml");
}

#[test]
fn a_paused_deployment_waits() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    let paused = |text: String| text.replacen("spec:\n", "spec:\n  paused: true\n", 1);
    lab.write("site.yaml", paused(site(1, "one", port)));
    lab.ok("kube play site.yaml");
    assert!(lab.ok("kube get deploy").contains("site   0/1     0            0"), "{}", lab.ok("kube get deploy"));
    assert_eq!(lab.ok("pod ps -q"), "");
    lab.creel("kube rollout pause deploy/site").run().fails(125);
    assert_eq!(lab.ok("kube rollout resume deploy/site"), "deployment.apps/site resumed");
    lab.ok("kube rollout status deploy/site");
    assert!(get(port, "/", "x").unwrap().contains("one"));
    // What it has goes on while it is paused.
    lab.write("site.yaml", paused(site(1, "two", port)));
    lab.ok("kube play site.yaml");
    lab.ok("kube scale deploy/site --replicas 2");
    eventually("there is one more", || lab.ok("kube get deploy").contains("site   2/2     0            2"));
    assert!(get(port, "/", "x").unwrap().contains("one"));
    for deed in ["restart", "undo"] {
        let error = lab.creel(&format!("kube rollout {deed} deploy/site")).run().fails(125);
        assert!(error.contains("paused deployment.apps/site"), "{error}");
    }
    lab.write("site.yaml", site(1, "two", port));
    lab.ok("kube rollout resume deploy/site");
    lab.ok("kube rollout status deploy/site");
    assert!(get(port, "/", "x").unwrap().contains("two"));
    // What a file does not say stays as it was.
    lab.ok("kube play site.yaml");
    assert_eq!(lab.ok("kube rollout pause deploy/site"), "deployment.apps/site paused");
    lab.write("site.yaml", site(1, "three", port));
    lab.ok("kube play site.yaml");
    assert!(get(port, "/", "x").unwrap().contains("two"));
    lab.ok("kube down site.yaml");
}

#[test]
fn a_pod_that_is_killed_comes_back_and_clients_do_not_notice_for_long() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site(2, "one", port));
    lab.ok("kube play site.yaml");
    eventually("both serve", || {
        let pages = (0..6).filter_map(|_| Some(get(port, "/", "x").ok()?.lines().last()?.to_owned()));
        let seen: std::collections::BTreeSet<String> = pages.filter(|page| page.starts_with("one")).collect();
        seen.len() == 2
    });
    let first = pods(&lab)[0].split(' ').next().unwrap().to_owned();
    lab.ok(&format!("pod rm -f -t 0 {first}"));
    for _ in 0..20 {
        let answer = get(port, "/", "x");
        assert!(answer.as_ref().is_ok_and(|text| text.contains("one")), "{answer:?}");
    }
    eventually("there are two again", || pods(&lab).len() == 2);
    lab.ok("kube down site.yaml");
}

#[test]
fn a_client_stays_with_its_pod_where_the_service_says_so() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    let affinity = "  sessionAffinity: ClientIP\n  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } }\n";
    lab.write(
        "site.yaml",
        site(3, "one", port).replace("  type: NodePort\n", &format!("  type: NodePort\n{affinity}")),
    );
    lab.ok("kube play site.yaml");
    eventually("it serves", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    let page = || get(port, "/", "x").unwrap().lines().last().unwrap().to_owned();
    let first = page();
    for _ in 0..9 {
        assert_eq!(page(), first);
    }
    // When its pod goes, another one takes the client over, and keeps it.
    lab.ok(&format!("pod rm -f -t 0 {}", first.trim_start_matches("one ")));
    eventually("another one serves", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    let second = page();
    for _ in 0..9 {
        assert_eq!(page(), second);
    }
    lab.ok("kube down site.yaml");
}

#[test]
fn the_supervisor_may_be_killed_at_any_moment() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site(2, "one", port));
    lab.ok("kube play site.yaml");
    let supervisor = || lab.processes().into_iter().find(|process| process.command.contains("__kube-supervisor"));
    let killed = supervisor().expect("a supervisor");
    kill(Pid::from_raw(killed.pid), Signal::SIGKILL).unwrap();
    eventually("it is gone", || supervisor().is_none());
    lab.ok(&format!("pod rm -f -t 0 {}", pods(&lab)[0].split(' ').next().unwrap()));
    // Any play starts it again, and it makes up for what happened meanwhile.
    assert!(lab.ok("kube play site.yaml").contains("unchanged"));
    eventually("there are two again", || pods(&lab).iter().filter(|pod| pod.ends_with("Running")).count() == 2);
    eventually("they serve", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    let forwarders = lab.processes().into_iter().filter(|process| process.command.contains("/exe forwarder"));
    for forwarder in forwarders {
        kill(Pid::from_raw(forwarder.pid), Signal::SIGKILL).unwrap();
    }
    eventually("they serve again", || get(port, "/", "x").is_ok_and(|text| text.contains("one")));
    lab.ok("kube down site.yaml");
    eventually("nobody supervises nothing", || supervisor().is_none());
}

#[test]
fn services_are_found_by_name_in_every_namespace() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let port = node_port();
    lab.write("site.yaml", site(2, "one", port));
    lab.ok("kube play site.yaml");
    lab.write(
        "client.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: near }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: it, image: localhost/box, command: [idle] }
---
apiVersion: v1
kind: Namespace
metadata: { name: other }
---
apiVersion: v1
kind: Pod
metadata: { name: far, namespace: other }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: it, image: localhost/box, command: [idle] }
",
    );
    lab.ok("kube play client.yaml");
    let ask = |container: &str, name: &str| fetch(&lab, container, name, 8080, "/");
    for name in ["site", "site.default", "site.default.svc.cluster.local"] {
        eventually(name, || ask("near-it", name).contains("one"));
    }
    eventually("from another namespace", || ask("other-far-it", "site.default").contains("one"));
    assert!(!ask("other-far-it", "site").contains("one"), "a bare name is one of the own namespace");
    let variables = lab.ok("exec near-it env");
    assert!(variables.contains("SITE_SERVICE_PORT=8080"), "{variables}");
    lab.ok("kube down client.yaml");
    lab.ok("kube down site.yaml");
}

#[test]
fn a_stateful_set_has_names_an_order_and_a_volume_each() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let text = |replicas: u32| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{ name: db }}
spec: {{ clusterIP: None, selector: {{ app: db }}, ports: [{{ port: 80 }}] }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  serviceName: db
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: db }} }}
  template:
    metadata: {{ labels: {{ app: db }} }}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: it
        image: localhost/box
        command: [sh, -c, 'echo $(hostname) >> /data/log; exec httpd -f -p 80 -h /data']
        volumeMounts: [{{ name: data, mountPath: /data }}]
        readinessProbe: {{ httpGet: {{ path: /log, port: 80 }}, periodSeconds: 1 }}
  volumeClaimTemplates:
  - metadata: {{ name: data }}
    spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Mi }} }} }}
"
        )
    };
    lab.write("db.yaml", text(2));
    lab.ok("kube play db.yaml");
    eventually("both run", || pods(&lab) == ["db-0 Running", "db-1 Running"]);
    assert_eq!(lab.ok("exec db-1-it cat /data/log"), "db-1");
    // Its neighbour is known by its own name below the Service's.
    eventually("db-0 is found", || fetch(&lab, "db-1-it", "db-0.db", 80, "/log").contains("db-0"));
    lab.write("db.yaml", text(1));
    assert_eq!(lab.ok("kube play db.yaml"), "service/db unchanged\nstatefulset.apps/db configured");
    eventually("the last one goes", || pods(&lab) == ["db-0 Running"]);
    lab.write("db.yaml", text(2));
    // Told is what was made.
    let said = lab.ok("kube play db.yaml");
    assert_eq!(said.matches("Pod:\n").count(), 1, "{said}");
    eventually("it finds its volume again", || lab.creel("exec db-1-it cat /data/log").run().out() == "db-1\ndb-1");
    let text = lab.ok("kube down db.yaml");
    assert!(text.contains("Volumes kept:\ndata-db-0\ndata-db-1"), "{text}");
    assert_eq!(lab.ok("volume ls -q"), "data-db-0\ndata-db-1");
    lab.ok("kube play db.yaml");
    lab.ok("kube down --force db.yaml");
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn a_stateful_sets_claims_go_with_it_where_it_says_so() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("volume create seen");
    let text = |replicas: u32| {
        format!(
            "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: {replicas}
  persistentVolumeClaimRetentionPolicy: {{ whenScaled: Delete, whenDeleted: Delete }}
  selector: {{ matchLabels: {{ app: db }} }}
  template:
    metadata: {{ labels: {{ app: db }} }}
    spec:
      terminationGracePeriodSeconds: 20
      volumes: [{{ name: seen, persistentVolumeClaim: {{ claimName: seen }} }}]
      containers:
      - name: it
        image: localhost/box
        command:
        - sh
        - -c
        - trap 'sleep 1; cp /data/own /seen/$(hostname); exit 0' TERM; hostname > /data/own; while true; do sleep 0.1; done
        volumeMounts: [{{ name: data, mountPath: /data }}, {{ name: seen, mountPath: /seen }}]
  volumeClaimTemplates:
  - metadata: {{ name: data }}
    spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Mi }} }} }}
"
        )
    };
    lab.write("db.yaml", text(2));
    lab.ok("kube play db.yaml");
    eventually("both run", || pods(&lab) == ["db-0 Running", "db-1 Running"]);
    eventually("it has written", || lab.creel("exec db-1-it cat /data/own").run().out() == "db-1");
    lab.write("db.yaml", text(1));
    lab.ok("kube play db.yaml");
    eventually("the claim of the last one goes", || !lab.ok("volume ls -q").contains("data-db-1"));
    assert!(lab.ok("volume ls -q").contains("data-db-0"));
    // It had it to its end.
    assert_eq!(lab.ok("run --rm -v seen:/seen box cat /seen/db-1"), "db-1");
    assert_eq!(pods(&lab), ["db-0 Running"]);
    let text = lab.ok("kube down db.yaml");
    assert!(text.contains("Volumes removed:\ndata-db-0"), "{text}");
    assert_eq!(lab.ok("volume ls -q"), "seen");
    lab.ok("volume rm seen");
}

#[test]
fn a_job_is_tried_again_until_it_succeeds() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    lab.ok("volume create tries");
    lab.write(
        "job.yaml",
        "
apiVersion: batch/v1
kind: Job
metadata: { name: sum }
spec:
  completions: 2
  parallelism: 2
  template:
    spec:
      restartPolicy: OnFailure
      containers:
      - name: it
        image: localhost/box
        command: [sh, -c, 'f=/t/$(hostname); test -e $f && exit 0; touch $f; exit 3']
        volumeMounts: [{ name: t, mountPath: /t }]
      volumes: [{ name: t, persistentVolumeClaim: { claimName: tries } }]
",
    );
    lab.ok("kube play job.yaml");
    let ended = || {
        let states = lab.ok("ps -a --filter name=sum --format '{{.State}} {{.ExitCode}}'");
        states.lines().count() == 2 && states.lines().all(|line| line == "exited 0")
    };
    assert!(comes_true(Duration::from_secs(60), ended), "{}", lab.ok("ps -a"));
    lab.ok("kube down job.yaml");
    lab.ok("volume rm tries");
}

/// What became of a Job, by `kube get`.
fn job_status(lab: &Lab, name: &str) -> serde_json::Value {
    let said: serde_json::Value = serde_json::from_str(&lab.ok(&format!("kube get job {name} -o json"))).unwrap();
    said["status"].clone()
}

#[test]
fn an_index_fails_alone_and_some_may_be_enough() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let job = |name: &str, policy: &str, script: &str| {
        format!(
            "
---
apiVersion: batch/v1
kind: Job
metadata: {{ name: {name} }}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
{policy}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{{ name: it, image: localhost/box, command: [sh, -c, '{script}'] }}]
"
        )
    };
    let script = "test $JOB_COMPLETION_INDEX != 1";
    let alone = job("alone", "  backoffLimitPerIndex: 0", script);
    let bound = job(
        "bound",
        "  backoffLimitPerIndex: 0\n  maxFailedIndexes: 0",
        "test $JOB_COMPLETION_INDEX = 1 && exit 1; idle",
    );
    let enough =
        job("enough", "  successPolicy: { rules: [{ succeededIndexes: '0,2' }] }", &format!("{script} || idle"));
    lab.write("jobs.yaml", alone + &bound + &enough);
    lab.ok("kube play jobs.yaml");
    for (name, condition, reason, completed) in [
        ("alone", "Failed", "FailedIndexes", "0,2"),
        ("bound", "Failed", "MaxFailedIndexesExceeded", ""),
        ("enough", "Complete", "SuccessPolicy", "0,2"),
    ] {
        let ended = || job_status(&lab, name)["conditions"][0]["type"].is_string();
        assert!(comes_true(Duration::from_secs(60), ended), "{}", lab.ok("ps -a"));
        let status = job_status(&lab, name);
        let said = ["type", "reason"].map(|field| status["conditions"][0][field].as_str().unwrap().to_owned());
        assert_eq!(said, [condition, reason], "{status}");
        assert_eq!(status["completedIndexes"], completed, "{status}");
        let failed = if name == "enough" { serde_json::Value::Null } else { "1".into() };
        assert_eq!(status["failedIndexes"], failed, "{status}");
    }
    lab.ok("kube down jobs.yaml");
}

#[test]
fn an_ingress_sends_requests_where_host_and_path_say() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let part = |name: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{ name: {name}, labels: {{ app: {name} }} }}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: it
    image: localhost/box
    command: [sh, -c, 'mkdir -p /tmp/w/{name}; echo page of {name} > /tmp/w/{name}/index.html; exec httpd -f -p 80 -h /tmp/w']
---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ port: 80 }}] }}
---"
        )
    };
    let text = format!(
        "{}{}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: way-in }}
spec:
  rules:
  - host: shop.example
    http:
      paths:
      - {{ path: /a, pathType: Prefix, backend: {{ service: {{ name: a, port: {{ number: 80 }} }} }} }}
      - {{ path: /b, pathType: Prefix, backend: {{ service: {{ name: b, port: {{ number: 80 }} }} }} }}
",
        part("a"),
        part("b")
    );
    lab.write("ingress.yaml", text);
    let Some(_turn) = ingress_turn() else { return };
    lab.ok("kube play ingress.yaml");
    let port = ingress_port();
    for name in ["a", "b"] {
        eventually(name, || {
            get(port, &format!("/{name}/"), "shop.example").is_ok_and(|text| text.contains(&format!("page of {name}")))
        });
    }
    assert!(get(port, "/a/", "elsewhere").unwrap().starts_with("HTTP/1.1 404"));
    lab.ok("kube down ingress.yaml");
}

#[test]
fn a_changed_config_map_reaches_the_pod_that_mounts_it() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let text = |word: &str| {
        format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: words }}
data: {{ word: {word} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: reader }}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{ name: it, image: localhost/box, command: [idle], volumeMounts: [{{ name: words, mountPath: /words }}] }}
  volumes: [{{ name: words, configMap: {{ name: words }} }}]
"
        )
    };
    lab.write("words.yaml", text("one"));
    lab.ok("kube play words.yaml");
    assert_eq!(lab.ok("exec reader-it cat /words/word"), "one");
    let id = lab.inspect("reader-it", "{{.Id}}");
    lab.write("words.yaml", text("two"));
    let lines = "configmap/words configured (dry run)\npod/reader unchanged (dry run)";
    assert_eq!(lab.ok("kube play --dry-run words.yaml"), lines);
    let diff = lab.ok("kube play --diff words.yaml");
    assert!(diff.starts_with("--- ConfigMap/words\n+++ ConfigMap/words\n@@ "), "{diff}");
    assert!(diff.contains("\n-  word: one\n+  word: two\n") && !diff.contains("reader"), "{diff}");
    assert_eq!(lab.ok("exec reader-it cat /words/word"), "one");
    let said = lab.ok("kube play words.yaml");
    assert!(said.contains("configmap/words configured") && said.contains("pod/reader unchanged"), "{said}");
    assert_eq!(lab.ok("exec reader-it cat /words/word"), "two");
    assert_eq!(lab.inspect("reader-it", "{{.Id}}"), id);
    assert_eq!(lab.ok("kube play --diff words.yaml"), "");
    lab.ok("kube down words.yaml");
}

#[test]
fn a_play_that_is_killed_is_made_up_for_by_the_next() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let containers: String =
        (0..4).map(|number| format!("\n  - {{ name: c{number}, image: localhost/box, command: [idle] }}")).collect();
    lab.write(
        "four.yaml",
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: four }}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:{containers}\n"),
    );
    for pause in [20, 60, 100, 140] {
        let play = lab.creel("kube play four.yaml").spawn();
        std::thread::sleep(Duration::from_millis(pause));
        play.signal(Signal::SIGKILL);
        drop(play.end());
        lab.ok("kube play four.yaml");
        eventually("all run", || {
            let states = lab.ok("ps --format {{.Names}} --filter name=four-c");
            states.lines().count() == 4
        });
        lab.ok("kube down four.yaml");
        assert_eq!(lab.ok("ps -aq"), "");
    }
}

#[test]
fn a_play_that_fails_leaves_nothing() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    let text = site(2, "one", node_port()).replace("[sh, -c,", "[no-such-program,");
    lab.write("site.yaml", text);
    let error = lab.creel("kube play site.yaml").run().fails(125);
    assert!(error.contains("no-such-program"), "{error}");
    eventually("no pod is left", || lab.ok("pod ps -q").is_empty());
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("network ls -q --filter name=kube"), "");
    let said = lab.ok("kube down site.yaml");
    assert!(!said.contains("deployment"), "{said}");
}

#[test]
fn a_cron_job_begins_by_the_clock() {
    if no_controllers() {
        return;
    }
    let lab = Lab::new();
    lab.write(
        "cron.yaml",
        "
apiVersion: batch/v1
kind: CronJob
metadata: { name: tick }
spec:
  schedule: '* * * * *'
  successfulJobsHistoryLimit: 1
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{ name: it, image: localhost/box, command: [date, '+%S'] }]
",
    );
    let minute = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let begun = minute();
    assert!(lab.ok("kube play cron.yaml").contains("cronjob.batch/tick created"));
    let unset = || lab.ok("kube get cronjob tick --no-headers").matches("<none>").count();
    // No time zone, and no last time yet, unless a minute has begun meanwhile.
    let first = unset();
    assert!(first == 2 || minute() > begun, "{first}");
    // A minute passes at most until it is due.
    let succeeded = || lab.ok("kube get jobs --no-headers").contains("1/1");
    assert!(comes_true(Duration::from_secs(90), succeeded), "{}", lab.ok("kube get jobs"));
    let job = lab.ok("kube get jobs --no-headers");
    let container = lab.ok("ps -a --filter name=tick --format {{.Names}}");
    assert!(job.starts_with("tick-") && container.starts_with("tick-"), "{job}: {container}");
    let second: u32 = lab.ok(&format!("logs {container}")).trim().parse().unwrap();
    assert!(second < 20, "it began {second} s after the full minute");
    assert_eq!(unset(), 1);
    lab.ok("kube down cron.yaml");
    assert_eq!(lab.ok("pod ps -q"), "");
    eventually("nobody is left", || lab.processes().is_empty());
}

#[test]
fn an_autoscaler_adds_pods_where_the_processor_is_busy() {
    if no_controllers() {
        return;
    }
    crate::limits::in_machine(
        "an_autoscaler_adds_pods_where_the_processor_is_busy",
        r#"
        cat > busy.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: { name: busy }
spec:
  selector: { matchLabels: { app: busy } }
  template:
    metadata: { labels: { app: busy } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: it
        image: localhost/box
        command: [sh, -c, 'while :; do :; done']
        resources: { requests: { cpu: 20m }, limits: { cpu: 50m } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: busy }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: busy }
  minReplicas: 1
  maxReplicas: 2
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
YAML
        $creel kube play busy.yaml
        for i in $(seq 90); do
            pods=$($creel kube get pods --no-headers | grep -c Running || true)
            [ "$pods" != 2 ] || break
            sleep 1
        done
        $creel kube get hpa
        [ "$pods" = 2 ]
        $creel kube get hpa --no-headers | grep -E '[0-9]+%/50%'
        $creel kube down busy.yaml
        [ -z "$($creel pod ps -q)" ]"#,
    );
}
