//! Containers of a pod.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::SecurityContext;
use crate::decode::{
    DataKey, EnvName, FileMode, ImageName, InnerPath, Label, MountPath, Port, PortName, PortRef, Positive, Subdomain,
    VolumeName, object, words,
};
use crate::quantity::Quantity;

object! {
    Container {
        /// The container is called POD-NAME.
        "name" name: Label,
        "image" image: Option<ImageName>,
        "imagePullPolicy" image_pull_policy: Option<ImagePullPolicy>,
        /// Replaces the image's entrypoint and drops its command; `$(VAR)` is expanded.
        "command" command: Vec<String>,
        /// Replaces the image's command; `$(VAR)` is expanded.
        "args" args: Vec<String>,
        "workingDir" working_dir: Option<String>,
        "ports" ports: Vec<ContainerPort>,
        "env" env: Vec<EnvVar>,
        "envFrom" env_from: Vec<EnvFromSource>,
        "resources" resources: Option<ResourceRequirements>,
        "volumeMounts" volume_mounts: Vec<VolumeMount>,
        "livenessProbe" liveness_probe: Option<Probe>,
        "readinessProbe" readiness_probe: Option<Probe>,
        "startupProbe" startup_probe: Option<Probe>,
        "lifecycle" lifecycle: Option<Lifecycle>,
        "securityContext" security_context: Option<SecurityContext>,
        /// Of an init container only: `Always` makes it a sidecar.
        "restartPolicy" restart_policy: Option<ContainerRestartPolicy>,
        "stdin" stdin: Option<bool>,
        "tty" tty: Option<bool>,
    }
    no_effect {
        /// the first one who leaves does not close it
        "stdinOnce",
        /// a changed limit replaces the pod
        "resizePolicy",
    }
    quiet { "terminationMessagePath", "terminationMessagePolicy", }
    refused {
        /// raw block devices need root
        "volumeDevices",
        /// write the pod's `restartPolicy`
        "restartPolicyRules",
    }
}

words! {
    pub(crate) ImagePullPolicy {
        Always = "Always",
        #[default]
        IfNotPresent = "IfNotPresent",
        Never = "Never",
    }
}

words! {
    pub(crate) ContainerRestartPolicy {
        #[default]
        Always = "Always",
    }
}

object! {
    ContainerPort {
        "containerPort" container_port: Port,
        /// Published on the host; without it a port is only named.
        "hostPort" host_port: Option<Port>,
        "hostIP" host_ip: Option<IpAddr>,
        /// Probes and Services refer to it.
        "name" name: Option<PortName>,
        "protocol" protocol: Option<Protocol>,
    }
}

words! {
    /// What runs over a port.
    pub Protocol {
        #[default]
        Tcp = "TCP",
        Udp = "UDP",
        Sctp = "SCTP",
    }
}

object! {
    EnvVar {
        "name" name: EnvName,
        /// `$(OTHER)` is expanded, `$$(OTHER)` is not.
        "value" value: Option<String>,
        "valueFrom" value_from: Option<EnvVarSource>,
    }
}

object! {
    EnvVarSource {
        "configMapKeyRef" config_map_key_ref: Option<KeySelector>,
        "secretKeyRef" secret_key_ref: Option<KeySelector>,
        "fieldRef" field_ref: Option<ObjectFieldSelector>,
        "resourceFieldRef" resource_field_ref: Option<ResourceFieldSelector>,
    }
    refused {
        /// write a ConfigMap
        "fileKeyRef",
    }
}

object! {
    /// A key of a ConfigMap or a Secret.
    KeySelector {
        "name" name: Subdomain,
        "key" key: DataKey,
        "optional" optional: Option<bool>,
    }
}

object! {
    /// A fact of the pod: `metadata.name`, `metadata.namespace`, `metadata.uid`, `metadata.labels['KEY']`,
    /// `metadata.annotations['KEY']`, `spec.nodeName`, `spec.serviceAccountName`, `status.podIP`, `status.podIPs`,
    /// `status.hostIP`, `status.hostIPs`; in a volume also `metadata.labels` and `metadata.annotations`.
    ObjectFieldSelector {
        "fieldPath" field_path: String,
    }
    quiet { "apiVersion", }
}

object! {
    /// `limits.cpu`, `limits.memory`, `limits.ephemeral-storage`, and the same of `requests`.
    ResourceFieldSelector {
        "containerName" container_name: Option<Label>,
        "resource" resource: String,
        "divisor" divisor: Option<Quantity>,
    }
}

object! {
    EnvFromSource {
        "prefix" prefix: Option<String>,
        "configMapRef" config_map_ref: Option<EnvReference>,
        "secretRef" secret_ref: Option<EnvReference>,
    }
}

object! {
    EnvReference {
        "name" name: Subdomain,
        "optional" optional: Option<bool>,
    }
}

object! {
    /// Limits are enforced; requests become weights and protected memory.
    ResourceRequirements {
        /// `cpu`, `memory`, `ephemeral-storage` (recorded), `podman.io/device=PATH` (a device).
        "limits" limits: BTreeMap<String, Quantity>,
        "requests" requests: BTreeMap<String, Quantity>,
    }
    refused {
        /// devices are given as `podman.io/device=PATH` in `limits`
        "claims",
    }
}

object! {
    VolumeMount {
        "name" name: VolumeName,
        "mountPath" mount_path: MountPath,
        "readOnly" read_only: Option<bool>,
        "subPath" sub_path: Option<InnerPath>,
        /// As `subPath`, with `$(VAR)` expanded.
        "subPathExpr" sub_path_expr: Option<InnerPath>,
        "mountPropagation" mount_propagation: Option<MountPropagation>,
        "recursiveReadOnly" recursive_read_only: Option<RecursiveReadOnly>,
    }
}

words! {
    pub MountPropagation {
        #[default]
        None = "None",
        HostToContainer = "HostToContainer",
        Bidirectional = "Bidirectional",
    }
}

words! {
    pub(crate) RecursiveReadOnly {
        #[default]
        Disabled = "Disabled",
        IfPossible = "IfPossible",
        Enabled = "Enabled",
    }
}

object! {
    /// A question to the container, asked from the pod's network; the image needs no tool for it.
    Probe {
        "exec" exec: Option<ExecAction>,
        "httpGet" http_get: Option<HttpGetAction>,
        "tcpSocket" tcp_socket: Option<TcpSocketAction>,
        "grpc" grpc: Option<GrpcAction>,
        "initialDelaySeconds" initial_delay_seconds: Option<u32>,
        "periodSeconds" period_seconds: Option<Positive>,
        "timeoutSeconds" timeout_seconds: Option<Positive>,
        "successThreshold" success_threshold: Option<Positive>,
        "failureThreshold" failure_threshold: Option<Positive>,
        /// Of this probe's kill, in place of the pod's.
        "terminationGracePeriodSeconds" termination_grace_period_seconds: Option<Positive>,
    }
}

object! {
    ExecAction {
        "command" command: Vec<String>,
    }
}

object! {
    HttpGetAction {
        "port" port: PortRef,
        "path" path: Option<String>,
        /// Where to connect; the pod itself where none is written.
        "host" host: Option<String>,
        /// With `HTTPS` the certificate is not checked, as in Kubernetes.
        "scheme" scheme: Option<Scheme>,
        "httpHeaders" http_headers: Vec<HttpHeader>,
    }
}

words! {
    pub Scheme {
        #[default]
        Http = "HTTP",
        Https = "HTTPS",
    }
}

object! {
    HttpHeader {
        "name" name: String,
        "value" value: String,
    }
}

object! {
    TcpSocketAction {
        "port" port: PortRef,
        "host" host: Option<String>,
    }
}

object! {
    GrpcAction {
        "port" port: Port,
        "service" service: Option<String>,
    }
}

object! {
    Lifecycle {
        "postStart" post_start: Option<LifecycleHandler>,
        /// Before the stop signal; its time counts against the grace period.
        "preStop" pre_stop: Option<LifecycleHandler>,
        /// As `SIGUSR1`.
        "stopSignal" stop_signal: Option<String>,
    }
}

object! {
    LifecycleHandler {
        "exec" exec: Option<ExecAction>,
        "httpGet" http_get: Option<HttpGetAction>,
        "tcpSocket" tcp_socket: Option<TcpSocketAction>,
        "sleep" sleep: Option<SleepAction>,
    }
}

object! {
    SleepAction {
        "seconds" seconds: u32,
    }
}

object! {
    /// Which key becomes which file.
    KeyToPath {
        "key" key: DataKey,
        "path" path: InnerPath,
        "mode" mode: Option<FileMode>,
    }
}
