//! `creel network create`

use std::collections::BTreeMap;
use std::net::IpAddr;

use network::{Cidr, LeaseRange, Network, Route, RouteKind, Subnet};

use super::driver_options;
use crate::arguments::{self, go_quote};
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
    /// Driver of the network: bridge, macvlan, ipvlan
    #[arg(short, long, value_name = "NAME", default_value = "bridge")]
    driver: String,
    /// Address of the network's bridge
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
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
    /// Who gives out addresses: host-local, dhcp, none
    #[arg(long, value_name = "NAME")]
    ipam_driver: Option<String>,
    /// Addresses of IPv6, too
    #[arg(long)]
    ipv6: bool,
    /// Set a label (KEY=VALUE)
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// The old word for `--driver macvlan --opt parent=DEVICE`
    #[arg(long, value_name = "DEVICE", hide = true)]
    macvlan: Option<String>,
    /// Option of the driver: mtu, metric, vlan, isolate, no_default_route, parent, mode
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Route that members get (DESTINATION,GATEWAY[,METRIC])
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// Addresses of the network (CIDR)
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,
    #[arg(value_name = "[NAME]")]
    names: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.names, 1)?;
    if args.macvlan.is_some() {
        tracing::warn!("The --macvlan option is deprecated, use `--driver macvlan --opt parent=<device>` instead");
    }
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
    let driver = match (&args.macvlan, args.driver.as_str()) {
        (Some(_), _) => "macvlan",
        (None, "") => "bridge",
        (None, driver @ ("bridge" | "macvlan" | "ipvlan")) => driver,
        (None, other) => return Err(Failure::plain(format!("failed to find driver or plugin {}", go_quote(other)))),
    };
    let mut network = Network {
        name: args.names.first().cloned().unwrap_or_default(),
        driver: driver.into(),
        interface: args.macvlan.clone().or_else(|| args.interface_name.clone()).unwrap_or_default(),
        subnets: subnets(args)?,
        routes: args.route.iter().map(|text| route(text)).collect::<Result<_, _>>()?,
        ipv6: args.ipv6,
        internal: args.internal,
        // Members of the other drivers have no gateway of ours to ask.
        dns: !args.disable_dns && driver == "bridge",
        labels: pairs(&args.label).map_err(|failure| failure.context("failed to parse labels"))?,
        ..Network::default()
    };
    for (key, value) in pairs(&args.opt).map_err(|failure| failure.context("unable to parse options"))? {
        driver_options::set(&mut network, &key, &value)?;
    }
    if driver != "bridge" && !network.interface.is_empty() {
        driver_options::check_parent(&network.interface)?;
    }
    network.ipam = BTreeMap::from([("driver".to_owned(), ipam_driver(args, &network)?.to_owned())]);
    for server in &args.dns {
        let bad =
            || Failure::plain(format!("unable to parse ip {server} specified in NetworkDNSServers: invalid argument"));
        network.dns_servers.push(server.parse::<IpAddr>().map_err(|_| bad())?);
    }
    if !network.dns && !network.dns_servers.is_empty() {
        return Err(Failure::plain(
            "cannot set NetworkDNSServers if DNS is not enabled for the network: invalid argument",
        ));
    }
    Ok(network)
}

/// Who gives out addresses.
fn ipam_driver<'a>(args: &'a Args, network: &Network) -> Result<&'a str, Failure> {
    let (driver, has_subnets) = (network.driver.as_str(), !network.subnets.is_empty());
    let wrong = |text: &str| Err(Failure::plain(text));
    match args.ipam_driver.as_deref().unwrap_or_default() {
        "" if driver == "bridge" || has_subnets => Ok("host-local"),
        "" | "dhcp" if driver == "ipvlan" => wrong("ipam driver dhcp is not supported with ipvlan"),
        "" => Ok("dhcp"),
        "host-local" if driver != "bridge" && !has_subnets => Err(Failure::plain(format!(
            "{driver} driver needs at least one subnet specified when the host-local ipam driver is set"
        ))),
        "none" if has_subnets => wrong("none ipam driver is set but subnets are given"),
        "dhcp" if has_subnets => wrong("ipam driver dhcp set but subnets are set"),
        known @ ("host-local" | "none" | "dhcp") => Ok(known),
        other => Err(Failure::plain(format!("unsupported ipam driver {}", go_quote(other)))),
    }
}

fn pairs(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        match key {
            "" => Err(Failure::plain(format!("invalid label format: {}", go_quote(text)))),
            key => Ok((key.to_owned(), value.to_owned())),
        }
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
                let gateway = text.parse().map_err(|_| {
                    Failure::usage(format!(
                        "invalid argument {} for \"--gateway\" flag: invalid string being converted to IP address: {text}",
                        go_quote(text)
                    ))
                })?;
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
        let address = |which: &str, text: &str| {
            let bad = || Failure::plain(format!("range {which} ip {} is not a ip address", go_quote(text)));
            text.trim().parse().map_err(|_| bad())
        };
        return Ok(LeaseRange { first: address("start", first)?, last: address("end", last)? });
    }
    let cidr: Cidr = text.parse().map_err(|_| Failure::plain(format!("invalid CIDR address: {text}")))?;
    // The first address of a network is nobody's.
    Ok(LeaseRange { first: cidr.nth(1).unwrap_or(cidr.address), last: cidr.last() })
}

/// `10.21.0.0/24,10.19.12.250,120`, or a word in place of the gateway for a route that leads nowhere.
fn route(text: &str) -> Result<Route, Failure> {
    let words: Vec<&str> = text.split(',').collect();
    let (destination, via, metric) = match words[..] {
        [destination, via] => (destination, via, None),
        [destination, via, metric] => (destination, via, Some(metric)),
        _ => {
            return Err(Failure::plain(format!(
                "invalid route: {text}\nFormat: --route <destination in CIDR>,<gateway>,<metric (optional)>"
            )));
        }
    };
    let bad = |what: &str, word: &str| Failure::plain(format!("invalid route {what} {word}"));
    let cidr: Cidr = destination.parse().map_err(|_| bad("destination", destination))?;
    let (gateway, kind) = match via {
        "blackhole" => (None, RouteKind::Blackhole),
        "unreachable" => (None, RouteKind::Unreachable),
        "prohibit" => (None, RouteKind::Prohibit),
        gateway => (Some(gateway.parse::<IpAddr>().map_err(|_| bad("gateway", gateway))?), RouteKind::Unicast),
    };
    if destination.split_once('/').is_some_and(|(address, _)| address.parse() != Ok(cidr.address)) {
        return Err(Failure::plain("route destination invalid"));
    }
    if gateway.is_some_and(|gateway| gateway.is_ipv4() != cidr.is_ipv4()) {
        return Err(bad("gateway", via));
    }
    let metric = metric.map(|metric| metric.parse().map_err(|_| bad("metric", metric))).transpose()?;
    Ok(Route { destination: cidr, gateway, metric, kind })
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
            (
                &["--subnet", "10.0.0.0/24", "--gateway", "x"],
                "invalid argument \"x\" for \"--gateway\" flag: invalid string being converted to IP address: x",
            ),
            (&["-d", "ipvlan"], "ipam driver dhcp is not supported with ipvlan"),
            (
                &["-d", "macvlan", "--ipam-driver", "host-local"],
                "macvlan driver needs at least one subnet specified when the host-local ipam driver is set",
            ),
            (&["-d", "macvlan", "-o", "isolate=true"], "unsupported macvlan network option isolate"),
            (&["-d", "ipvlan", "-o", "mode=bridge"], "unknown ipvlan mode \"bridge\""),
            (&["--label", "=x"], "failed to parse labels: invalid label format: \"=x\""),
            (&["--route", "10.9.0.5/24,10.0.0.1"], "route destination invalid"),
            (&["--route", "10.9.0.0/24,x"], "invalid route gateway x"),
            (&["-o", "foo=bar"], "unsupported bridge network option foo"),
            (&["-o", "mtu=foo"], "strconv.Atoi: parsing \"foo\": invalid syntax"),
            (&["-o", "vlan=5000"], "vlan ID 5000 must be between 0 and 4094"),
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
            (&["--dns", "x"], "unable to parse ip x specified in NetworkDNSServers: invalid argument"),
        ] {
            assert_eq!(read(line).unwrap_err(), reason, "{line:?}");
        }
    }
}
