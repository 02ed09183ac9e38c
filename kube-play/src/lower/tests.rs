//! Manifests in, plans or problems out.

mod certificates;
mod dumps;
mod examples;
mod mistakes;

use super::*;
use crate::manifest::{Source, Unknown, read};
use crate::plan::{EnvEntry, Handler, PodFacts, PodNetwork, VolumeSource};

pub(crate) fn planned_with(text: &str, stored: &Stored, options: &Options) -> Result<Plan, Vec<String>> {
    let source = Source { name: "a.yaml", text, config_maps_only: false };
    let manifests = read(&[source], "default", Validate::Strict, Unknown::Refuse);
    plan(&manifests, stored, options).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The plan of a text that is right; every one can be stored and read again.
pub(crate) fn planned(text: &str) -> Plan {
    let plan = plan_of(text);
    let stored = serde_json::to_string(&plan).expect("a plan is JSON");
    assert!(serde_json::from_str::<Plan>(&stored).is_ok_and(|read| read == plan), "{stored}");
    plan
}

fn plan_of(text: &str) -> Plan {
    planned_with(text, &Stored::default(), &Options::default())
        .unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

pub(super) fn wrong(text: &str) -> Vec<String> {
    match planned_with(text, &Stored::default(), &Options::default()) {
        Ok(_) => panic!("nothing is wrong with:\n{text}"),
        Err(problems) => problems,
    }
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: { app: site, }
spec:
  containers:
  - name: server
    image: nginx:1.27
    command: [httpd, -f, $(PORT)]
    env:
    - { name: PORT, value: '80' }
    - { name: URL, value: 'http://$(NAME):$(PORT)' }
    - { name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
    ports:
    - { name: http, containerPort: 80, hostPort: 8080 }
    livenessProbe: { httpGet: { port: http, path: /healthz } }
    resources: { limits: { cpu: 500m, memory: 64Mi } }
    volumeMounts: [{ name: scratch, mountPath: /scratch/ }]
  volumes:
  - { name: scratch, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
";

#[test]
fn a_pod_is_planned_with_kubernetes_defaults() {
    let plan = planned(POD);
    let pod = &plan.pods[0];
    assert_eq!(pod.meta.id, ObjectId::new(Kind::Pod, "default", "web"));
    assert_eq!((pod.meta.origin.file.as_str(), pod.meta.origin.line), ("a.yaml", 2));
    let template = &pod.template;
    assert_eq!((template.grace, template.restart, &template.network), (30, Default::default(), &PodNetwork::Namespace));
    assert_eq!(template.volumes[0].source, VolumeSource::EmptyDir { memory: true, limit: Some(1 << 20) });
    let container = &template.containers[0];
    assert_eq!(container.mounts[0].path, "/scratch");
    let probe = container.liveness.as_ref().expect("a probe");
    assert_eq!((probe.period, probe.timeout, probe.failure_threshold, probe.success_threshold), (10, 1, 3, 1));
    assert!(matches!(&probe.handler, Handler::Http { port: 80, path, .. } if path == "/healthz"));
    assert_eq!((container.spec.resources.cpu_quota, container.spec.resources.memory), (Some(50_000), Some(64 << 20)));
    assert_eq!(container.requests["cpu"].millis(), 500);
    assert_eq!(plan.host_ports.len(), 1);
    assert_eq!(plan.host_ports[0].path, "spec.containers[0].ports[0].hostPort");
    assert!(plan.warnings.is_empty());
}

#[test]
fn variables_are_resolved_for_one_pod() {
    let plan = planned(POD);
    let container = &plan.pods[0].template.containers[0];
    assert!(matches!(&container.env[0], EnvEntry::Value { name, .. } if name == "PORT"));
    let facts = PodFacts { name: "web".into(), namespace: "default".into(), ..PodFacts::default() };
    let resolved = container.resolve(&[], &Objects::default(), &facts).expect("all is there");
    assert_eq!(resolved.spec.entrypoint, Some(vec!["httpd".into(), "-f".into(), "80".into()]));
    let env: Vec<_> = resolved.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // NAME comes later than URL: not known yet, as in Kubernetes.
    assert_eq!(env, [("PORT", "80"), ("URL", "http://$(NAME):80"), ("NAME", "web")]);
}

#[test]
fn the_hash_follows_the_meaning() {
    let hash = |text: &str| planned(text).pods[0].meta.hash.clone();
    assert_eq!(hash(POD), hash(&POD.replace("kind: Pod", "kind: Pod # a remark")));
    assert_eq!(hash(POD), hash(&POD.replace("labels: { app: site, }", "labels:\n    app: \"site\"")));
    assert_ne!(hash(POD), hash(&POD.replace("nginx:1.27", "nginx:1.28")));
}

/// The first problem of a pod whose container has these lines more.
fn container(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    wrong(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: x }}\nspec:\n  containers:\n  - name: a\n    image: box\n{lines}"
    ))
    .remove(0)
}

#[test]
fn what_is_wrong_has_its_line_and_its_path() {
    for (lines, expected) in [
        ("comand: [idle]", "a.yaml:8:5: Pod/x: spec.containers[0].comand: unknown field (did you mean \"command\"?)"),
        ("image: box", "a.yaml:8:5: spec.containers[0].image: the key \"image\" is there twice, first in line 7"),
        (
            "command: idle",
            "a.yaml:8:14: Pod/x: spec.containers[0].command: must be a list, and this is the text \"idle\"",
        ),
        (
            "env: [{ name: A, value: 1 }]",
            "a.yaml:8:29: Pod/x: spec.containers[0].env[0].value: must be a string, and this is the number 1 (write \"1\")",
        ),
        (
            "imagePullPolicy: always",
            "a.yaml:8:22: Pod/x: spec.containers[0].imagePullPolicy: unsupported value \"always\": supported are \"Always\", \
             \"IfNotPresent\", \"Never\" (did you mean \"Always\"?)",
        ),
        (
            "livenessProbe: { tcpSocket: { port: web } }",
            "a.yaml:8:41: Pod/x: spec.containers[0].livenessProbe.tcpSocket.port: the container has no port named \"web\"",
        ),
        (
            "resources: { limits: { memory: 64MB } }",
            "a.yaml:8:36: Pod/x: spec.containers[0].resources.limits.memory: must be a quantity: a number and one of m, k, M, \
             G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei (did you mean \"64M\"?)",
        ),
        (
            "envFrom: [{ configMapRef: { name: settings } }]",
            "a.yaml:8:39: Pod/x: spec.containers[0].envFrom[0].configMapRef.name: configmap settings not found: it is \
             neither in these files nor stored",
        ),
        (
            "volumeMounts: [{ name: data, mountPath: /d }]",
            "a.yaml:8:28: Pod/x: spec.containers[0].volumeMounts[0].name: volume mount data specified for container but not configured in volumes",
        ),
        (
            "restartPolicy: Always",
            "a.yaml:8:20: Pod/x: spec.containers[0].restartPolicy: may be set for init containers only (write the pod's \
             restartPolicy, one level up)",
        ),
        (
            "volumeDevices: [{}]",
            "a.yaml:8:5: Pod/x: spec.containers[0].volumeDevices: is not supported: raw block devices need root",
        ),
        (
            "ports: [{ containerPort: 70000 }]",
            "a.yaml:8:30: Pod/x: spec.containers[0].ports[0].containerPort: must be between 1 and 65535, and is 70000",
        ),
    ] {
        assert_eq!(container(lines), expected, "{lines}");
    }
}
