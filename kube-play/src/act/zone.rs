//! The names of Services and pods, as a cluster's DNS has them (Kubernetes' "DNS-Based Service Discovery" 1.1). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::{ServiceAt, Zone, ZoneName};

use crate::plan::{CLUSTER_DOMAIN, ServicePlan};

/// A Service and what is behind it.
pub(super) struct Named<'a> {
    pub(super) plan: &'a ServicePlan,
    pub(super) address: Option<IpAddr>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// A pod that a Service leads to.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Of a pod that has one under this Service.
    pub(super) hostname: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// Its number of each of the Service's ports, where it has one.
    pub(super) ports: Vec<Option<u16>>,
}

impl Endpoint {
    /// Its label below a headless Service.
    fn label(&self) -> Option<String> {
        self.hostname.clone().or_else(|| self.addresses.first().map(|address| dashed(*address)))
    }
}

/// The names as pods of one namespace ask for them; `pods` are all that run, by namespace and address. Its owner and its
/// process are not said here.
pub(super) fn zone<'a>(services: &[Named<'_>], pods: impl Iterator<Item = (&'a str, IpAddr)>, namespace: &str) -> Zone {
    let mut names = BTreeMap::new();
    let mut reverse = BTreeMap::new();
    for service in services {
        add(&mut names, &mut reverse, service, namespace);
    }
    for (namespace, address) in pods {
        let name = format!("{}.{namespace}.pod.{CLUSTER_DOMAIN}", dashed(address));
        names.entry(name).or_insert_with(ZoneName::default).addresses = vec![address];
    }
    let names = names.into_iter().map(|(name, rest)| ZoneName { name, ..rest }).collect();
    let reverse = reverse.into_iter().collect();
    Zone { domain: CLUSTER_DOMAIN.to_owned(), names, reverse, ..Zone::default() }
}

fn add(
    names: &mut BTreeMap<String, ZoneName>,
    reverse: &mut BTreeMap<IpAddr, String>,
    service: &Named<'_>,
    namespace: &str,
) {
    let Named { plan, address, endpoints } = service;
    // The bare name is one of the own namespace only.
    let is_own = plan.meta.id.namespace == namespace;
    let forms = plan.names();
    let forms = &forms[usize::from(!is_own)..];
    let Some(full) = forms.last() else { return };
    let mut put = |name: String, addresses: &[IpAddr], services: &[ServiceAt]| {
        let (addresses, services) = (addresses.to_vec(), services.to_vec());
        names.insert(name, ZoneName { addresses, services, alias: plan.external_name.clone(), ..ZoneName::default() });
    };
    let mut of_ports = vec![Vec::new(); plan.ports.len()];
    let mut addresses: Vec<IpAddr> = address.iter().copied().collect();
    match address {
        Some(address) => {
            for (port, of_port) in plan.ports.iter().zip(&mut of_ports) {
                of_port.push(ServiceAt { port: port.port, host: full.clone() });
            }
            reverse.insert(*address, full.clone());
        }
        None => {
            for endpoint in endpoints {
                addresses.extend(&endpoint.addresses);
                let Some(label) = endpoint.label() else { continue };
                forms.iter().for_each(|form| put(format!("{label}.{form}"), &endpoint.addresses, &[]));
                let host = format!("{label}.{full}");
                for (number, of_port) in endpoint.ports.iter().zip(&mut of_ports) {
                    of_port.extend(number.map(|port| ServiceAt { port, host: host.clone() }));
                }
                for address in &endpoint.addresses {
                    reverse.entry(*address).or_insert_with(|| host.clone());
                }
            }
        }
    }
    let all: Vec<ServiceAt> = of_ports.iter().flatten().cloned().collect();
    for form in forms {
        put(form.clone(), &addresses, &all);
        for (port, of_port) in plan.ports.iter().zip(&of_ports).filter(|_| plan.external_name.is_none()) {
            if let Some(name) = &port.name {
                let protocol = port.protocol.word().to_ascii_lowercase();
                put(format!("_{name}._{protocol}.{form}"), &[], of_port);
            }
        }
    }
}

/// An address as a label: `10-89-0-2`.
fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::planned;

    fn lines(zone: &Zone) -> Vec<String> {
        let line = |it: &ZoneName| {
            let addresses = it.addresses.iter().map(IpAddr::to_string);
            let services = it.services.iter().map(|at| format!("{}@{}", at.port, at.host));
            let what: Vec<String> = addresses.chain(services).chain(it.alias.clone()).collect();
            format!("{}: {}", it.name, what.join(" "))
        };
        zone.names.iter().map(line).collect()
    }

    #[test]
    fn a_service_an_alias_and_a_headless_one_have_their_records() {
        let plan = planned(
            "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { selector: { app: x }, ports: [{ name: http, port: 80 }] }\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: { name: db }\nspec: { clusterIP: None, selector: { app: y }, ports: [{ name: sql, port: 5432 }] }\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: { name: out }\nspec: { type: ExternalName, externalName: a.example }\n",
        );
        let address = IpAddr::from([10, 111, 0, 1]);
        let endpoint = |hostname: Option<&str>, last: u8| Endpoint {
            hostname: hostname.map(str::to_owned),
            addresses: vec![[10, 89, 0, last].into()],
            ports: vec![Some(5432)],
        };
        let endpoints = vec![endpoint(Some("db-0"), 2), endpoint(None, 3)];
        let named: Vec<Named<'_>> = plan
            .services
            .iter()
            .map(|plan| match plan.meta.id.name.as_str() {
                "web" => Named { plan, address: Some(address), endpoints: Vec::new() },
                "db" => Named { plan, address: None, endpoints: endpoints.clone() },
                _ => Named { plan, address: None, endpoints: Vec::new() },
            })
            .collect();
        let pods = || [("default", IpAddr::from([10, 89, 0, 2]))].into_iter();
        let far = zone(&named, pods(), "other");
        let full = |zone: &Zone| -> Vec<String> {
            let is_full = |line: &String| line.split(':').next().is_some_and(|name| name.ends_with(".cluster.local"));
            lines(zone).into_iter().filter(is_full).collect()
        };
        assert_eq!(
            full(&far),
            [
                "10-89-0-2.default.pod.cluster.local: 10.89.0.2",
                "10-89-0-3.db.default.svc.cluster.local: 10.89.0.3",
                "_http._tcp.web.default.svc.cluster.local: 80@web.default.svc.cluster.local",
                "_sql._tcp.db.default.svc.cluster.local: 5432@db-0.db.default.svc.cluster.local 5432@10-89-0-3.db.default.svc.cluster.local",
                "db-0.db.default.svc.cluster.local: 10.89.0.2",
                "db.default.svc.cluster.local: 10.89.0.2 10.89.0.3 5432@db-0.db.default.svc.cluster.local 5432@10-89-0-3.db.default.svc.cluster.local",
                "out.default.svc.cluster.local: a.example",
                "web.default.svc.cluster.local: 10.111.0.1 80@web.default.svc.cluster.local",
            ]
        );
        let near = zone(&named, pods(), "default");
        assert_eq!(full(&near), full(&far));
        let bare = |zone: &Zone, name: &str| zone.names.iter().any(|it| it.name == name);
        assert!(bare(&near, "web") && bare(&near, "out") && bare(&near, "db-0.db"));
        assert!(!bare(&far, "web") && bare(&far, "web.default") && bare(&far, "out.default.svc"));
        let called: Vec<&str> = near.reverse.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            called,
            [
                "db-0.db.default.svc.cluster.local",
                "10-89-0-3.db.default.svc.cluster.local",
                "web.default.svc.cluster.local"
            ]
        );
    }
}
