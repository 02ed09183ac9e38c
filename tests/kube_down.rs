//! `kube down` by where objects were played from: Podman knows the file's own words alone.

use nix::sys::signal::Signal;

use crate::lab::{Lab, differs_on_purpose, eventually};

fn by_the_words_alone() -> bool {
    differs_on_purpose("podman takes down what a file names, wherever that came from")
}

/// A Deployment of one pod.
fn deployment(name: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{ name: it, image: localhost/box, command: [idle] }}]
"
    )
}

fn config_map(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ a: b }}\n")
}

fn secret(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\nstringData: {{ a: b }}\n")
}

#[track_caller]
fn nothing_is_left(lab: &Lab) {
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("pod ps -q"), "");
    assert_eq!(lab.ok("secret ls -q"), "");
    assert_eq!(lab.ok("network ls -q --filter name=kube"), "");
    assert_eq!(lab.ok("kube get all,cm --no-headers"), "");
    eventually("no process is left", || lab.processes().is_empty());
}

/// The lines under a heading.
fn block(said: &str, title: &str) -> Vec<String> {
    let below = said.lines().skip_while(|line| *line != title).skip(1);
    below.take_while(|line| !line.ends_with(':')).map(str::to_owned).collect()
}

#[test]
fn what_a_file_no_longer_names_goes_with_it() {
    if by_the_words_alone() {
        return;
    }
    let lab = Lab::new();
    lab.write("site.yaml", deployment("old") + &config_map("settings") + &secret("key"));
    lab.ok("kube play site.yaml");
    lab.write("site.yaml", deployment("new"));
    let played = lab.creel("kube play site.yaml").run();
    assert_eq!(
        played.err(),
        "Warning: no longer in site.yaml, and kept: secret/key, configmap/settings, deployment.apps/old; \
         `creel kube play --prune site.yaml` removes them"
    );
    assert!(played.ok().contains("deployment.apps/new created"), "{played}");
    let mut shown: Vec<String> = lab.ok("kube get deploy -o name").lines().map(str::to_owned).collect();
    shown.sort();
    assert_eq!(shown, ["deployment.apps/new", "deployment.apps/old"]);
    // By another path to the same file, from elsewhere.
    lab.folder("sub");
    std::os::unix::fs::symlink(lab.path("site.yaml"), lab.path("sub/link.yaml")).unwrap();
    let said = lab.ok("kube down sub/link.yaml");
    assert!(said.starts_with("Pods stopped:\n"), "{said}");
    assert_eq!(block(&said, "Pods removed:").len(), 2, "{said}");
    assert_eq!(block(&said, "Secrets removed:").len(), 1, "{said}");
    let mut removed = block(&said, "Objects removed:");
    removed.sort();
    assert_eq!(removed, ["configmap/settings", "deployment.apps/new", "deployment.apps/old"], "{said}");
    nothing_is_left(&lab);
}

#[test]
fn a_file_that_is_gone_is_taken_down_by_its_path_and_one_that_was_moved_by_its_words() {
    if by_the_words_alone() {
        return;
    }
    let lab = Lab::new();
    lab.write("gone.yaml", deployment("a"));
    lab.write("here.yaml", deployment("b") + &config_map("settings"));
    lab.ok("kube play gone.yaml here.yaml");
    std::fs::remove_file(lab.path("gone.yaml")).unwrap();
    let done = lab.creel("kube down gone.yaml").run();
    assert!(done.err().contains("no such file or directory: taking down what was played from there"), "{done}");
    assert_eq!(block(&done.ok(), "Objects removed:"), ["deployment.apps/a"]);
    let error = lab.creel("kube down gone.yaml").run().fails(125);
    assert!(error.contains("no such file or directory"), "{error}");
    std::fs::rename(lab.path("here.yaml"), lab.path("there.yaml")).unwrap();
    lab.write("here.yaml", "# nothing\n");
    lab.ok("kube down there.yaml");
    nothing_is_left(&lab);
    // What comes in by standard input has no place, but words.
    lab.creel("kube play -").input(deployment("a")).run().ok();
    lab.creel("kube play -").input(deployment("b")).run().ok();
    let said = lab.creel("kube down -").input(deployment("a")).run().ok();
    assert_eq!(block(&said, "Objects removed:"), ["deployment.apps/a"]);
    lab.write("b.yaml", deployment("b"));
    lab.ok("kube down b.yaml");
    nothing_is_left(&lab);
}

#[test]
fn what_another_file_has_taken_over_is_kept() {
    if by_the_words_alone() {
        return;
    }
    let lab = Lab::new();
    lab.write("all.yaml", deployment("web") + &config_map("settings") + &secret("key"));
    lab.write("rest.yaml", config_map("settings") + &secret("key"));
    lab.ok("kube play all.yaml");
    assert_eq!(lab.ok("kube play rest.yaml"), "configmap/settings unchanged\nsecret/key unchanged");
    let said = lab.ok("kube down all.yaml");
    assert_eq!(block(&said, "Objects removed:"), ["deployment.apps/web"], "{said}");
    let since = format!("(played from {} since)", lab.path("rest.yaml").display());
    let mut kept = block(&said, "Objects kept:");
    kept.sort();
    assert_eq!(kept, [format!("configmap/settings {since}"), format!("secret/key {since}")], "{said}");
    assert_eq!(lab.ok("kube get cm,secret -o name"), "configmap/settings\nsecret/key");
    lab.ok("kube down rest.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_play_prunes_where_it_is_told_to() {
    if by_the_words_alone() {
        return;
    }
    let lab = Lab::new();
    lab.write("other.yaml", config_map("other"));
    lab.write("site.yaml", deployment("old") + &config_map("settings"));
    lab.ok("kube play other.yaml");
    lab.ok("kube play site.yaml");
    lab.write("site.yaml", config_map("settings"));
    let preview = lab.ok("kube play --prune --dry-run site.yaml");
    assert_eq!(preview, "configmap/settings unchanged (dry run)\ndeployment.apps/old pruned (dry run)");
    let played = lab.creel("kube play --prune site.yaml").run();
    assert_eq!(played.err(), "");
    assert_eq!(played.ok(), "configmap/settings unchanged\ndeployment.apps/old pruned");
    assert_eq!(lab.ok("pod ps -q"), "");
    assert_eq!(lab.ok("kube get cm -o name"), "configmap/other\nconfigmap/settings");
    lab.ok("kube down site.yaml other.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_down_that_is_killed_can_be_finished_without_the_file() {
    if by_the_words_alone() {
        return;
    }
    let lab = Lab::new();
    let dir = lab.folder("shared");
    // As a first process sh does not hear SIGTERM.
    let stubborn = |name: &str| {
        format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{ name: {name} }}
spec:
  terminationGracePeriodSeconds: 600
  containers:
  - name: it
    image: localhost/box
    command: [sh, -c, 'until test -e /shared/go; do sleep 0.05; done']
    volumeMounts: [{{ name: shared, mountPath: /shared }}]
  volumes:
  - {{ name: shared, hostPath: {{ path: {}, type: Directory }} }}
",
            dir.display()
        )
    };
    lab.write("site.yaml", stubborn("one") + &stubborn("two") + &config_map("settings"));
    lab.ok("kube play site.yaml");
    let down = lab.creel("kube down site.yaml").within(60).spawn();
    eventually("it is on its way", || lab.ok("kube get cm -o name").is_empty());
    down.signal(Signal::SIGKILL);
    std::fs::remove_file(lab.path("site.yaml")).unwrap();
    lab.write("shared/go", "");
    drop(down.end());
    lab.ok("kube down site.yaml");
    nothing_is_left(&lab);
}

#[test]
fn a_job_with_a_cron_job_s_name_in_its_own_stays() {
    if differs_on_purpose("podman has no CronJobs") {
        return;
    }
    let lab = Lab::new();
    let pod = "restartPolicy: Never, terminationGracePeriodSeconds: 0, \
               containers: [{ name: it, image: localhost/box, command: [idle] }]";
    lab.write(
        "cron.yaml",
        format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{ name: tick }}\nspec:\n  schedule: '0 0 29 2 *'\n  \
             jobTemplate: {{ spec: {{ template: {{ spec: {{ {pod} }} }} }} }}\n"
        ),
    );
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: tick-1 }}\nspec: {{ template: {{ spec: {{ {pod} }} }} }}\n"
    );
    lab.write("job.yaml", job);
    lab.ok("kube play cron.yaml");
    lab.ok("kube play job.yaml");
    eventually("the Job's pod runs", || !lab.ok("pod ps -q --filter status=running").is_empty());
    let before = lab.ok("pod ps -q");
    lab.ok("kube down cron.yaml");
    assert_eq!(lab.ok("pod ps -q"), before);
    assert_eq!(lab.ok("kube get cronjob,job -o name"), "job.batch/tick-1");
    lab.ok("kube down job.yaml");
    nothing_is_left(&lab);
}
