//! `creel network create`

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::{Cidr, LeaseRange, Network, Route, RouteKind, Subnet};

use crate::arguments::{self, go_bool, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Make a network
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Members do not find each other by name
    #[arg(long)]
    disable_dns: bool,
    /// Name server for what is not on the network
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns: Vec<String>,
    /// Driver of the network; there is one, "bridge"
    #[arg(short, long, value_name = "NAME", default_value = "bridge")]
    driver: String,
    /// Address of the network's bridge
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// A network of that name is no error
    #[arg(long)]
    ignore: bool,
    /// Name of the network's bridge
    #[arg(long, value_name = "NAME")]
    interface_name: Option<String>,
    /// Members reach each other and nobody else
    #[arg(long)]
    internal: bool,
    /// Addresses that members get without asking (CIDR, or FIRST-LAST)
    #[arg(long, value_name = "RANGE")]
    ip_range: Vec<String>,
    /// Who gives out addresses: host-local, none
    #[arg(long, value_name = "NAME")]
    ipam_driver: Option<String>,
    /// Addresses of IPv6, too
    #[arg(long)]
    ipv6: bool,
    /// Set a label (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Option of the driver: mtu, metric, vlan, isolate, no_default_route
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Route that members get (DESTINATION,GATEWAY[,METRIC])
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// Addresses of the network (CIDR)
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.names, 1)?;
    let network = network(&args)?;
    let engine = context.engine()?;
    let networks = super::networks(context, &engine)?;
    let name = match networks.create(network) {
        Ok(network) => {
            super::record(&engine, &network, "create", None);
            network.name
        }
        Err(network::Error::NetworkExists(name)) if args.ignore => name,
        Err(error) => return Err(error.into()),
    };
    output::line(name)?;
    Ok(ExitCode::Success)
}

/// What is meant, as far as the flags say it.
fn network(args: &Args) -> Result<Network, Failure> {
    match args.driver.as_str() {
        "" | "bridge" => {}
        driver @ ("macvlan" | "ipvlan") => {
            return Err(Failure::plain(format!(
                "the network driver {driver} needs the host's network card, which belongs to root"
            ))
            .hint("creel has bridge networks; publish ports with -p to be reached from outside"));
        }
        other => return Err(Failure::plain(format!("failed to find driver or plugin {}", go_quote(other)))),
    }
    let mut network = Network {
        name: args.names.first().cloned().unwrap_or_default(),
        driver: "bridge".into(),
        interface: args.interface_name.clone().unwrap_or_default(),
        subnets: subnets(args)?,
        routes: args.route.iter().map(|text| route(text)).collect::<Result<_, _>>()?,
        ipv6: args.ipv6,
        internal: args.internal,
        dns: !args.disable_dns,
        labels: pairs(&args.label),
        ..Network::default()
    };
    for server in &args.dns {
        let server: IpAddr = server.parse().map_err(|_| Failure::plain(format!("unable to parse ip {server}")))?;
        network.dns_servers.push(server);
    }
    if args.disable_dns && !network.dns_servers.is_empty() {
        return Err(Failure::plain("cannot set NetworkDNSServers if DNS is not enabled for the network"));
    }
    let driver = match args.ipam_driver.as_deref() {
        None | Some("" | "host-local") => "host-local",
        Some("none") if !network.subnets.is_empty() => {
            return Err(Failure::plain("none ipam driver is set but subnets are given"));
        }
        Some("none") => "none",
        Some("dhcp") => {
            return Err(Failure::plain(
                "the ipam driver dhcp needs a server on the host's network, which an ordinary user cannot join",
            ));
        }
        Some(other) => return Err(Failure::plain(format!("unsupported ipam driver {}", go_quote(other)))),
    };
    network.ipam = BTreeMap::from([("driver".to_owned(), driver.to_owned())]);
    for (key, value) in pairs(&args.opt) {
        option(&mut network, &key, &value)?;
    }
    Ok(network)
}

fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

fn subnets(args: &Args) -> Result<Vec<Subnet>, Failure> {
    if args.subnet.is_empty() && !(args.gateway.is_empty() && args.ip_range.is_empty()) {
        return Err(Failure::plain("cannot set gateway or range without subnet"));
    }
    if args.gateway.len() > args.subnet.len() {
        return Err(Failure::plain("cannot set more gateways than subnets"));
    }
    if args.ip_range.len() > args.subnet.len() {
        return Err(Failure::plain("cannot set more ranges than subnets"));
    }
    let cidr = |text: &str| text.parse::<Cidr>().map_err(|_| Failure::plain(format!("invalid CIDR address: {text}")));
    let mut subnets = Vec::new();
    for (number, text) in args.subnet.iter().enumerate() {
        let gateway = match args.gateway.get(number) {
            Some(text) => {
                let gateway =
                    text.parse().map_err(|_| Failure::plain(format!("{} is not an ip address", go_quote(text))))?;
                Some(gateway)
            }
            None => None,
        };
        let range = match args.ip_range.get(number) {
            Some(text) => Some(range(text)?),
            None => None,
        };
        subnets.push(Subnet { subnet: cidr(text)?, gateway, range });
    }
    Ok(subnets)
}

/// `10.89.0.128/25` or `10.89.0.100-10.89.0.200`.
fn range(text: &str) -> Result<LeaseRange, Failure> {
    if let Some((first, last)) = text.split_once('-') {
        let address = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| Failure::plain(format!("range start/end ip {} is not an ip address", go_quote(text))))
        };
        return Ok(LeaseRange { first: address(first)?, last: address(last)? });
    }
    let cidr: Cidr = text.parse().map_err(|_| Failure::plain(format!("invalid CIDR address: {text}")))?;
    // The first address of a network is nobody's.
    Ok(LeaseRange { first: cidr.nth(1).unwrap_or(cidr.address), last: cidr.last() })
}

/// `10.21.0.0/24,10.19.12.250,120`, or a word in place of the gateway for a route that leads nowhere.
fn route(text: &str) -> Result<Route, Failure> {
    let bad = |why: &str| {
        Failure::plain(format!(
            "invalid route{why}: {text}\nFormat: --route <destination in CIDR>,<gateway>,<metric (optional)>"
        ))
    };
    let words: Vec<&str> = text.split(',').collect();
    let (destination, via, metric) = match words[..] {
        [destination, via] => (destination, via, None),
        [destination, via, metric] => (destination, via, Some(metric)),
        _ => return Err(bad("")),
    };
    let (gateway, kind) = match via {
        "blackhole" => (None, RouteKind::Blackhole),
        "unreachable" => (None, RouteKind::Unreachable),
        "prohibit" => (None, RouteKind::Prohibit),
        gateway => (Some(gateway.parse::<IpAddr>().map_err(|_| bad(" gateway"))?), RouteKind::Unicast),
    };
    let destination: Cidr = destination.parse().map_err(|_| bad(" destination"))?;
    if gateway.is_some_and(|gateway| gateway.is_ipv4() != destination.is_ipv4()) {
        return Err(bad(" gateway"));
    }
    let metric = metric.map(|metric| metric.parse().map_err(|_| bad(" metric"))).transpose()?;
    Ok(Route { destination, gateway, metric, kind })
}

fn option(network: &mut Network, key: &str, value: &str) -> Result<(), Failure> {
    let number = || {
        value
            .parse::<u32>()
            .map_err(|_| Failure::plain(format!("strconv.Atoi: parsing {}: invalid syntax", go_quote(value))))
    };
    let boolean = || {
        go_bool(value)
            .ok_or_else(|| Failure::plain(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(value))))
    };
    let mut key = key;
    match key {
        "mtu" | "com.docker.network.driver.mtu" => {
            key = "mtu";
            let mtu = number()?;
            if mtu != 0 && !(68..=65535).contains(&mtu) {
                return Err(Failure::plain(format!("mtu {mtu} is not between 68 and 65535")));
            }
        }
        "metric" => {
            number()?;
        }
        "vlan" => {
            let vlan = number()?;
            if !(1..=4094).contains(&vlan) {
                return Err(Failure::plain(format!("vlan ID {vlan} must be between 1 and 4094")));
            }
        }
        "no_default_route" => {
            boolean()?;
        }
        "isolate" => {
            if value != "strict" {
                boolean().map_err(|failure| Failure::plain(format!("failed to parse isolate option: {failure}")))?;
            }
        }
        "mode" => match value {
            "managed" => {}
            "unmanaged" => {
                return Err(Failure::plain("mode=unmanaged needs a bridge of the host, which belongs to root"));
            }
            other => return Err(Failure::plain(format!("unknown bridge mode {}", go_quote(other)))),
        },
        "com.docker.network.bridge.name" => {
            network.interface = value.to_owned();
            return Ok(());
        }
        "vrf" => return Err(Failure::plain("the network option vrf is not supported by creel yet")),
        other => return Err(Failure::plain(format!("unsupported bridge network option {other}"))),
    }
    network.options.insert(key.to_owned(), value.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Network, String> {
        use clap::{Args as _, FromArgMatches as _};
        let command = Args::augment_args(clap::Command::new("create"));
        let matches = command.try_get_matches_from(["create"].iter().chain(line)).unwrap();
        network(&Args::from_arg_matches(&matches).unwrap()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_become_a_network() {
        let line = [
            "--subnet",
            "10.77.0.0/24",
            "--gateway",
            "10.77.0.9",
            "--ip-range",
            "10.77.0.128/25",
            "--route",
            "10.9.0.0/24,10.77.0.1,5",
            "--route",
            "10.8.0.0/16,blackhole",
            "-o",
            "mtu=1400",
            "--dns",
            "1.1.1.1",
            "--label",
            "a=b",
            "--internal",
            "n",
        ];
        let network = read(&line).unwrap();
        let subnet = &network.subnets[0];
        assert_eq!(subnet.gateway, Some("10.77.0.9".parse().unwrap()));
        assert_eq!(subnet.range, Some(LeaseRange { first: [10, 77, 0, 129].into(), last: [10, 77, 0, 255].into() }));
        assert_eq!((network.routes[0].metric, network.routes[1].kind), (Some(5), RouteKind::Blackhole));
        assert!(network.internal && network.dns);
        assert_eq!(network.options["mtu"], "1400");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        for (line, reason) in [
            (&["--gateway", "10.79.0.1"][..], "cannot set gateway or range without subnet"),
            (&["--subnet", "zz"], "invalid CIDR address: zz"),
            (&["--subnet", "10.0.0.0/24", "--gateway", "x"], "\"x\" is not an ip address"),
            (&["-o", "foo=bar"], "unsupported bridge network option foo"),
            (&["-o", "mtu=foo"], "strconv.Atoi: parsing \"foo\": invalid syntax"),
            (&["-o", "vlan=5000"], "vlan ID 5000 must be between 1 and 4094"),
            (
                &["-o", "isolate=foo"],
                "failed to parse isolate option: strconv.ParseBool: parsing \"foo\": invalid syntax",
            ),
            (&["-d", "foo"], "failed to find driver or plugin \"foo\""),
            (&["--ipam-driver", "foo"], "unsupported ipam driver \"foo\""),
            (
                &["--route", "10.9.0.0/24"],
                "invalid route: 10.9.0.0/24\nFormat: --route <destination in CIDR>,<gateway>,<metric (optional)>",
            ),
            (&["--dns", "x"], "unable to parse ip x"),
        ] {
            assert_eq!(read(line).unwrap_err(), reason, "{line:?}");
        }
    }
}
