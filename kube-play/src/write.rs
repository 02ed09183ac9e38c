//! Objects that commands write for the user, with kubectl's defaults: a Service in front of what is there, a pod of one
//! image.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::plan::{Kind, ObjectId};

/// What `kube expose` is told of the Service.
#[derive(Clone, Debug, Default)]
pub struct Exposed {
    /// None: the object's own.
    pub name: Option<String>,
    /// None: the ports of the object's containers.
    pub ports: Vec<u16>,
    /// A number or a name; none: the port itself.
    pub target_port: Option<String>,
    pub protocol: Option<String>,
    /// `spec.type`.
    pub kind: Option<String>,
    /// None: the object's.
    pub selector: Option<BTreeMap<String, String>>,
    pub labels: Option<BTreeMap<String, String>>,
    pub cluster_ip: Option<String>,
    pub external_ip: Option<String>,
    pub session_affinity: Option<String>,
}

/// What `kube run` is told of the pod.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub name: String,
    pub namespace: String,
    pub image: String,
    pub words: Vec<String>,
    /// The words are the command, not its arguments.
    pub is_command: bool,
    pub env: Vec<(String, String)>,
    pub port: Option<u16>,
    /// None: `run: NAME`.
    pub labels: Option<BTreeMap<String, String>>,
    pub annotations: BTreeMap<String, String>,
    /// `spec.restartPolicy`.
    pub restart: String,
    pub pull_policy: Option<String>,
}

/// The Service in front of an object, which is there as `manifest`.
pub fn service(id: &ObjectId, manifest: &Value, told: &Exposed) -> Result<Value, String> {
    let pod = match id.kind {
        Kind::Pod => manifest,
        Kind::Deployment | Kind::ReplicaSet | Kind::ReplicationController => &manifest["spec"]["template"],
        Kind::Service => &Value::Null,
        other => return Err(format!("cannot expose a {}", other.resource())),
    };
    let selector = match &told.selector {
        Some(selector) => json!(selector),
        None => selector(id.kind, manifest, pod)?,
    };
    let protocol = told.protocol.as_deref().map(str::to_uppercase);
    let known = match id.kind {
        Kind::Service => service_ports(manifest),
        _ => container_ports(pod),
    };
    let ports: Vec<(u64, String)> = match told.ports.is_empty() {
        true => known,
        false => told.ports.iter().map(|port| (u64::from(*port), "TCP".to_owned())).collect(),
    };
    if ports.is_empty() {
        return Err("couldn't find port via --port flag or introspection".to_owned());
    }
    let several = ports.len() > 1;
    let ports = ports.into_iter().enumerate().map(|(index, (port, own))| {
        let target = match told.target_port.as_deref() {
            Some(target) => target.parse::<u64>().map_or_else(|_| target.into(), Value::from),
            None => port.into(),
        };
        let mut entry = json!({ "port": port, "protocol": protocol.clone().unwrap_or(own), "targetPort": target });
        if several {
            entry["name"] = format!("port-{}", index + 1).into();
        }
        entry
    });
    let mut spec = json!({ "ports": ports.collect::<Vec<_>>(), "selector": selector });
    for (field, value) in
        [("type", &told.kind), ("clusterIP", &told.cluster_ip), ("sessionAffinity", &told.session_affinity)]
    {
        if let Some(value) = value {
            spec[field] = value.as_str().into();
        }
    }
    if let Some(address) = &told.external_ip {
        spec["externalIPs"] = json!([address]);
    }
    let name = told.name.as_deref().unwrap_or(&id.name);
    let mut metadata = json!({ "name": name, "namespace": id.namespace });
    let labels = told.labels.as_ref().map_or_else(|| manifest["metadata"]["labels"].clone(), |labels| json!(labels));
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        metadata["labels"] = labels;
    }
    Ok(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }))
}

/// By which labels the object's pods are known.
fn selector(kind: Kind, manifest: &Value, pod: &Value) -> Result<Value, String> {
    let written = &manifest["spec"]["selector"];
    let labels = &pod["metadata"]["labels"];
    let (found, why) = match kind {
        Kind::Pod => (labels, "the pod has no labels and cannot be exposed"),
        Kind::Service => (written, "the service has no pod selector set"),
        Kind::ReplicationController if written.is_null() => (labels, "the pods have no labels"),
        Kind::ReplicationController => (written, "the selector is empty"),
        _ if written["matchExpressions"].as_array().is_some_and(|expressions| !expressions.is_empty()) => {
            return Err("couldn't convert expressions to a Service's selector: give one by --selector".to_owned());
        }
        _ => (&written["matchLabels"], "the selector is empty"),
    };
    match found.as_object() {
        Some(labels) if !labels.is_empty() => Ok(found.clone()),
        _ => Err(why.to_owned()),
    }
}

fn ports(list: &Value, field: &str) -> Vec<(u64, String)> {
    let port = |entry: &Value| Some((entry[field].as_u64()?, entry["protocol"].as_str().unwrap_or("TCP").to_owned()));
    list.as_array().into_iter().flatten().filter_map(port).collect()
}

fn service_ports(manifest: &Value) -> Vec<(u64, String)> {
    ports(&manifest["spec"]["ports"], "port")
}

fn container_ports(pod: &Value) -> Vec<(u64, String)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.flat_map(|container| ports(&container["ports"], "containerPort")).collect()
}

/// A pod of one container.
pub fn pod(run: &Run) -> Value {
    let mut container = json!({ "name": run.name, "image": run.image, "resources": {} });
    if !run.words.is_empty() {
        container[if run.is_command { "command" } else { "args" }] = json!(run.words);
    }
    if !run.env.is_empty() {
        container["env"] = run.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    }
    if let Some(port) = run.port {
        container["ports"] = json!([{ "containerPort": port }]);
    }
    if let Some(policy) = &run.pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    let labels = run.labels.clone().unwrap_or_else(|| BTreeMap::from([("run".to_owned(), run.name.clone())]));
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), run.name.as_str().into());
    metadata.insert("namespace".to_owned(), run.namespace.as_str().into());
    metadata.insert("labels".to_owned(), json!(labels));
    if !run.annotations.is_empty() {
        metadata.insert("annotations".to_owned(), json!(run.annotations));
    }
    let spec = json!({ "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": run.restart });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

/// `a=b,c=d`, as labels and plain selectors are typed.
pub fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.trim_start_matches('=').to_owned())),
        None => Err(format!("unexpected label spec: {part:?} (write KEY=VALUE)")),
    };
    parts.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": { "name": "web", "labels": { "tier": "front" } },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [
                        { "name": "a", "ports": [{ "containerPort": 80 }] },
                        { "name": "b", "ports": [{ "containerPort": 53, "protocol": "UDP" }] },
                    ] },
                },
            },
        })
    }

    fn exposed(kind: Kind, manifest: &Value, told: Exposed) -> Result<Value, String> {
        service(&ObjectId::new(kind, "default", "web"), manifest, &told)
    }

    #[test]
    fn a_service_has_what_the_object_says() {
        let told = Exposed { kind: Some("NodePort".into()), ..Exposed::default() };
        assert_eq!(
            exposed(Kind::Deployment, &deployment(), told).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "name": "web", "namespace": "default", "labels": { "tier": "front" } },
                "spec": {
                    "type": "NodePort",
                    "selector": { "app": "web" },
                    "ports": [
                        { "name": "port-1", "port": 80, "protocol": "TCP", "targetPort": 80 },
                        { "name": "port-2", "port": 53, "protocol": "UDP", "targetPort": 53 },
                    ],
                },
            })
        );
    }

    #[test]
    fn flags_stand_over_the_object() {
        let told = Exposed {
            name: Some("front".into()),
            ports: vec![8080],
            target_port: Some("http".into()),
            protocol: Some("udp".into()),
            selector: pairs("a=b").ok(),
            labels: pairs("c=d").ok(),
            ..Exposed::default()
        };
        let service = exposed(Kind::Deployment, &deployment(), told).unwrap();
        assert_eq!(service["metadata"], json!({ "name": "front", "namespace": "default", "labels": { "c": "d" } }));
        let ports = json!([{ "port": 8080, "protocol": "UDP", "targetPort": "http" }]);
        assert_eq!(service["spec"], json!({ "selector": { "a": "b" }, "ports": ports }));
    }

    #[test]
    fn what_cannot_be_exposed_says_why() {
        let bare = json!({ "metadata": {}, "spec": { "containers": [{ "name": "a" }] } });
        let labelled = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "a" }] } });
        for (kind, manifest, expected) in [
            (Kind::Pod, &bare, "the pod has no labels and cannot be exposed"),
            (Kind::Pod, &labelled, "couldn't find port via --port flag or introspection"),
            (Kind::Service, &bare, "the service has no pod selector set"),
            (Kind::StatefulSet, &bare, "cannot expose a statefulset.apps"),
        ] {
            assert_eq!(exposed(kind, manifest, Exposed::default()).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_pod_has_kubectls_defaults() {
        let run = Run {
            name: "web".into(),
            namespace: "default".into(),
            image: "nginx".into(),
            restart: "Always".into(),
            words: vec!["a".into()],
            env: vec![("A".into(), "b=c".into())],
            port: Some(80),
            ..Run::default()
        };
        let container = json!({
            "name": "web", "image": "nginx", "resources": {}, "args": ["a"], "env": [{ "name": "A", "value": "b=c" }],
            "ports": [{ "containerPort": 80 }],
        });
        assert_eq!(
            pod(&run),
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "web", "namespace": "default", "labels": { "run": "web" } },
                "spec": { "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always" },
            })
        );
        assert_eq!(pod(&Run { is_command: true, ..run })["spec"]["containers"][0]["command"], json!(["a"]));
    }
}
