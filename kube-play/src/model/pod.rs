//! Pods.

use std::net::IpAddr;

use super::{Container, ObjectMeta, PodSecurityContext, Volume};
use crate::decode::{Label, Subdomain, object, words};

object! {
    /// Podman's annotations are read: `io.podman.annotations.*`, `io.containers.autoupdate` and `io.containers.sdnotify`,
    /// of one container as `KEY/NAME`.
    Pod {
        "metadata" metadata: ObjectMeta,
        "spec" spec: PodSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    PodTemplateSpec {
        "metadata" metadata: Option<ObjectMeta>,
        "spec" spec: PodSpec,
    }
}

object! {
    /// What a pod is made of.
    PodSpec {
        "containers" containers: Vec<Container>,
        /// One after the other before the containers; with `restartPolicy: Always` a sidecar.
        "initContainers" init_containers: Vec<Container>,
        "volumes" volumes: Vec<Volume>,
        "restartPolicy" restart_policy: Option<PodRestartPolicy>,
        /// Seconds between the stop signal and the kill; 30 where none is written.
        "terminationGracePeriodSeconds" termination_grace_period_seconds: Option<u32>,
        /// With `restartPolicy: Never`: containers are killed after so many seconds.
        "activeDeadlineSeconds" active_deadline_seconds: Option<crate::decode::Positive>,
        "hostname" hostname: Option<Label>,
        /// With `hostname`: a name below a headless Service.
        "subdomain" subdomain: Option<Label>,
        "setHostnameAsFQDN" set_hostname_as_fqdn: Option<bool>,
        "hostAliases" host_aliases: Vec<HostAlias>,
        /// Names of Services are answered on the namespace's network in all their forms, without search domains, whatever
        /// the policy; with `hostNetwork` the host's resolv.conf is taken.
        "dnsPolicy" dns_policy: Option<DnsPolicy>,
        "dnsConfig" dns_config: Option<PodDnsConfig>,
        "hostNetwork" host_network: Option<bool>,
        "hostPID" host_pid: Option<bool>,
        "hostIPC" host_ipc: Option<bool>,
        /// `false`: a range of user ids of its own.
        "hostUsers" host_users: Option<bool>,
        "shareProcessNamespace" share_process_namespace: Option<bool>,
        "securityContext" security_context: Option<PodSecurityContext>,
        /// Variables like `WEB_SERVICE_HOST` for the Services of the namespace; on where nothing is written.
        "enableServiceLinks" enable_service_links: Option<bool>,
        /// Shown as a pod's account, and given to `fieldRef`; there is no API server to log in to.
        "serviceAccountName" service_account_name: Option<Subdomain>,
        /// Not `false`: containers find the pod's namespace, without a token, in
        /// /var/run/secrets/kubernetes.io/serviceaccount/namespace.
        "automountServiceAccountToken" automount_service_account_token: Option<bool>,
        /// Of all containers together: the limits of the pod's cgroup.
        "resources" resources: Option<super::ResourceRequirements>,
        /// Secrets of type `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`, asked before what `creel login`
        /// knows; for images whose names begin with their registry.
        "imagePullSecrets" image_pull_secrets: Vec<PullSecret>,
    }
    checked {
        /// `linux`; containers of Windows are refused.
        "os": PodOs,
    }
    no_effect {
        /// there is one node
        "nodeSelector",
        /// there is one node
        "nodeName",
        /// there is one node
        "affinity",
        /// there is one node
        "tolerations",
        /// there is one node
        "topologySpreadConstraints",
        /// there is no scheduler
        "schedulerName",
        /// there is no scheduler
        "schedulingGates",
        /// there is no scheduler
        "priorityClassName",
        /// there is no scheduler
        "priority",
        /// there is no scheduler
        "preemptionPolicy",
        /// there is no scheduler
        "overhead",
        /// nobody outside sets conditions
        "readinessGates",
    }
    quiet { "serviceAccount", }
    refused {
        /// `creel kube debug` adds them to a pod that runs
        "ephemeralContainers",
        /// there is one runtime
        "runtimeClassName",
        /// devices are given as `podman.io/device=PATH` in `resources.limits`
        "resourceClaims",
        /// write `hostname`
        "hostnameOverride",
    }
}

words! {
    pub PodRestartPolicy {
        #[default]
        Always = "Always",
        OnFailure = "OnFailure",
        Never = "Never",
    }
}

words! {
    pub DnsPolicy {
        #[default]
        ClusterFirst = "ClusterFirst",
        ClusterFirstWithHostNet = "ClusterFirstWithHostNet",
        Default = "Default",
        None = "None",
    }
}

object! {
    PullSecret {
        "name" name: Subdomain,
    }
}

object! {
    HostAlias {
        "ip" ip: IpAddr,
        "hostnames" hostnames: Vec<Subdomain>,
    }
}

object! {
    PodDnsConfig {
        "nameservers" nameservers: Vec<IpAddr>,
        "searches" searches: Vec<String>,
        "options" options: Vec<DnsOption>,
    }
}

object! {
    DnsOption {
        "name" name: String,
        "value" value: Option<String>,
    }
}

object! {
    PodOs {}
    checked { "name": OsName, }
}

words! {
    pub(crate) OsName {
        #[default]
        Linux = "linux",
    }
}
