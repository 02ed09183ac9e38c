//! `.network`: a service that makes a network; and `Network=` of every kind.

use super::container;
use super::kind::Kind;
use super::references::resource;
use super::translation::Translation;
use crate::error::{Error, Result};

pub(super) fn translate(of: &mut Translation<'_>) -> Result<()> {
    let name = resource(of.source).unwrap_or_default();
    if of.switch("NetworkDeleteOnStop")? == Some(true) {
        let remove = of.begin(&["network", "rm", &name])?;
        of.add_line("ExecStopPost", &remove);
    }
    of.command = of.begin(&["network", "create", "--ignore"])?;
    of.add_keys()?;
    of.command.push(name);
    let line = std::mem::take(&mut of.command);
    of.oneshot(&line);
    of.default("RemainAfterExit", "yes");
    Ok(())
}

/// Each subnet with its gateway and its range.
pub(super) fn subnets(of: &mut Translation<'_>) -> Result<()> {
    let values = |key| of.all(key).into_iter().map(|entry| entry.value.clone()).collect::<Vec<_>>();
    let (subnets, gateways, ranges) = (values("Subnet"), values("Gateway"), values("IPRange"));
    if subnets.is_empty() && !(gateways.is_empty() && ranges.is_empty()) {
        return Err(Error::Conflict("cannot set gateway or range without subnet"));
    }
    if gateways.len() > subnets.len() {
        return Err(Error::Conflict("cannot set more gateways than subnets"));
    }
    if ranges.len() > subnets.len() {
        return Err(Error::Conflict("cannot set more ranges than subnets"));
    }
    for (index, subnet) in subnets.into_iter().enumerate() {
        of.command.extend(["--subnet".to_owned(), subnet]);
        of.command
            .extend(gateways.get(index).into_iter().flat_map(|gateway| ["--gateway".to_owned(), gateway.clone()]));
        of.command.extend(ranges.get(index).into_iter().flat_map(|range| ["--ip-range".to_owned(), range.clone()]));
    }
    Ok(())
}

/// `Network=`: `a.network:ip=...` and `b.container` are other Quadlets, everything else is creel's.
pub(super) fn of_unit(of: &mut Translation<'_>) -> Result<()> {
    let entries: Vec<_> = of.all("Network").into_iter().cloned().collect();
    for entry in entries {
        let (name, options) = match entry.value.split_once(':') {
            Some((name, options)) => (name, Some(options)),
            None => (entry.value.as_str(), None),
        };
        let network = match Kind::of(name) {
            Some(Kind::Container) if options.is_some() => {
                let why = "extra options are not supported when joining another container's network".to_owned();
                return Err(Error::Value { why, at: entry.at.clone() });
            }
            Some(Kind::Container) => container::of_another(of, name, &entry)?,
            Some(Kind::Network) => match (of.refer(name, "unit", &entry)?, options) {
                (network, Some(options)) => format!("{network}:{options}"),
                (network, None) => network,
            },
            _ => entry.value.clone(),
        };
        of.command.extend(["--network".to_owned(), network]);
    }
    Ok(())
}
