//! `creel network update`

use std::net::IpAddr;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Change the name servers of a network
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Ask this name server, too
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_add: Vec<String>,
    /// Do not ask this name server any more
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_drop: Vec<String>,
    #[arg(value_name = "NETWORK")]
    networks: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.networks, 1)?;
    let addresses = |texts: &[String], what: &str| {
        let read = |text: &String| {
            let bad = || format!("unable to parse ip {text} specified in {what}: invalid argument");
            text.parse::<IpAddr>().map_err(|_| Failure::plain(bad()))
        };
        texts.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let (add, remove) = (addresses(&args.dns_add, "AddDNSServer")?, addresses(&args.dns_drop, "RemoveDNSServer")?);
    let engine = context.engine()?;
    let networks = super::networks(context, &engine)?;
    let mut network = networks.find(&args.networks[0])?;
    network.dns_servers.retain(|server| !remove.contains(server));
    for server in add {
        if !network.dns_servers.contains(&server) {
            network.dns_servers.push(server);
        }
    }
    networks.update(&network)?;
    if let Some(mut holder) = networks.connect(&network.name)? {
        holder.reload()?;
    }
    output::line(&args.networks[0])?;
    Ok(ExitCode::Success)
}
