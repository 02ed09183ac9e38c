//! Ingress: HTTP by host and path to Services.

use super::ObjectMeta;
use crate::decode::{Port, PortName, Subdomain, object, words};

object! {
    /// One small proxy on the host's port 80, or 8080 where that is not ours to take; with `tls` on 443 or 8443, too.
    Ingress {
        "metadata" metadata: ObjectMeta,
        "spec" spec: IngressSpec,
    }
    quiet { "apiVersion", "kind", "status", }
}

object! {
    IngressSpec {
        "defaultBackend" default_backend: Option<IngressBackend>,
        "rules" rules: Vec<IngressRule>,
        "tls" tls: Vec<IngressTls>,
    }
    quiet { "ingressClassName", }
}

object! {
    /// TLS 1.2 and 1.3, by the name that the client asks for; requests without TLS are redirected there (308), unless the
    /// annotation `nginx.ingress.kubernetes.io/ssl-redirect` is `"false"`. A changed Secret counts for new connections.
    IngressTls {
        /// None: every host that no other certificate is for.
        "hosts" hosts: Vec<String>,
        /// A Secret of type `kubernetes.io/tls`. There is no certificate beside: required.
        "secretName" secret_name: Option<Subdomain>,
    }
}

object! {
    IngressRule {
        /// A name, or `*.` and a name for one label more.
        "host" host: Option<String>,
        "http" http: Option<HttpRule>,
    }
}

object! {
    HttpRule {
        "paths" paths: Vec<HttpPath>,
    }
}

object! {
    HttpPath {
        "path" path: Option<String>,
        "pathType" path_type: PathType,
        "backend" backend: IngressBackend,
    }
}

words! {
    /// How a path is compared.
    pub PathType {
        #[default]
        ImplementationSpecific = "ImplementationSpecific",
        Exact = "Exact",
        Prefix = "Prefix",
    }
}

object! {
    IngressBackend {
        "service" service: Option<IngressService>,
    }
    refused {
        /// write `service`
        "resource",
    }
}

object! {
    IngressService {
        "name" name: Subdomain,
        "port" port: ServiceBackendPort,
    }
}

object! {
    ServiceBackendPort {
        "name" name: Option<PortName>,
        "number" number: Option<Port>,
    }
}

object! {
    /// Accepted: there is one Ingress controller.
    IngressClass {
        "metadata" metadata: ObjectMeta,
    }
    quiet { "apiVersion", "kind", "spec", }
}
