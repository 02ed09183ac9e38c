//! A network in the notation of RFC 4632, `10.89.0.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The first address of a network and the bits that all its addresses share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Cidr {
    /// `address` may lie anywhere in it.
    pub fn containing(address: IpAddr, prefix: u8) -> Cidr {
        let host = width(address).saturating_sub(prefix);
        let mask = u128::MAX.checked_shl(host.into()).unwrap_or(0);
        Cidr { address: of_bits(bits(address) & mask, address.is_ipv4()), prefix }
    }

    /// One address alone.
    pub fn host(address: IpAddr) -> Cidr {
        Cidr { address, prefix: width(address) }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Cidr::containing(address, self.prefix).address == self.address
    }

    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The address `n` places after the first one; `None` beyond the end.
    pub fn nth(&self, n: u128) -> Option<IpAddr> {
        let address = of_bits(bits(self.address).checked_add(n)?, self.is_ipv4());
        self.contains(address).then_some(address)
    }

    /// The last address; of IPv4 it is the broadcast address.
    pub fn last(&self) -> IpAddr {
        let host = u32::from(width(self.address).saturating_sub(self.prefix));
        let all = u128::MAX.checked_shr(128 - host).unwrap_or(0);
        of_bits(bits(self.address) | if host == 0 { 0 } else { all }, self.is_ipv4())
    }

    /// How far `address` is from the first one.
    pub fn offset(&self, address: IpAddr) -> u128 {
        bits(address).saturating_sub(bits(self.address))
    }
}

fn of_bits(bits: u128, v4: bool) -> IpAddr {
    match v4 {
        // Of IPv4 addresses only the low half of half of a half is used.
        true => Ipv4Addr::from_bits(bits as u32).into(),
        false => Ipv6Addr::from_bits(bits).into(),
    }
}

impl FromStr for Cidr {
    type Err = Error;

    /// Bits after the prefix are cut off, as Podman does it.
    fn from_str(text: &str) -> Result<Cidr> {
        let bad = |reason: &str| Error::invalid("CIDR address", text, reason);
        let (address, prefix) = text.split_once('/').ok_or_else(|| bad("must be ADDRESS/BITS"))?;
        let address: IpAddr = address.parse().map_err(|_| bad("the address is not an IP address"))?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|bits| digits && *bits <= width(address));
        Ok(Cidr::containing(address, prefix.ok_or_else(|| bad("the bits are out of range"))?))
    }
}

impl TryFrom<String> for Cidr {
    type Error = Error;

    fn try_from(text: String) -> Result<Cidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, expected) in [
            ("10.89.0.0/24", "10.89.0.0/24"),
            ("10.89.0.77/24", "10.89.0.0/24"),
            ("fd00::1/64", "fd00::/64"),
            ("1.2.3.4/32", "1.2.3.4/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(cidr(text).to_string(), expected);
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "x/8", "::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_counted() {
        let network = cidr("10.89.0.0/24");
        assert_eq!(network.nth(1), Some("10.89.0.1".parse().unwrap()));
        assert_eq!(network.nth(256), None);
        assert_eq!(network.last(), "10.89.0.255".parse::<IpAddr>().unwrap());
        assert_eq!(network.offset("10.89.0.9".parse().unwrap()), 9);
        assert_eq!(cidr("fd00::/64").last(), "fd00::ffff:ffff:ffff:ffff".parse::<IpAddr>().unwrap());
        assert_eq!(cidr("1.2.3.4/32").last(), "1.2.3.4".parse::<IpAddr>().unwrap());
        assert_eq!(cidr("::/0").last(), IpAddr::from(Ipv6Addr::from_bits(u128::MAX)));
    }

    #[test]
    fn overlaps_are_seen_from_both_sides() {
        let (wide, narrow) = (cidr("10.0.0.0/8"), cidr("10.89.3.0/24"));
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert!(!narrow.overlaps(&cidr("10.89.4.0/24")));
        assert!(!wide.overlaps(&cidr("fd00::/8")));
    }
}
