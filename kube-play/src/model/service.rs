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
        /// Of type `ExternalName`, which is refused: clients have to ask for the name itself.
        "externalName" external_name: Option<String>,
        "externalIPs" external_ips: Vec<IpAddr>,
        /// Of a LoadBalancer: the address of the host to listen on.
        "loadBalancerIP" load_balancer_ip: Option<IpAddr>,
        /// `ClientIP`: a client stays with the pod that has served it.
        "sessionAffinity" session_affinity: Option<SessionAffinity>,
        "sessionAffinityConfig" session_affinity_config: Option<SessionAffinityConfig>,
        "publishNotReadyAddresses" publish_not_ready_addresses: Option<bool>,
    }
    no_effect {
        /// there is one node
        "topologyKeys",
        /// the host decides who gets in
        "loadBalancerSourceRanges",
        /// there is one load balancer
        "loadBalancerClass",
        /// there is one node
        "healthCheckNodePort",
        /// connections are spread evenly
        "trafficDistribution",
    }
    quiet {
        "ipFamilies", "ipFamilyPolicy", "externalTrafficPolicy", "internalTrafficPolicy",
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
