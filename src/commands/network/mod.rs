//! `network ...`: one file for each, and here what they share.

pub mod connect;
pub mod create;
pub mod disconnect;
mod driver_options;
pub mod exists;
pub mod inspect;
pub mod ls;
pub mod prune;
pub mod reload;
pub mod rm;
pub mod update;

use std::collections::{BTreeMap, BTreeSet};

use containers::{Container, Engine};
use jiff::Timestamp;
use network::{Endpoint, Mode, Network, Networks, Route, RouteKind, Subnet};
use storage::events::{self, Event};

use crate::arguments::{go_bool, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Pattern;
use crate::format::{Field, Kind, Value};
use crate::object;

/// The named networks, with the pools of containers.conf.
pub fn networks(context: &Context, engine: &Engine) -> Result<Networks, Failure> {
    Ok(containers::networks(engine).with_pools(context.config()?.subnet_pools()))
}

/// The network of that name or id.
pub fn find(networks: &Networks, name: &str) -> Result<Network, Failure> {
    networks.find(name).map_err(|error| match error {
        network::Error::NoSuchNetwork(_) => Failure::plain(error.to_string()).code(ExitCode::No),
        error => error.into(),
    })
}

/// All networks by name; a damaged one is said and left out.
pub fn all(networks: &Networks) -> Result<Vec<Network>, Failure> {
    let mut all = Vec::new();
    for network in networks.list()? {
        match network {
            Ok(network) => all.push(network),
            Err(error) => tracing::warn!(%error, "cannot read a network"),
        }
    }
    Ok(all)
}

/// The containers that are to be on each network, by full id.
pub fn users(engine: &Engine) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in containers::list_with_working(engine)? {
        for network in crate::state::networks(&container) {
            users.entry(network).or_default().push(container.id().to_string());
        }
    }
    Ok(users)
}

/// A pod's member has no network of its own: the pod's is meant, and is changed with this flag.
fn of_pod(engine: &Engine, container: &Container, flag: &str, network: &Network, error: containers::Error) -> Failure {
    let failure = Failure::from(error);
    let shares = matches!(container.spec().network.mode, Mode::Container(_));
    match container.spec().pod.as_deref().filter(|_| shares).and_then(|pod| pods::find(engine, pod).ok()) {
        Some(pod) => failure.hint(format!("creel pod update {flag} {} {}", network.name, pod.name())),
        None => failure,
    }
}

/// Tells the journal. `container` is who was connected or disconnected.
pub fn record(engine: &Engine, network: &Network, status: &'static str, container: Option<&Container>) {
    let (id, name, attributes) = match container {
        Some(container) => (container.id().to_string(), container.name().to_owned(), BTreeMap::new()),
        None => {
            let driver = BTreeMap::from([("driver".to_owned(), network.driver.clone())]);
            (network.id.clone(), String::new(), driver)
        }
    };
    let event =
        Event { id, name, attributes, network: network.name.clone(), ..Event::new(events::Kind::Network, status) };
    events::record(&engine.store, event);
}

pub fn created(network: &Network) -> Timestamp {
    // The one that is always there was never made; Podman says now.
    network.created.unwrap_or_else(Timestamp::now)
}

/// As `inspect` shows it. `id`: as a template shows it, whole or short.
pub fn value(network: &Network, id: &str, members: Option<Value>) -> Value {
    let mut value = object! {
        "name" as "Name": network.name.clone(),
        json "id": network.id.clone(),
        fn "ID": id,
        "driver" as "Driver": network.driver.clone(),
        "network_interface" as "NetworkInterface"?: network.interface.clone(),
        "created" as "Created": created(network),
        "subnets" as "Subnets"?: Value::List(network.subnets.iter().map(subnet_value).collect()),
        "routes" as "Routes"?: Value::List(network.routes.iter().map(route_value).collect()),
        "ipv6_enabled" as "IPv6Enabled": network.ipv6,
        "internal" as "Internal": network.internal,
        "dns_enabled" as "DNSEnabled": network.dns,
        "network_dns_servers" as "NetworkDNSServers"?:
            Value::List(network.dns_servers.iter().map(|server| server.to_string().into()).collect()),
        "labels" as "Labels"?: Value::map(&network.labels),
        "options" as "Options"?: Value::map(&network.options),
        "ipam_options" as "IPAMOptions"?: Value::map(&network.ipam),
    };
    // Lists do not ask who is on it; inspect says so too when nobody is.
    if let (Value::Struct(fields), Some(members)) = (&mut value, members) {
        Field::add(fields, "containers", "Containers", Kind::Plain, members);
    }
    value
}

/// With the members.
pub fn full_value(networks: &Networks, network: &Network) -> Result<Value, Failure> {
    Ok(value(network, &network.id, Some(members(networks, network)?)))
}

fn subnet_value(subnet: &Subnet) -> Value {
    let range = subnet.range.map(|range| {
        object! { "start_ip" as "StartIP"?: range.first.to_string(), "end_ip" as "EndIP"?: range.last.to_string() }
    });
    object! {
        "subnet" as "Subnet": subnet.subnet.to_string(),
        "gateway" as "Gateway"?: subnet.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        "lease_range" as "LeaseRange"?: range,
    }
}

fn route_value(route: &Route) -> Value {
    let kind = match route.kind {
        RouteKind::Unicast => "",
        RouteKind::Blackhole => "blackhole",
        RouteKind::Unreachable => "unreachable",
        RouteKind::Prohibit => "prohibit",
    };
    let mut value = object! {
        "destination" as "Destination": route.destination.to_string(),
        "gateway" as "Gateway"?: route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
    };
    if let Value::Struct(fields) = &mut value {
        // A metric of 0 is one that was given.
        if let Some(metric) = route.metric {
            Field::add(fields, "metric", "Metric", Kind::Plain, Value::Uint(metric.into()));
        }
        Field::add(fields, "route_type", "RouteType", Kind::OmitEmpty, kind.into());
    }
    value
}

/// Who is on it, by id.
fn members(networks: &Networks, network: &Network) -> Result<Value, Failure> {
    let state = networks.state(&network.name)?;
    let member = |name: &str, endpoint: &Endpoint| {
        let subnets = endpoint.addresses.iter().map(|assigned| {
            object! {
                "ipnet" as "IPNet": format!("{}/{}", assigned.address, assigned.prefix),
                "gateway" as "Gateway"?: assigned.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            }
        });
        let interface = object! {
            "subnets" as "Subnets": Value::List(subnets.collect()),
            "mac_address" as "MacAddress": endpoint.mac.clone(),
        };
        object! {
            "name" as "Name": name,
            "interfaces" as "Interfaces": Value::Map(BTreeMap::from([(endpoint.interface.clone(), interface)])),
        }
    };
    let members = state.members.iter().map(|(of, endpoint)| (of.id.clone(), member(&of.name, endpoint)));
    Ok(Value::Map(members.collect()))
}

/// One `--filter` of networks.
enum Filter {
    Dangling(bool),
    Driver(String),
    Id(String),
    Label { key: String, value: Option<String>, negated: bool },
    Name(Pattern),
    Until(Timestamp),
}

/// All filters of a command. Different keys are "and"; the same key repeated is "or", labels are "and".
pub struct Filters(Vec<(String, Filter)>);

/// Which keys a command knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    List,
    Prune,
}

impl Filters {
    pub fn parse(texts: &[String], keys: Keys) -> Result<Filters, Failure> {
        let parse = |text: &String| {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failure::plain(format!(
                    "filter input must be in the form of filter=value: {text} is invalid"
                )));
            };
            let filter = match key {
                "label" | "label!" => {
                    let (label, value) = match value.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (value.to_owned(), None),
                    };
                    Filter::Label { key: label, value, negated: key == "label!" }
                }
                "until" => Filter::Until(crate::when::filter(value)?),
                "dangling" if keys == Keys::List => match go_bool(value) {
                    Some(wanted) => Filter::Dangling(wanted),
                    None => {
                        return Err(Failure::plain(format!("invalid dangling filter value {}", go_quote(value))));
                    }
                },
                "driver" if keys == Keys::List => Filter::Driver(value.to_owned()),
                "id" if keys == Keys::List => Filter::Id(value.to_owned()),
                "name" if keys == Keys::List => Filter::Name(Pattern::lenient(value)),
                _ => return Err(Failure::plain(format!("invalid filter {}", go_quote(key)))),
            };
            Ok((key.to_owned(), filter))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Filters)
    }

    pub fn pass(&self, network: &Network, used: &BTreeSet<&str>) -> bool {
        self.0.iter().all(|(key, filter)| match filter {
            Filter::Label { .. } => fits(filter, network, used),
            _ => self.0.iter().any(|(other, filter)| other == key && fits(filter, network, used)),
        })
    }
}

fn fits(filter: &Filter, network: &Network, used: &BTreeSet<&str>) -> bool {
    match filter {
        Filter::Dangling(wanted) => *wanted != used.contains(network.name.as_str()),
        Filter::Driver(driver) => network.driver == *driver,
        Filter::Id(prefix) => network.id.starts_with(prefix.as_str()),
        Filter::Label { key, value, negated } => {
            let found = network.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| found == value)) != *negated
        }
        Filter::Name(pattern) => pattern.fits(&network.name),
        Filter::Until(time) => created(network) < *time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_networks() {
        let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let network = Network { name: "front".into(), id: "abc".into(), labels, ..Network::usual() };
        let pass = |texts: &[&str], used: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Filters::parse(&texts, Keys::List).unwrap().pass(&network, &used.iter().copied().collect())
        };
        assert!(pass(&["label=k", "label=k=v"], &[]));
        assert!(!pass(&["label=k", "label=x"], &[]));
        assert!(pass(&["label!=x"], &[]));
        assert!(pass(&["name=^f", "name=nope"], &[]));
        assert!(!pass(&["name=^f", "driver=macvlan"], &[]));
        assert!(pass(&["id=ab"], &[]));
        assert!(pass(&["dangling=true"], &[]) && !pass(&["dangling=true"], &["front"]));
        assert!(Filters::parse(&["name=x".into()], Keys::Prune).is_err());
    }
}
