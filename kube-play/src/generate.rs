//! Pods, containers and volumes as Kubernetes manifests: pure, from records to text.
//!
//! What a manifest has no word for is told beside it, never dropped in silence.

mod container;
mod pod;
mod volumes;
pub(crate) mod yaml;

use containers::Container;
use jiff::Timestamp;
use pods::Pod;
use serde_json::{Value, json};

/// What is to be written.
pub struct Generate<'a> {
    pub pods: &'a [Pod],
    /// Outside of pods: together they become one pod.
    pub containers: &'a [Container],
    pub volumes: &'a [containers::Volume],
    pub kind: Kind,
    /// For deployments.
    pub replicas: Option<i32>,
    /// A Service for the ports of each pod.
    pub service: bool,
    /// Annotations that only Podman and creel read.
    pub podman_only: bool,
    /// Kernel parameters that every container has where it runs (`KEY=VALUE`): they are left out.
    pub default_sysctls: &'a [String],
    pub now: Timestamp,
    /// For the ports of Services.
    pub random: &'a mut dyn FnMut() -> u16,
}

/// What a pod is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Pod,
    Deployment,
    DaemonSet,
    Job,
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Kind, Error> {
        match text {
            "pod" | "Pod" | "" => Ok(Kind::Pod),
            "deployment" | "Deployment" => Ok(Kind::Deployment),
            "daemonset" | "DaemonSet" => Ok(Kind::DaemonSet),
            "job" | "Job" => Ok(Kind::Job),
            other => Err(Error(format!(
                "invalid generation type - only pods, deployments, jobs, and daemonsets are currently supported: {other}"
            ))),
        }
    }
}

/// What cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// The text, and what it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub text: String,
    /// One sentence for each thing that was left out.
    pub notes: Vec<String>,
}

/// Writes everything as documents of one file: claims, then each pod with its Service before it.
pub fn generate(request: Generate<'_>) -> Result<Manifest, Error> {
    if request.replicas.is_some() && request.kind != Kind::Deployment {
        return Err(Error("--replicas can only be set when --type is set to deployment".into()));
    }
    if request.replicas.is_some_and(|replicas| replicas < 1) {
        let text = "--replicas has to be greater than or equal to 1. By default, --replicas is set to 1";
        return Err(Error(text.into()));
    }
    if let Some(pod) = request.pods.iter().find(|pod| pod.members().next().is_none()) {
        return Err(Error(format!("pod {} only has an infra container", pod.id())));
    }
    let mut documents: Vec<Value> =
        request.volumes.iter().map(|volume| volumes::claim(volume, &stamp(request.now))).collect();
    let mut notes = Vec::new();
    let mut bodies = Vec::new();
    for pod in request.pods {
        bodies.push(pod::of_pod(pod, &request, &mut notes));
    }
    if !request.containers.is_empty() {
        bodies.push(pod::of_containers(&request, &mut notes)?);
    }
    for mut body in bodies {
        if request.service {
            match service(&mut body, &stamp(request.now), &mut *request.random) {
                Some(service) => documents.push(service),
                None => notes.push(format!("pod {} publishes no port: there is nothing for a Service", body.name)),
            }
        }
        documents.push(document(body, request.kind, request.replicas, &stamp(request.now))?);
    }
    let mut text = format!(
        "# Save the output of this file and use kubectl create -f to import\n# it into Kubernetes.\n#\n# Created with creel-{}\n",
        env!("CARGO_PKG_VERSION")
    );
    for note in &notes {
        text.push_str(&format!("# NOTE: {note}\n"));
    }
    let documents: Vec<String> = documents.iter().map(yaml::text).collect();
    text.push_str(&documents.join("---\n"));
    Ok(Manifest { text, notes })
}

/// Whole seconds.
fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A pod before it is put into a document.
struct Body {
    name: String,
    labels: Value,
    annotations: serde_json::Map<String, Value>,
    spec: serde_json::Map<String, Value>,
    /// The policy, where somebody chose one.
    restart: Option<&'static str>,
}

impl Body {
    fn metadata(&self, name: &str, now: &str) -> Value {
        let mut metadata = json!({ "name": name, "labels": self.labels, "creationTimestamp": now });
        if !self.annotations.is_empty() {
            metadata["annotations"] = Value::Object(self.annotations.clone());
        }
        metadata
    }
}

fn document(mut body: Body, kind: Kind, replicas: Option<i32>, now: &str) -> Result<Value, Error> {
    let policy = match (kind, body.restart) {
        (Kind::Pod, policy) => Some(policy.unwrap_or("Never")),
        (Kind::Deployment | Kind::DaemonSet, None | Some("Always")) => body.restart,
        (Kind::Deployment, Some(_)) => {
            return Err(Error("k8s Deployments can only have restartPolicy set to Always".into()));
        }
        (Kind::DaemonSet, Some(_)) => {
            return Err(Error("k8s DaemonSets can only have restartPolicy set to Always".into()));
        }
        (Kind::Job, Some("Always")) => {
            return Err(Error(
                "k8s Jobs can not have restartPolicy set to Always; only Never and OnFailure policies allowed".into(),
            ));
        }
        (Kind::Job, policy) => Some(policy.unwrap_or("Never")),
    };
    if let Some(policy) = policy {
        body.spec.insert("restartPolicy".into(), policy.into());
    }
    let name = body.name.clone();
    let template = json!({ "metadata": body.metadata(&name, now), "spec": body.spec });
    let selector = json!({ "matchLabels": { "app": body.labels["app"] } });
    let outer =
        |suffix: &str| json!({ "name": format!("{name}-{suffix}"), "labels": body.labels, "creationTimestamp": now });
    Ok(match kind {
        Kind::Pod => json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": template["metadata"],
            "spec": template["spec"],
        }),
        Kind::Deployment => {
            let mut spec = json!({ "selector": selector, "template": template });
            if let Some(replicas) = replicas {
                spec["replicas"] = replicas.into();
            }
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": outer("deployment"), "spec": spec })
        }
        Kind::DaemonSet => json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": outer("daemonset"),
            "spec": { "selector": selector, "template": template },
        }),
        Kind::Job => json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": outer("job"),
            "spec": { "completions": 1, "parallelism": 1, "template": template },
        }),
    })
}

/// The published ports become the Service's; the pod keeps the numbers inside.
fn service(body: &mut Body, now: &str, random: &mut dyn FnMut() -> u16) -> Option<Value> {
    const FIRST_NODE_PORT: u16 = 30000;
    const NODE_PORTS: u16 = 2768;
    let mut ports: Vec<Value> = Vec::new();
    for container in body.spec.get_mut("containers").and_then(Value::as_array_mut)? {
        for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(port) = port.as_object_mut() else { continue };
            if port.remove("hostPort").is_none() {
                continue;
            }
            let number = port.get("containerPort").cloned().unwrap_or_default();
            let mut entry = json!({
                "name": number.to_string(),
                "port": number,
                "targetPort": number,
                "nodePort": FIRST_NODE_PORT + random() % NODE_PORTS,
            });
            if let Some(protocol) = port.get("protocol") {
                entry["protocol"] = protocol.clone();
                entry["name"] = format!("{number}-{}", protocol.as_str().unwrap_or_default().to_lowercase()).into();
            }
            ports.push(entry);
        }
    }
    if ports.is_empty() {
        return None;
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": body.name, "labels": body.labels, "creationTimestamp": now },
        "spec": { "ports": ports, "selector": { "app": body.labels["app"] }, "type": "NodePort" },
    }))
}
