//! `network create -o`: what each driver knows.

use network::Network;

use crate::arguments::{go_bool, go_quote};
use crate::error::Failure;

/// Sets one option of the network's driver, checked and in the words of its record.
pub fn set(network: &mut Network, key: &str, value: &str) -> Result<(), Failure> {
    let is_bridge = network.driver == "bridge";
    let (key, value) = match key {
        // Empty: as if it were not there.
        "mtu" | "com.docker.network.driver.mtu" if value.is_empty() => ("mtu", String::new()),
        "mtu" | "com.docker.network.driver.mtu" => ("mtu", mtu(value)?),
        "metric" => ("metric", parse::<u32>("ParseUint", value)?.to_string()),
        "no_default_route" => ("no_default_route", boolean(value)?.to_string()),
        "parent" if !is_bridge => {
            check_parent(value)?;
            network.interface = value.to_owned();
            return Ok(());
        }
        "mode" => ("mode", mode(&network.driver, value)?),
        "bclim" if network.driver == "macvlan" => {
            parse::<i32>("ParseInt", value).map_err(|failure| failure.context("failed to parse \"bclim\" option"))?;
            ("bclim", value.to_owned())
        }
        "vlan" if is_bridge => {
            let vlan = parse::<i64>("Atoi", value)?;
            if !(0..=4094).contains(&vlan) {
                return Err(Failure::plain(format!("vlan ID {vlan} must be between 0 and 4094")));
            }
            ("vlan", vlan.to_string())
        }
        "isolate" if is_bridge && value == "strict" => ("isolate", value.to_owned()),
        "isolate" if is_bridge => {
            let isolate = boolean(value).map_err(|failure| failure.context("failed to parse isolate option"))?;
            ("isolate", isolate.to_string())
        }
        "vrf" if is_bridge => ("vrf", value.to_owned()),
        "com.docker.network.bridge.name" if is_bridge => {
            network.interface = value.to_owned();
            return Ok(());
        }
        other => return Err(Failure::plain(format!("unsupported {} network option {other}", network.driver))),
    };
    network.options.insert(key.to_owned(), value);
    Ok(())
}

/// The interface that a network of macvlan names has to be the host's.
pub fn check_parent(name: &str) -> Result<(), Failure> {
    match std::path::Path::new("/sys/class/net").join(name).exists() {
        true => Ok(()),
        false => Err(Failure::plain(format!("parent interface {name} does not exist"))),
    }
}

fn mtu(value: &str) -> Result<String, Failure> {
    let mtu = parse::<i64>("Atoi", value)?;
    if mtu < 0 {
        return Err(Failure::plain(format!("mtu {mtu} is less than zero")));
    }
    // The kernel's bounds for the interfaces that members get; 0 is "not said".
    if mtu != 0 && !(68..=65535).contains(&mtu) {
        return Err(Failure::plain(format!("mtu {mtu} is not between 68 and 65535")));
    }
    Ok(mtu.to_string())
}

fn mode(driver: &str, value: &str) -> Result<String, Failure> {
    let known: &[&str] = match driver {
        "macvlan" => &["bridge", "private", "vepa", "passthru"],
        "ipvlan" => &["l2", "l3", "l3s"],
        _ => &["managed", "unmanaged"],
    };
    match known.contains(&value) {
        true => Ok(value.to_owned()),
        false => Err(Failure::plain(format!("unknown {driver} mode {}", go_quote(value)))),
    }
}

/// As Go's `strconv` reads it, and complains.
fn parse<T: std::str::FromStr>(function: &str, value: &str) -> Result<T, Failure> {
    value
        .parse()
        .map_err(|_| Failure::plain(format!("strconv.{function}: parsing {}: invalid syntax", go_quote(value))))
}

fn boolean(value: &str) -> Result<bool, Failure> {
    go_bool(value)
        .ok_or_else(|| Failure::plain(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(value))))
}
