//! Flags that change what is published while it is.

use network::PortMapping;

use crate::config::Config;
use crate::create_args;
use crate::error::Failure;

#[derive(clap::Args, Clone, Debug, Default)]
pub struct PortFlags {
    /// Publish one more port ([[IP:][HOSTPORT]:]CONTAINERPORT[/PROTOCOL])
    #[arg(short, long, alias = "publish-add", value_name = "PORT", value_delimiter = ',')]
    publish: Vec<String>,
    /// Publish it no more; a CONTAINERPORT alone means it on every port of the host
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    publish_rm: Vec<String>,
}

impl PortFlags {
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.publish_rm.is_empty()
    }

    /// Pure: what they make of a list of published ports. `real` is what is published now, with the real ports of the host.
    pub fn change(&self, ports: &mut Vec<PortMapping>, real: &[PortMapping], config: &Config) -> Result<(), Failure> {
        let mut changed = ports.clone();
        // First: a port of the host may lead elsewhere from now on.
        for text in &self.publish_rm {
            changed = network::unpublish(&changed, real, &network::parse_publish(text)?)
                .map_err(|error| Failure::from(error).hint("creel port CONTAINER shows what is published"))?;
        }
        create_args::publish(&mut changed, &self.publish, config)?;
        *ports = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists are words.
    fn change(now: &str, publish: &str, publish_rm: &str) -> Result<String, String> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let flags = PortFlags { publish: words(publish), publish_rm: words(publish_rm) };
        let mut ports = now.split_whitespace().map(|text| network::parse_publish(text).unwrap()).collect();
        flags.change(&mut ports, &[], &Config::default()).map_err(|failure| failure.to_string())?;
        Ok(ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn ports_come_and_go() {
        for (now, publish, publish_rm, expected) in [
            ("", "8080:80", "", "8080:80/tcp"),
            ("8080:80", "8080:80 53:53/udp", "", "8080:80/tcp 53:53/udp"),
            ("8080:80 8081:81", "", "8080:80", "8081:81/tcp"),
            // Elsewhere.
            ("8080:80", "8080:81", "80", "8080:81/tcp"),
        ] {
            assert_eq!(change(now, publish, publish_rm).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(change("8080:80", "", "81").unwrap_err(), "81/tcp is not published");
        assert!(change("", "80/icmp", "").is_err());
    }
}
