//! `/networks`

use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::containers::id_of;
use crate::creel::{Error, Result, Words};
use crate::json::{is_true, list as elements, members, some_text, text};

fn shape(network: &Value) -> Value {
    let subnets: Vec<Value> = elements(network, "subnets")
        .iter()
        .map(|subnet| {
            let mut config = json!({ "Subnet": text(subnet, "subnet"), "Gateway": text(subnet, "gateway") });
            if let Some(range) = subnet.get("lease_range") {
                config["IPRange"] = format!("{}-{}", text(range, "start_ip"), text(range, "end_ip")).into();
            }
            config
        })
        .collect();
    let containers: Map<String, Value> = members(network, "containers")
        .map(|(id, container)| {
            let interface = members(container, "interfaces").next().map_or(&Value::Null, |(_, interface)| interface);
            let address = |is_v6: bool| {
                let all = elements(interface, "subnets").iter().map(|subnet| text(subnet, "ipnet"));
                all.into_iter().find(|address| address.contains(':') == is_v6).unwrap_or_default().to_owned()
            };
            let shown = json!({
                "Name": text(container, "name"),
                "EndpointID": "",
                "MacAddress": text(interface, "mac_address"),
                "IPv4Address": address(false),
                "IPv6Address": address(true),
            });
            (id.to_owned(), shown)
        })
        .collect();
    let map = |key: &str| network.get(key).filter(|value| value.is_object()).cloned().unwrap_or_else(|| json!({}));
    json!({
        "Name": shown_name(text(network, "name")),
        "Id": text(network, "id"),
        "Created": text(network, "created"),
        "Scope": "local",
        "Driver": text(network, "driver"),
        "EnableIPv6": is_true(network, "ipv6_enabled"),
        "IPAM": { "Driver": "default", "Options": {}, "Config": subnets },
        "Internal": is_true(network, "internal"),
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": map("options"),
        "Labels": map("labels"),
    })
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["network", "ls", "--format=json"]);
    for (key, value) in call.filters()? {
        match (key.as_str(), value.as_str()) {
            // Of what is neither host's nor nobody's, everything is custom.
            ("type", "custom") | ("scope", "local") => {}
            ("type", "builtin") | ("scope", _) => return Reply::json(&json!([])),
            _ => {
                words.flag("filter", Some(format!("{key}={value}")));
            }
        }
    }
    let found = call.creel.json(&words)?;
    Reply::json(&found.as_array().into_iter().flatten().map(shape).collect())
}

/// Podman's default network has the name of Docker's.
pub(crate) fn shown_name(name: &str) -> &str {
    if name == "podman" { "bridge" } else { name }
}

/// And the other way round.
fn named(name: &str) -> &str {
    if name == "bridge" { "podman" } else { name }
}

pub(crate) fn inspect(call: &mut Call<'_>) -> Result<Reply> {
    let found = call.creel.json(Words::new(&["network", "inspect"]).names([named(call.name())]))?;
    Reply::json(&shape(found.get(0).unwrap_or(&Value::Null)))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let name = some_text(&wanted, "Name").ok_or_else(|| Error::bad("the network has no name: Name is empty"))?;
    for key in ["ConfigOnly", "Ingress"] {
        if is_true(&wanted, key) {
            return Err(Error::bad(format!("{key}: such networks belong to a swarm, there is none here")));
        }
    }
    let mut words = Words::new(&["network", "create"]);
    words.flag("driver", some_text(&wanted, "Driver").filter(|driver| *driver != "default"));
    words.set("internal", is_true(&wanted, "Internal")).set("ipv6", is_true(&wanted, "EnableIPv6"));
    for (flag, key) in [("label", "Labels"), ("opt", "Options")] {
        for (key, value) in members(&wanted, key) {
            words.flag(flag, Some(format!("{key}={}", value.as_str().unwrap_or_default())));
        }
    }
    let addresses = wanted.get("IPAM").unwrap_or(&Value::Null);
    words.flag("ipam-driver", some_text(addresses, "Driver").filter(|driver| *driver != "default"));
    for config in elements(addresses, "Config") {
        words.flag("subnet", some_text(config, "Subnet")).flag("gateway", some_text(config, "Gateway"));
        words.flag("ip-range", some_text(config, "IPRange"));
    }
    let made = call.creel.run(words.names([name]));
    let found = made.and_then(|_| call.creel.json(Words::new(&["network", "inspect"]).names([name])))?;
    Reply::created(&json!({ "Id": text(found.get(0).unwrap_or(&Value::Null), "id"), "Warning": "" }))
}

pub(crate) fn remove(call: &mut Call<'_>) -> Result<Reply> {
    call.act(Words::new(&["network", "rm"]))
}

pub(crate) fn connect(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let container = id_of(call.creel, text(&wanted, "Container"))?;
    let endpoint = wanted.get("EndpointConfig").unwrap_or(&Value::Null);
    let addresses = endpoint.get("IPAMConfig").unwrap_or(&Value::Null);
    let mut words = Words::new(&["network", "connect"]);
    words.flag("ip", some_text(addresses, "IPv4Address")).flag("ip6", some_text(addresses, "IPv6Address"));
    words.flag("mac-address", some_text(endpoint, "MacAddress"));
    for alias in crate::json::texts(endpoint, "Aliases") {
        words.flag("alias", Some(alias));
    }
    call.creel.run(words.names([named(call.name()), container.as_str()]))?;
    Reply::empty(200)
}

pub(crate) fn disconnect(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let mut words = Words::new(&["network", "disconnect"]);
    words.set("force", is_true(&wanted, "Force"));
    call.creel.run(words.names([named(call.name()), text(&wanted, "Container")]))?;
    Reply::empty(200)
}

pub(crate) fn prune(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["network", "prune", "--force"]);
    call.filter(&mut words)?;
    let removed = call.creel.run(&words)?;
    Reply::json(&json!({ "NetworksDeleted": removed.lines().collect::<Vec<_>>() }))
}
