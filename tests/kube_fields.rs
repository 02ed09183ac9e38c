//! What the fields of a pod promise, looked at from inside of its containers.

use crate::lab::{Lab, differs_on_purpose};

/// What a command in a container prints.
fn inside(lab: &Lab, container: &str, script: &str) -> String {
    lab.ok(&format!("exec {container} sh -c '{script}'"))
}

#[test]
fn a_pods_user_and_group_have_its_volumes() {
    if differs_on_purpose("podman plays without fsGroup") {
        return;
    }
    let lab = Lab::new();
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }
---
apiVersion: v1
kind: Secret
metadata: { name: key }
stringData: { word: open }
---
apiVersion: v1
kind: Pod
metadata: { name: one }
spec:
  hostUsers: HOST_USERS
  terminationGracePeriodSeconds: 0
  securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 }
  volumes:
  - { name: data, persistentVolumeClaim: { claimName: data } }
  - { name: room, emptyDir: }
  - { name: key, secret: { secretName: key, defaultMode: 0400 } }
  containers:
  - name: it
    image: localhost/box
    command: [idle]
    workingDir: /made/for/it
    volumeMounts:
    - { name: data, mountPath: /data }
    - { name: data, mountPath: /part, subPath: a/b }
    - { name: room, mountPath: /room }
    - { name: room, mountPath: /corner, subPath: c }
    - { name: key, mountPath: /key }
",
    );
    let text = lab.read("pod.yaml");
    for host_users in ["true", "false"] {
        lab.write("pod.yaml", text.replace("HOST_USERS", host_users));
        lab.ok("kube play pod.yaml");
        assert_eq!(inside(&lab, "one-it", "cat /key/word; pwd"), "open/made/for/it");
        let made =
            inside(&lab, "one-it", "for d in data part room corner; do echo x >/$d/f; stat -c %g /$d /$d/f; done");
        assert_eq!(made, ["2000"; 8].join("\n"));
        lab.ok("restart -t 0 one-it");
        assert_eq!(inside(&lab, "one-it", "cat /room/f /part/f"), "x\nx");
        lab.ok("kube down --force pod.yaml");
    }
    // What others have left in a volume is the group's, too.
    lab.ok("volume create data");
    lab.ok(
        "run --rm -v data:/data localhost/box sh -c 'mkdir -m 700 /data/d; echo old >/data/d/f; chmod 600 /data/d/f'",
    );
    lab.write("pod.yaml", text.replace("HOST_USERS", "true"));
    lab.ok("kube play pod.yaml");
    assert_eq!(inside(&lab, "one-it", "echo new >>/data/d/f; cat /data/d/f"), "old\nnew");
    lab.ok("kube down --force pod.yaml");
}

#[test]
fn a_pod_under_a_headless_service_knows_its_full_name() {
    if differs_on_purpose("podman has no subdomains") {
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
  hostname: first
  subdomain: group
  terminationGracePeriodSeconds: 0
  containers: [{ name: it, image: localhost/box, command: [idle] }]
",
    );
    lab.ok("kube play pod.yaml");
    assert_eq!(inside(&lab, "one-it", "hostname"), "first");
    let hosts = inside(&lab, "one-it", "grep group /etc/hosts");
    assert!(hosts.contains("\tfirst.group.default.svc.cluster.local first "), "{hosts}");
}

#[test]
fn what_a_pod_cannot_have_is_said_before_it_is_made() {
    if differs_on_purpose("podman makes the pod and fails, or says nothing") {
        return;
    }
    let lab = Lab::new();
    let pod = |of_pod: &str, of_container: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: one }}\nspec:\n  securityContext: {{ {of_pod} }}\n  containers:\n  \
             - {{ name: it, image: localhost/box, securityContext: {{ {of_container} }} }}\n"
        )
    };
    for (text, said) in [
        (
            pod("sysctls: [{ name: vm.swappiness, value: '1' }]", ""),
            "pod.yaml:5:40: Pod/one: spec.securityContext.sysctls[0].name: sysctl 'vm.swappiness' is not allowed",
        ),
        (
            pod("", "capabilities: { add: [FLY] }"),
            "spec.containers[0].securityContext.capabilities.add[0]: \"FLY\" is no capability like NET_ADMIN",
        ),
        (pod("seccompProfile: { type: Localhost, localhostProfile: none.json }", ""), "none.json: No such file"),
    ] {
        lab.write("pod.yaml", text);
        let error = lab.creel("kube play pod.yaml").run().fails(125);
        assert!(error.contains(said), "{error}");
        assert_eq!(lab.ok("pod ps -q") + &lab.ok("ps -aq"), "");
    }
    // Which of many containers could not begin is in the text, not in the exit code.
    lab.write("pod.yaml", pod("", "").replace("image:", "command: [nothing], image:"));
    let error = lab.creel("kube play pod.yaml").run().fails(125);
    assert!(error.contains("Pod/one: container one-it: executable file `nothing` not found"), "{error}");
    assert_eq!(lab.ok("pod ps -q"), "");
}

#[test]
fn an_immutable_secret_stays_as_it_is() {
    if differs_on_purpose("podman refuses to play a secret twice") {
        return;
    }
    let lab = Lab::new();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: key }\nimmutable: true\nstringData: { word: open }\n";
    lab.write("secret.yaml", secret);
    lab.ok("kube play secret.yaml");
    lab.ok("kube play secret.yaml");
    lab.write("secret.yaml", secret.replace("open", "shut"));
    let error = lab.creel("kube play secret.yaml").run().fails(125);
    assert!(error.contains("cannot be changed: the stored one is immutable"), "{error}");
}

#[test]
fn a_played_pod_becomes_the_same_manifest_each_time() {
    let lab = Lab::new();
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: one, labels: { app: site }, annotations: { note: mine } }
spec:
  containers: [{ name: it, image: localhost/box, command: [idle], env: [{ name: A, value: b }] }]
",
    );
    lab.ok("kube play pod.yaml");
    let manifest = || {
        let text = lab.ok("kube generate one");
        let written = |line: &&str| !line.starts_with('#') && !line.contains("creationTimestamp");
        text.lines().filter(written).map(|line| format!("{line}\n")).collect::<String>()
    };
    let first = manifest();
    assert!(first.contains("note: mine"), "{first}");
    lab.ok("pod rm -f -t 0 one");
    lab.write("again.yaml", &first);
    lab.ok("kube play again.yaml");
    assert_eq!(manifest(), first);
    lab.ok("kube down again.yaml");
}

#[test]
fn a_pod_knows_its_namespace_without_the_environment() {
    if differs_on_purpose("podman has no namespaces") {
        return;
    }
    let lab = Lab::new();
    let pod = |fields: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: p }}\nspec:\n  terminationGracePeriodSeconds: 0\n  {fields}\n  \
             containers: [{{ name: c, image: localhost/box, command: [idle] }}]\n"
        )
    };
    let file = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    lab.write("pod.yaml", pod("hostUsers: false"));
    lab.ok("kube play pod.yaml");
    assert_eq!(inside(&lab, "p-c", &format!("cat {file}")), "default");
    assert_eq!(lab.ok("inspect p-c --format '{{len .Mounts}}'"), "0");
    lab.write("pod.yaml", pod("automountServiceAccountToken: false"));
    lab.ok("kube play --replace pod.yaml");
    assert_eq!(inside(&lab, "p-c", &format!("test -e {file} || echo none")), "none");
    lab.ok("kube down pod.yaml");
}

#[test]
fn an_ephemeral_volume_is_its_pods_own() {
    if differs_on_purpose("podman has no ephemeral volumes") {
        return;
    }
    let lab = Lab::new();
    lab.write(
        "set.yaml",
        "
apiVersion: apps/v1
kind: ReplicaSet
metadata: { name: r }
spec:
  replicas: 2
  selector: { matchLabels: { a: b } }
  template:
    metadata: { labels: { a: b } }
    spec:
      terminationGracePeriodSeconds: 0
      volumes:
      - name: scratch
        ephemeral:
          volumeClaimTemplate: { spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } } }
      containers:
      - { name: c, image: localhost/box, command: [idle], volumeMounts: [{ name: scratch, mountPath: /s }] }
",
    );
    lab.ok("kube play set.yaml");
    inside(&lab, "r-1-c", "echo word > /s/f");
    assert_eq!(inside(&lab, "r-2-c", "ls /s"), "");
    lab.ok("restart -t 0 r-1-c");
    assert_eq!(inside(&lab, "r-1-c", "cat /s/f"), "word");
    lab.ok("kube down set.yaml");
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn kinds_that_bound_what_never_happens_keep_nothing_from_being_played() {
    if differs_on_purpose("podman passes over what it does not know in silence") {
        return;
    }
    let lab = Lab::new();
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: web }\nautomountServiceAccountToken: true\n";
    lab.write(
        "all.yaml",
        format!("{account}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map, generateName: m- }}\ndata: {{ a: b }}\n"),
    );
    let played = lab.creel("kube play all.yaml").run();
    assert!(played.err().contains("ServiceAccount/web: has no effect here: there is no API server"), "{played}");
    played.ok();
    assert!(lab.ok("kube get configmap").contains("map"));
    lab.ok("kube down all.yaml");
    // Nothing in a file says so, and does not end in an empty line.
    lab.write("account.yaml", account);
    let error = lab.creel("kube down account.yaml").run().fails(125);
    assert!(error.contains("Error: there is nothing in these files that is played"), "{error}");
}
