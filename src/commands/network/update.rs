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
    let addresses = |texts: &[String]| {
        let read =
            |text: &String| text.parse::<IpAddr>().map_err(|_| Failure::plain(format!("unable to parse ip {text}")));
        texts.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let (add, remove) = (addresses(&args.dns_add)?, addresses(&args.dns_drop)?);
    let engine = context.engine()?;
    let networks = super::networks(context, &engine)?;
    let mut network = networks.find(&args.networks[0])?;
    let changes = !add.is_empty() || !remove.is_empty();
    if changes && !network.dns {
        return Err(Failure::plain(format!(
            "cannot change the name servers of network {}: its DNS is disabled",
            network.name
        )));
    }
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
