//! A container's record and status in the words that lists and inspect share.

use containers::{Container, Engine, MountSpec, Source, State};
use jiff::Timestamp;
use network::{Mode, PortMapping};

use crate::format::human;

/// Podman's word for the state, `paused` included.
pub fn word(container: &Container) -> &'static str {
    if containers::paused(container) { "paused" } else { container.state().word() }
}

/// `Up 5 minutes`, `Exited (0) 3 hours ago`, `Created`.
pub fn sentence(container: &Container, now: Timestamp) -> String {
    let state = word(container);
    match container.state() {
        State::Running { since, .. } if state == "running" => {
            let mut text = format!("Up {}", human::since(*since, now));
            if let Some(health) = health(container) {
                text.push_str(&format!(" ({health})"));
            }
            text
        }
        State::Exited(exit) => format!("Exited ({}) {}", exit.code, human::ago(exit.at, now)),
        _ => {
            let mut text = state.to_owned();
            text[..1].make_ascii_uppercase();
            text
        }
    }
}

/// `healthy`, `unhealthy`, `starting`; `None` without a check.
pub fn health(container: &Container) -> Option<&'static str> {
    container.status.health.map(containers::HealthStatus::word)
}

/// Entry point and command: what runs.
pub fn whole_command(container: &Container) -> Vec<String> {
    let (spec, image) = (container.spec(), container.record.image.as_ref());
    let entrypoint = spec.entrypoint.as_ref().or_else(|| image.map(|image| &image.entrypoint));
    entrypoint.into_iter().flatten().chain(command(container)).cloned().collect()
}

/// The command without its entry point, as lists show it.
pub fn command(container: &Container) -> &[String] {
    let (spec, image) = (container.spec(), container.record.image.as_ref());
    match image {
        Some(image) if spec.uses_image_command() => &image.cmd,
        _ => &spec.command,
    }
}

/// The image's name as the user gave it, and its id.
pub fn image(container: &Container) -> (&str, &str) {
    match &container.spec().source {
        Source::Image { id, name } => (name, id),
        Source::Directory { .. } | Source::Holder | Source::None => ("", ""),
    }
}

/// Named networks it is on.
pub fn networks(container: &Container) -> Vec<String> {
    match &container.spec().network.mode {
        Mode::Networks(networks) => networks.iter().map(|network| network.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Published ports, with the real host ports where it runs.
pub fn ports(container: &Container) -> &[PortMapping] {
    match &container.status.network {
        Some(network) if !network.ports.is_empty() => &network.ports,
        _ => &container.spec().network.ports,
    }
}

/// The same of one that is on another's network, a pod's member: that one's.
pub fn published(engine: &Engine, container: &Container) -> Vec<PortMapping> {
    match &container.spec().network.mode {
        Mode::Container(other) => containers::find(engine, other).map_or_else(|_| Vec::new(), |it| ports(&it).to_vec()),
        _ => ports(container).to_vec(),
    }
}

/// Ports that are known but not published, as `80/tcp`.
pub fn exposed(container: &Container) -> Vec<String> {
    let image = container.record.image.as_ref().map(|image| image.exposed_ports.as_slice()).unwrap_or_default();
    let mut ports: Vec<String> = container
        .spec()
        .network
        .expose
        .iter()
        .chain(image)
        .map(|port| if port.contains('/') { port.clone() } else { format!("{port}/tcp") })
        .collect();
    ports.sort_by_key(|port| port.split('/').next().and_then(|number| number.parse::<u32>().ok()));
    ports.dedup();
    ports
}

/// Whether a mapping covers the port.
pub fn covers(mapping: &PortMapping, port: &str) -> bool {
    let Some((number, protocol)) = port.split_once('/') else { return false };
    let Ok(number) = number.parse::<u32>() else { return false };
    let first = u32::from(mapping.container_port);
    protocol == mapping.protocol.to_string() && (first..first + u32::from(mapping.range.max(1))).contains(&number)
}

/// `0.0.0.0:8080->80/tcp, 81/tcp`.
pub fn port_list(container: &Container, published: &[PortMapping]) -> String {
    let mut parts: Vec<String> = published.iter().map(arrow).collect();
    let open = exposed(container);
    parts.extend(open.into_iter().filter(|port| !published.iter().any(|mapping| covers(mapping, port))));
    parts.join(", ")
}

fn arrow(mapping: &PortMapping) -> String {
    let address = mapping.host_ip.map_or_else(
        || "0.0.0.0".to_owned(),
        |ip| match ip {
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        },
    );
    let span = |first: u16| match mapping.range {
        0 | 1 => first.to_string(),
        range => format!("{first}-{}", u32::from(first) + u32::from(range) - 1),
    };
    let (host, inside) = (span(mapping.host_port), span(mapping.container_port));
    format!("{address}:{host}->{inside}/{}", mapping.protocol)
}

/// Mounts as the user asked for them; those that creel adds are not among them.
pub fn mounts(container: &Container) -> &[MountSpec] {
    &container.spec().mounts
}

/// When it last began to run.
pub fn started(container: &Container) -> Option<Timestamp> {
    match container.state() {
        State::Running { since, .. } => Some(*since),
        State::Exited(exit) => exit.started,
        State::Created | State::Initialized { .. } | State::Removing => None,
    }
}
