//! Services: a name and an address for the pods that are ready.

use std::net::IpAddr;

use super::{Labels, ObjectMeta, Protocol};
use crate::decode::{Label, Port, PortRef, Positive, object, words};

object! {
    /// Names NAME, NAME.NAMESPACE and NAME.NAMESPACE.svc.cluster.local in every pod.
    Service {
        "metadata" metadata: ObjectMeta,
        "spec" spec: ServiceSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    ServiceSpec {
        "type" kind: Option<ServiceType>,
        "selector" selector: Labels,
        "ports" ports: Vec<ServicePort>,
        /// `None` makes a headless Service: its name gives the addresses of all ready pods.
        "clusterIP" cluster_ip: Option<String>,
        "clusterIPs" cluster_ips: Vec<String>,
        /// Of type `ExternalName`: its names are aliases (CNAME) of this one.
        "externalName" external_name: Option<String>,
        "externalIPs" external_ips: Vec<IpAddr>,
        /// Of a LoadBalancer: the address of the host to listen on.
        "loadBalancerIP" load_balancer_ip: Option<IpAddr>,
        /// `ClientIP`: a client stays with the pod that has served it.
        "sessionAffinity" session_affinity: Option<SessionAffinity>,
        "sessionAffinityConfig" session_affinity_config: Option<SessionAffinityConfig>,
        "publishNotReadyAddresses" publish_not_ready_addresses: Option<bool>,
        /// Of a LoadBalancer: clients from elsewhere are refused.
        "loadBalancerSourceRanges" load_balancer_source_ranges: Vec<String>,
        /// `IPv4`; Services have no other addresses of their own, so `IPv6` goes with `PreferDualStack` only.
        "ipFamilies" ip_families: Vec<IpFamily>,
        /// `RequireDualStack` is refused.
        "ipFamilyPolicy" ip_family_policy: Option<IpFamilyPolicy>,
    }
    checked {
        /// Clients keep their addresses with either one: there is one node.
        "externalTrafficPolicy": TrafficPolicy,
        /// There is one node.
        "internalTrafficPolicy": TrafficPolicy,
    }
    no_effect {
        /// there is one node
        "topologyKeys",
        /// there is one load balancer
        "loadBalancerClass",
        /// there is one node
        "healthCheckNodePort",
        /// connections are spread evenly
        "trafficDistribution",
    }
    quiet {
        "allocateLoadBalancerNodePorts",
    }
}

words! {
    pub ServiceType {
        #[default]
        ClusterIp = "ClusterIP",
        NodePort = "NodePort",
        LoadBalancer = "LoadBalancer",
        ExternalName = "ExternalName",
    }
}

words! {
    pub(crate) IpFamily {
        #[default]
        Ipv4 = "IPv4",
        Ipv6 = "IPv6",
    }
}

words! {
    pub(crate) IpFamilyPolicy {
        #[default]
        Single = "SingleStack",
        PreferDual = "PreferDualStack",
        RequireDual = "RequireDualStack",
    }
}

words! {
    pub(crate) TrafficPolicy {
        #[default]
        Cluster = "Cluster",
        Local = "Local",
    }
}

object! {
    ServicePort {
        /// Needed where there are several.
        "name" name: Option<Label>,
        "port" port: Port,
        /// Of the pods, by number or name; as `port` where none is written.
        "targetPort" target_port: Option<PortRef>,
        /// On the host, 30000 to 32767.
        "nodePort" node_port: Option<Port>,
        "protocol" protocol: Option<Protocol>,
    }
    quiet { "appProtocol", }
}

words! {
    pub(crate) SessionAffinity {
        #[default]
        None = "None",
        ClientIp = "ClientIP",
    }
}

object! {
    SessionAffinityConfig {
        "clientIP" client_ip: Option<ClientIpConfig>,
    }
}

object! {
    ClientIpConfig {
        "timeoutSeconds" timeout_seconds: Option<Positive>,
    }
}
