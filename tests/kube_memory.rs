//! `emptyDir: { medium: Memory }`: one file system in memory for all containers of a pod.

use crate::lab::{Lab, differs_on_purpose};

/// `$1`: fields of the pod, `$2`: of the emptyDir.
fn pod(fields: &str, empty_dir: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: p }}
spec:
  terminationGracePeriodSeconds: 0
  {fields}
  volumes: [{{ name: room, emptyDir: {{ medium: Memory, {empty_dir} }} }}]
  initContainers:
  - name: first
    image: localhost/box
    command: [sh, -c, echo begun > /room/word]
    volumeMounts: [{{ name: room, mountPath: /room }}]
  containers:
  - name: a
    image: localhost/box
    command: [idle]
    volumeMounts: [{{ name: room, mountPath: /room }}]
  - name: b
    image: localhost/box
    command: [idle]
    volumeMounts:
    - {{ name: room, mountPath: /in/here, readOnly: true }}
    - {{ name: room, mountPath: /part, subPath: some/part }}
"
    )
}

fn inside(lab: &Lab, container: &str, script: &str) -> String {
    lab.creel_words(&["exec", container, "sh", "-c", script]).run().ok()
}

#[test]
fn containers_of_a_pod_share_a_bounded_room_in_memory() {
    if differs_on_purpose("podman bounds a memory emptyDir for each container by itself") {
        return;
    }
    let lab = Lab::new();
    for (fields, group) in [
        ("", "0"),
        ("hostUsers: false", "0"),
        ("securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 }", "2000"),
        ("hostNetwork: true\n  hostIPC: true\n  hostPID: true", "0"),
    ] {
        lab.write("pod.yaml", pod(fields, "sizeLimit: 1Mi"));
        let played = lab.creel("kube play pod.yaml").run();
        assert_eq!(played.err(), "", "{fields}");
        played.ok();
        assert_eq!(inside(&lab, "p-a", "cat /room/word"), "begun", "{fields}");
        assert_eq!(inside(&lab, "p-b", "stat -f -c %T /in/here /part"), "tmpfs\ntmpfs");
        // Both write to the same bytes.
        inside(&lab, "p-a", "dd if=/dev/zero of=/room/a bs=1k count=600 2>/dev/null");
        assert_eq!(inside(&lab, "p-b", "dd if=/dev/zero of=/part/b bs=1k count=600 2>/dev/null || echo full"), "full");
        inside(&lab, "p-b", "echo of b > /part/b; touch /in/here/x 2>/dev/null && echo wrote; true");
        assert_eq!(
            inside(&lab, "p-a", "cat /room/some/part/b; stat -c %g /room/a /room/some"),
            format!("of b\n{group}\n{group}")
        );
        // It outlives each of its containers.
        lab.ok("restart -t 0 p-a");
        lab.ok("restart -t 0 p-b");
        assert_eq!(inside(&lab, "p-a", "cat /room/word /room/some/part/b"), "begun\nof b");
        assert_eq!(inside(&lab, "p-b", "cat /in/here/word /part/b"), "begun\nof b");
        lab.ok("kube down pod.yaml");
    }
}

#[test]
fn a_room_in_memory_is_written_as_such() {
    let lab = Lab::new();
    if differs_on_purpose("podman's containers have one each") {
        return;
    }
    lab.write("pod.yaml", pod("", "sizeLimit: 1Mi"));
    lab.ok("kube play pod.yaml");
    let written = lab.ok("kube generate p");
    assert_eq!(written.matches("medium: Memory").count(), 1, "{written}");
    assert!(written.contains("sizeLimit: 1Mi"), "{written}");
    lab.ok("kube down pod.yaml");
    lab.write("again.yaml", &written);
    lab.ok("kube play again.yaml");
    assert_eq!(
        lab.ok("kube generate p").lines().filter(|line| !line.contains("creationTimestamp")).collect::<Vec<_>>(),
        written.lines().filter(|line| !line.contains("creationTimestamp")).collect::<Vec<_>>()
    );
    assert_eq!(inside(&lab, "p-a", "cat /room/word"), "begun");
}

#[test]
fn a_cloned_pod_has_a_room_of_its_own() {
    if differs_on_purpose("podman's containers have one each") {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", pod("", ""));
    lab.ok("kube play pod.yaml");
    lab.ok("pod clone --start --name q p");
    inside(&lab, "p-a", "echo changed > /room/word");
    assert_eq!(inside(&lab, "p-a-clone", "cat /room/word"), "begun");
    let error = lab.creel("container clone --pod other p-a").run().fails(125);
    assert!(error.contains("no pod with name or ID other found"), "{error}");
    lab.ok("pod create other");
    let error = lab.creel("container clone --pod other p-a").run().fails(125);
    assert!(error.contains("pod other has no volume in memory"), "{error}");
}

#[test]
fn a_part_of_a_claim_that_stands_for_a_directory_is_made_there() {
    let lab = Lab::new();
    lab.write("data/kept", "kept\n");
    let place = lab.path("data");
    lab.write(
        "pod.yaml",
        format!(
            "
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: bound
  annotations:
    volume.podman.io/type: none
    volume.podman.io/mount-options: bind
    volume.podman.io/device: {}
spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Mi }} }} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: p }}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{{ name: data, persistentVolumeClaim: {{ claimName: bound }} }}]
  containers:
  - name: a
    image: localhost/box
    command: [idle]
    volumeMounts:
    - {{ name: data, mountPath: /all }}
    - {{ name: data, mountPath: /part, subPath: new/part }}
",
            place.display()
        ),
    );
    lab.ok("kube play pod.yaml");
    inside(&lab, "p-a", "echo word > /part/f");
    assert_eq!(inside(&lab, "p-a", "cat /all/kept /all/new/part/f"), "kept\nword");
    assert_eq!(lab.read("data/new/part/f"), "word\n");
}
