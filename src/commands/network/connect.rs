//! `creel network connect`

use std::net::{Ipv4Addr, Ipv6Addr};

use network::NetworkRef;

use crate::arguments::{self, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Put a container on a network
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Further name of the container on this network
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    alias: Vec<String>,
    /// Its IPv4 address there
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Its IPv6 address there
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// Its MAC address there
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    #[arg(value_name = "NETWORK CONTAINER")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let (name, container) = (&args.words[0], &args.words[1]);
    let mut options: Vec<String> = args.alias.iter().map(|alias| format!("alias={alias}")).collect();
    if let Some(text) = &args.ip {
        let ip: Ipv4Addr = text.parse().map_err(|_| no_address("--ip", text))?;
        options.push(format!("ip={ip}"));
    }
    if let Some(text) = &args.ip6 {
        let ip: Ipv6Addr = text.parse().map_err(|_| no_address("--ip6", text))?;
        options.push(format!("ip6={ip}"));
    }
    if let Some(text) = &args.mac_address {
        if !network::is_mac(text) {
            return Err(Failure::plain(format!("address {text}: invalid MAC address")));
        }
        options.push(format!("mac={}", text.to_ascii_lowercase()));
    }
    let engine = context.engine()?;
    let network = super::networks(context, &engine)?.find(name)?;
    let container = containers::find(&engine, container)?;
    let reference = NetworkRef { name: network.name.clone(), options };
    containers::connect(&engine, &container, &reference)
        .map_err(|error| super::of_pod(&engine, &container, "--network", &network, error))?;
    super::record(&engine, &network, "connect", Some(&container));
    Ok(ExitCode::Success)
}

fn no_address(flag: &str, text: &str) -> Failure {
    let text = go_quote(text);
    Failure::usage(format!("invalid argument {text} for \"{flag}\" flag: failed to parse IP: {text}"))
}
