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
            "spec.containers[0].securityContext.capabilities.add[0]: \"CAP_FLY\": unknown capability",
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
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: a.b.c }\nspec: { group: b.c }\n";
    lab.write(
        "all.yaml",
        format!("{account}---\n{crd}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map, generateName: m- }}\ndata: {{ a: b }}\n"),
    );
    let played = lab.creel("kube play all.yaml").run();
    assert!(played.err().contains("ServiceAccount/web: has no effect here: there is no API server"), "{played}");
    assert!(played.err().contains("CustomResourceDefinition/a.b.c: has no effect here"), "{played}");
    played.ok();
    assert!(lab.ok("kube get configmap").contains("map"));
    lab.ok("kube down all.yaml");
    // Nothing in a file says so, and does not end in an empty line.
    lab.write("account.yaml", account);
    let error = lab.creel("kube down account.yaml").run().fails(125);
    assert!(error.contains("Error: there is nothing in these files that is played"), "{error}");
}

/// A pod that runs for as long as it is let, with more of the pod's and of the container's.
fn idle(of_pod: &str, of_container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: one, labels: {{ app: web }} }}\nspec:\n  terminationGracePeriodSeconds: 0\n\
         {of_pod}  containers:\n  - name: it\n    image: localhost/box\n    command: [idle]\n{of_container}"
    )
}

#[test]
fn what_is_missing_is_said_in_podmans_words() {
    let lab = Lab::new();
    lab.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: { name: key }\nstringData: { word: open }\n");
    lab.ok("kube play secret.yaml");
    let variable = |from: &str| idle("", &format!("    env: [{{ name: A, valueFrom: {{ {from} }} }}]\n"));
    let volume = |source: &str, path: &str| {
        idle(
            &format!("  volumes: [{{ name: v, {source} }}]\n"),
            &format!("    volumeMounts: [{{ name: v, mountPath: {path} }}]\n"),
        )
    };
    for (pod, words) in [
        (variable("configMapKeyRef: { name: none, key: k }"), "cannot set env A: configmap none not found"),
        (
            variable("secretKeyRef: { name: none, key: k }"),
            "cannot set env A: no secret with name or id \"none\": no such secret",
        ),
        (variable("secretKeyRef: { name: key, key: k }"), "cannot set env A: secret key has not k key"),
        (
            variable("fieldRef: { fieldPath: a.b }"),
            "can not set env A. Reason: fieldPath a.b is either not valid or not supported",
        ),
        (idle("", "    envFrom: [{ configMapRef: { name: none } }]\n"), "configmap none not found"),
        (volume("configMap: { name: none }", "/v"), "no such ConfigMap \"none\""),
        (volume("secret: { secretName: none }", "/v"), "no secret with name or id \"none\": no such secret"),
        (volume("hostPath: { path: /none/such }", "/v"), "/none/such: no such file or directory"),
        (volume("hostPath: { path: /dev, type: Socket }", "/v"), "path /dev is not a socket"),
        (volume("emptyDir: {}", "v"), "must be an absolute path"),
        (
            idle("", "    volumeMounts: [{ name: none, mountPath: /v }]\n"),
            "volume mount none specified for container but not configured in volumes",
        ),
        (
            idle("", "").replace("    image: localhost/box\n", ""),
            "container \"it\" is missing the required 'image' field",
        ),
        (idle("", "    securityContext: { capabilities: { add: [FLY] } }\n"), "\"CAP_FLY\": unknown capability"),
        (String::new(), "YAML document does not contain any supported kube kind"),
    ] {
        lab.write("pod.yaml", &pod);
        let error = lab.creel("kube play pod.yaml").run().fails(125);
        assert!(error.contains(words), "{pod}\n{error}");
        // Podman leaves the pod that it could not fill.
        let _ = lab.creel("pod rm -f -t 0 one").run();
    }
}

#[test]
fn labels_find_the_containers_of_the_manifest_alone() {
    let lab = Lab::new();
    lab.write("pod.yaml", idle("", ""));
    lab.ok("kube play pod.yaml");
    assert_eq!(lab.ok("ps -a --filter label=app=web --format {{.Names}}"), "one-it");
    lab.ok("pod rm -f -t 0 one");
    // Of a pod of one's own the infra container has them, too.
    lab.ok("pod create --name two --label app=web");
    assert_eq!(lab.ok("ps -aq --filter label=app=web").lines().count(), 1);
}

#[test]
fn a_read_only_root_leaves_a_pod_its_temporary_folders() {
    let lab = Lab::new();
    lab.write("pod.yaml", idle("", "    securityContext: { readOnlyRootFilesystem: true }\n"));
    lab.ok("kube play pod.yaml");
    let written =
        inside(&lab, "one-it", "echo a >/tmp/a; echo b >/run/b; cat /tmp/a /run/b; touch /c 2>/dev/null || echo no");
    assert_eq!(written, "a\nb\nno");
}

#[test]
fn groups_of_a_pod_are_there_once() {
    if differs_on_purpose("podman plays without fsGroup") {
        return;
    }
    let lab = Lab::new();
    lab.write("pod.yaml", idle("  securityContext: { supplementalGroups: [20], fsGroup: 40 }\n", ""));
    lab.ok("kube play pod.yaml");
    assert_eq!(lab.ok("inspect --format '{{json .HostConfig.GroupAdd}}' one-it"), "[\"20\",\"40\"]");
}

#[test]
fn a_pod_is_found_in_a_given_network_by_its_name_and_those_of_its_containers() {
    let lab = Lab::new();
    lab.ok("network create front");
    lab.write("pod.yaml", idle("", "    ports: [{ containerPort: 80, hostPort: 18080 }]\n"));
    for mode in ["none", "host"] {
        let error = lab.creel(&format!("kube play --network {mode} pod.yaml")).run().fails(125);
        assert!(
            error.contains("PortMappings can only be used with Bridge, slirp4netns, or pasta networking"),
            "{error}"
        );
        let _ = lab.creel("pod rm -f -t 0 one").run();
    }
    lab.write("pod.yaml", idle("", ""));
    lab.ok("kube play --network front:alias=other pod.yaml");
    let infra = lab.ok("pod inspect --format {{.InfraContainerID}} one");
    let networks = lab.ok(&format!("inspect --format '{{{{json .NetworkSettings.Networks}}}}' {infra}"));
    for name in ["\"other\"", "\"one\"", "\"it\""] {
        assert!(networks.contains(name), "{name} {networks}");
    }
    for name in ["other", "one", "it"] {
        let found = lab.ok(&format!("run --rm --network front box nslookup {name}"));
        assert!(found.contains("Name:"), "{name}: {found}");
    }
}

#[test]
fn a_pod_in_the_hosts_network_is_called_as_the_host() {
    let lab = Lab::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    lab.write("pod.yaml", idle("  hostNetwork: true\n", ""));
    lab.ok("kube play pod.yaml");
    assert_eq!(inside(&lab, "one-it", "hostname"), host);
    if !differs_on_purpose("podman gives the name up, or the network") {
        lab.ok("kube down pod.yaml");
        lab.write("pod.yaml", idle("  hostNetwork: true\n  hostname: other\n", ""));
        lab.ok("kube play pod.yaml");
        assert_eq!(inside(&lab, "one-it", "hostname"), "other");
    }
}
