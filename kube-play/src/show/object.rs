//! `-o json` and `-o yaml`: the manifest as it was written, with the status that Kubernetes would add.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ephemeral::Ephemeral;
use crate::generate::yaml;
use crate::plan::{ContainerPlan, Kind, Meta, ObjectId, PodTemplate, ServicePlan, ServiceType};
use crate::steps::{
    ContainerState, Ended, JobCondition, JobStatus, ObservedContainer, PodStatus, Progress, WorkloadStatus,
};

/// One object as YAML, or several as a List.
pub fn object_yaml(objects: &[Value]) -> String {
    yaml::text(&listed(objects))
}

/// One object as JSON with four blanks of indentation, or several as a List; kubectl's form.
pub fn object_json(objects: &[Value]) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // A value of strings, numbers and maps of strings cannot fail to be written into memory.
    let _ = serde::Serialize::serialize(&listed(objects), &mut serializer);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text.push('\n');
    text
}

fn listed(objects: &[Value]) -> Value {
    match objects {
        [object] => object.clone(),
        objects => list(objects),
    }
}

/// Also of one object, or of none: what asks for a kind gets a List.
pub fn list(objects: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": objects })
}

/// An object with what is known of any: its namespace, its uid, its age; and a status where there is one.
pub fn object(meta: &Meta, uid: &str, created: Timestamp, status: Option<Value>) -> Value {
    let mut object = meta.manifest.clone();
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    if !meta.id.kind.global() {
        object["metadata"]["namespace"] = meta.id.namespace.clone().into();
    }
    object["metadata"]["uid"] = uid.into();
    object["metadata"]["creationTimestamp"] = time(created);
    if meta.id.kind == Kind::Secret {
        encode_strings(&mut object);
    }
    if let Some(status) = status {
        object["status"] = status;
    }
    object
}

/// What Kubernetes stores: everything in `data`, in base64.
fn encode_strings(secret: &mut Value) {
    let strings = secret.as_object_mut().and_then(|object| object.remove("stringData"));
    for (key, text) in strings.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let encoded = crate::model::encoded(text.as_str().unwrap_or_default().as_bytes());
        secret["data"][key] = encoded.into();
    }
    if secret["type"].is_null() {
        secret["type"] = "Opaque".into();
    }
}

/// A pod that a workload made has no manifest of its own: the template, under its own name.
pub fn pod_object(
    name: &str,
    namespace: &str,
    labels: &std::collections::BTreeMap<String, String>,
    annotations: &std::collections::BTreeMap<String, String>,
    owner: Option<(&ObjectId, &Value)>,
    spec: &Value,
) -> Value {
    let mut metadata = json!({ "name": name, "namespace": namespace, "labels": labels, "annotations": annotations });
    if let Some((owner, uid)) = owner {
        metadata["ownerReferences"] = json!([{
            "apiVersion": owner.kind.api_versions()[0],
            "kind": owner.kind.word(),
            "name": owner.name,
            "uid": uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

fn time(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn condition(kind: &str, status: bool, reason: Option<&str>) -> Value {
    let mut condition = json!({ "type": kind, "status": if status { "True" } else { "False" } });
    if let Some(reason) = reason {
        condition["reason"] = reason.into();
    }
    condition
}

pub fn pod_status_value(
    template: &PodTemplate,
    status: &PodStatus,
    containers: &[ObservedContainer],
    ephemeral: &[Ephemeral],
    addresses: &[IpAddr],
    host: Option<IpAddr>,
    started: Timestamp,
) -> Value {
    let list = |plans: &[ContainerPlan]| -> Value {
        let observed = |plan: &ContainerPlan| containers.iter().find(|observed| observed.name == plan.name);
        plans.iter().filter_map(|plan| Some(container_status(plan, observed(plan)?))).collect()
    };
    let mut value = json!({
        "phase": status.phase.word(),
        "conditions": [
            condition("Initialized", status.initialized, None),
            condition("Ready", status.ready, None),
            condition("ContainersReady", status.ready, None),
            condition("PodScheduled", true, None),
        ],
        "containerStatuses": list(&template.containers),
        "startTime": time(started),
    });
    if !template.init.is_empty() {
        value["initContainerStatuses"] = list(&template.init);
    }
    if !ephemeral.is_empty() {
        value["ephemeralContainerStatuses"] =
            ephemeral.iter().map(|one| container_status(&one.plan, &one.observed)).collect();
    }
    if let Some(first) = addresses.first() {
        value["podIP"] = first.to_string().into();
        value["podIPs"] = addresses.iter().map(|address| json!({ "ip": address.to_string() })).collect();
    }
    if let Some(host) = host {
        value["hostIP"] = host.to_string().into();
    }
    value
}

fn container_status(plan: &ContainerPlan, observed: &ObservedContainer) -> Value {
    let (running, ready) = match &observed.state {
        ContainerState::Running { started, ready, .. } => (*started, *ready),
        ContainerState::Waiting(_) | ContainerState::Ended(_) => (false, false),
    };
    let mut value = json!({
        "name": plan.name,
        "image": plan.image,
        "ready": ready,
        "started": running,
        "restartCount": observed.restarts,
        "state": state(&observed.state),
        "lastState": {},
    });
    if let Some(last) = &observed.last {
        value["lastState"] = state(&ContainerState::Ended(last.clone()));
    }
    value
}

fn state(state: &ContainerState) -> Value {
    match state {
        ContainerState::Waiting(reason) => json!({ "waiting": { "reason": reason.word() } }),
        ContainerState::Running { since, .. } => json!({ "running": { "startedAt": time(*since) } }),
        ContainerState::Ended(ended) => {
            let Ended { code, started, at, .. } = ended;
            let mut value = json!({ "exitCode": code, "reason": ended.reason(), "finishedAt": time(*at) });
            if let Some(started) = started {
                value["startedAt"] = time(*started);
            }
            json!({ "terminated": value })
        }
    }
}

pub fn workload_status_value(kind: Kind, status: &WorkloadStatus) -> Value {
    let WorkloadStatus { desired, current, updated, ready, available, progress } = *status;
    let missing = desired.saturating_sub(available);
    if kind == Kind::DaemonSet {
        return json!({
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": current,
            "updatedNumberScheduled": updated,
            "numberReady": ready,
            "numberAvailable": available,
            "numberUnavailable": missing,
            "numberMisscheduled": 0,
        });
    }
    let mut value = json!({ "replicas": current, "readyReplicas": ready, "availableReplicas": available });
    match kind {
        Kind::Deployment => {
            value["updatedReplicas"] = updated.into();
            value["unavailableReplicas"] = missing.into();
            let (progressing, reason) = match progress {
                Progress::Complete => (true, "NewReplicaSetAvailable"),
                Progress::Progressing => (true, "ReplicaSetUpdated"),
                Progress::Paused => (false, "DeploymentPaused"),
                Progress::DeadlineExceeded => (false, "ProgressDeadlineExceeded"),
            };
            let enough = missing == 0;
            let word = if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
            value["conditions"] = json!([
                condition("Available", enough, Some(word)),
                condition("Progressing", progressing, Some(reason)),
            ]);
        }
        Kind::StatefulSet => {
            value["updatedReplicas"] = updated.into();
            value["currentReplicas"] = current.saturating_sub(updated).into();
        }
        _ => {}
    }
    value
}

pub fn job_status_value(status: &JobStatus) -> Value {
    let mut value = json!({
        "active": status.active,
        "ready": status.ready,
        "succeeded": status.succeeded,
        "failed": status.failed,
    });
    if let Some(started) = status.started {
        value["startTime"] = time(started);
    }
    let indexes = [("completedIndexes", &status.completed_indexes), ("failedIndexes", &status.failed_indexes)];
    for (field, indexes) in indexes {
        if let Some(indexes) = indexes {
            value[field] = indexes.to_string().into();
        }
    }
    match &status.condition {
        Some(JobCondition::Complete) => {
            let all = status.completions.is_none_or(|completions| status.succeeded >= completions);
            let reason = if all { "CompletionsReached" } else { "SuccessPolicy" };
            value["conditions"] = json!([condition("Complete", true, Some(reason))]);
            if let Some(ended) = status.ended {
                value["completionTime"] = time(ended);
            }
        }
        Some(JobCondition::Failed { reason, message }) => {
            let mut failed = condition("Failed", true, Some(reason));
            failed["message"] = message.as_str().into();
            value["conditions"] = json!([failed]);
        }
        Some(JobCondition::Suspended) => {
            value["conditions"] = json!([condition("Suspended", true, Some("JobSuspended"))]);
        }
        None => {}
    }
    value
}

/// With the addresses it was given.
pub fn service_object(
    plan: &ServicePlan,
    uid: &str,
    created: Timestamp,
    address: Option<IpAddr>,
    outside: &[String],
) -> Value {
    let ingress: Vec<Value> = outside.iter().map(|ip| json!({ "ip": ip })).collect();
    let status = match plan.kind {
        ServiceType::LoadBalancer => json!({ "loadBalancer": { "ingress": ingress } }),
        _ => json!({ "loadBalancer": {} }),
    };
    let mut object = object(&plan.meta, uid, created, Some(status));
    object["spec"]["type"] = plan.kind.word().into();
    if let Some(address) = address {
        object["spec"]["clusterIP"] = address.to_string().into();
        object["spec"]["clusterIPs"] = json!([address.to_string()]);
    }
    if let Some(ports) = object["spec"]["ports"].as_array_mut() {
        for (value, port) in ports.iter_mut().zip(&plan.ports) {
            value["protocol"] = port.protocol.word().into();
            if let Some(node_port) = port.node_port {
                value["nodePort"] = node_port.into();
            }
        }
    }
    object
}
