//! Changes the networks of a container that is there: in its record, and where it runs in its namespace too.

use network::{Mode, NetworkRef};

use crate::container::{Container, Record};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::networks::{mode_word, networks};
use crate::{follow, list};

/// Puts a container on one more network.
///
/// # Errors
/// [`Error::Invalid`] where it is on it already, or is not on named networks at all. All is as it was then.
pub fn connect(engine: &Engine, container: &Container, reference: &NetworkRef) -> Result<()> {
    let network = networks(engine).find(&reference.name)?;
    change(engine, container, |record, references| {
        if references.iter().any(|known| known.name == network.name) {
            return Err(Error::Invalid(format!(
                "container {} is already connected to network {}: network is already connected",
                record.id, network.name
            )));
        }
        references.push(NetworkRef { name: network.name.clone(), ..reference.clone() });
        Ok(())
    })
}

/// Takes a container off a network.
pub fn disconnect(engine: &Engine, container: &Container, name: &str) -> Result<()> {
    let network = networks(engine).find(name)?;
    change(engine, container, |record, references| {
        let before = references.len();
        references.retain(|known| known.name != network.name);
        match references.len() < before {
            true => Ok(()),
            false => {
                Err(Error::Invalid(format!("container {} is not connected to network {}", record.name, network.name)))
            }
        }
    })
}

fn change(
    engine: &Engine,
    container: &Container,
    edit: impl FnOnce(&Record, &mut Vec<NetworkRef>) -> Result<()>,
) -> Result<()> {
    let _lock = engine.lock(container.id())?;
    let container = list::again(engine, container)?;
    follow::check_changeable(&container)?;
    let mut record = container.record.clone();
    let Mode::Networks(references) = &container.spec().network.mode else {
        let mode = mode_word(engine, &container);
        return Err(Error::Invalid(format!("{mode:?} is not supported: invalid network mode")));
    };
    let mut references = references.clone();
    keep_interfaces(&container, &mut references);
    edit(&record, &mut references)?;
    // What belongs to its one network is said with that network from now on.
    let spec = &mut record.spec.network;
    if let Mode::Networks(before) = &spec.mode
        && let [only] = before.as_slice()
        && let Some(reference) = references.iter_mut().find(|reference| reference.name == only.name)
    {
        let given = [("ip", spec.ip.map(|ip| ip.to_string())), ("ip6", spec.ip6.map(|ip| ip.to_string()))];
        let given = given.into_iter().chain([("mac", spec.mac.clone())]);
        reference.options.extend(given.filter_map(|(key, value)| Some(format!("{key}={}", value?))));
    }
    (spec.ip, spec.ip6, spec.mac) = (None, None, None);
    // So do aliases: they are not those of networks that come later.
    for reference in references.iter_mut() {
        let is_old =
            matches!(&spec.mode, Mode::Networks(before) if before.iter().any(|old| old.name == reference.name));
        if is_old {
            reference.options.extend(spec.aliases.iter().map(|alias| format!("alias={alias}")));
        }
    }
    spec.aliases.clear();
    spec.mode = Mode::Networks(references);
    follow::replace_record(engine, &container, &record)
}

/// What stays keeps the name of its interface, also when one before it goes.
fn keep_interfaces(container: &Container, references: &mut [NetworkRef]) {
    const OPTION: &str = "interface_name=";
    let said = |reference: &NetworkRef| {
        reference.options.iter().find_map(|option| option.strip_prefix(OPTION).map(str::to_owned))
    };
    let endpoints = container.status.network.iter().flat_map(|status| &status.endpoints);
    let running: Vec<_> = endpoints.filter(|_| list::running(container)).collect();
    let mut taken: Vec<String> = references.iter().filter_map(said).collect();
    for reference in references.iter_mut().filter(|reference| said(reference).is_none()) {
        let now = running.iter().find(|endpoint| endpoint.network == reference.name);
        let next = || (0..).map(|n| format!("eth{n}")).find(|name| !taken.contains(name));
        let Some(name) = now.map(|endpoint| endpoint.interface.clone()).or_else(next) else { continue };
        reference.options.push(format!("{OPTION}{name}"));
        taken.push(name);
    }
}

/// Has a running container's connections looked after: what is missing of them is made again.
pub fn reload(engine: &Engine, container: &Container) -> Result<()> {
    let container = list::again(engine, container)?;
    if !list::running(&container) {
        return Err(Error::StateImproper {
            what: format!("cannot reload container {} network as it is not running", container.id()),
        });
    }
    match &container.spec().network.mode {
        Mode::Networks(_) => follow::follow_again(engine, &container),
        // Whatever else connects it is watched by its monitor.
        Mode::Default | Mode::Private | Mode::Creel(_) | Mode::Slirp4netns(_) | Mode::Pasta(_) => {
            let mode = mode_word(engine, &container);
            Err(Error::Invalid(format!("{mode:?} is not supported: invalid network mode")))
        }
        Mode::None | Mode::Host | Mode::Container(_) | Mode::Path(_) | Mode::Pod => Err(Error::StateImproper {
            what: format!("container {} network is not configured, refusing to reload", container.id()),
        }),
    }
}
