//! The named networks of one store: made, found, listed, removed.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use storage::{Durability, Store, record};
use sys::lock::FileLock;

use crate::record::{LeaseRange, Network, Subnet};
use crate::{Cidr, Error, Result, addresses};

/// Where the networks of one store are, and what a holder of one has to know.
#[derive(Clone, Debug)]
pub struct Networks {
    pub(crate) store: Store,
    /// Where the records are, if not in the store.
    pub(crate) config_dir: Option<PathBuf>,
    /// The stack of containers.conf for the way out; the one that is installed where `None`.
    pub(crate) uplink: Option<String>,
    pub(crate) userns_dir: PathBuf,
    /// Networks without a subnet get one of these sizes out of these.
    pools: Vec<(Cidr, u8)>,
    /// The one that is always there.
    usual: Network,
}

/// Podman's pools of subnets, and the size of what is taken from them.
const POOLS: [(&str, u8); 5] =
    [("10.89.0.0/16", 24), ("10.90.0.0/15", 24), ("10.92.0.0/14", 24), ("10.96.0.0/11", 24), ("10.128.0.0/9", 24)];
/// What `--network` means something else by.
const MODE_WORDS: [&str; 10] =
    ["bridge", "container", "creel", "default", "host", "none", "ns", "pasta", "private", "slirp4netns"];
/// Subnets looked at before the pools count as used up.
const TRIES: u128 = 1 << 16;

impl Networks {
    pub fn new(store: &Store, uplink: Option<&str>, userns_dir: &Path) -> Networks {
        let pools = POOLS.iter().filter_map(|(base, size)| Some((base.parse().ok()?, *size))).collect();
        Networks {
            store: store.clone(),
            config_dir: None,
            uplink: uplink.filter(|uplink| !uplink.is_empty()).map(str::to_owned),
            userns_dir: userns_dir.to_owned(),
            pools,
            usual: Network::usual(),
        }
    }

    /// default_network and default_subnet of containers.conf: the one that is always there has this name and subnet.
    pub fn with_default(mut self, name: Option<&str>, subnet: Option<Cidr>) -> Networks {
        if let Some(name) = name {
            self.usual.name = name.to_owned();
        }
        if let Some(subnet) = subnet {
            self.usual.subnets = vec![Subnet { subnet, gateway: subnet.nth(1), range: None }];
        }
        self
    }

    /// The name of the network that is always there.
    pub fn default_name(&self) -> &str {
        &self.usual.name
    }

    /// Puts the one that is always there among the records, where it is not as everybody knows it.
    pub(crate) fn keep_default(&self, network: &Network) -> Result<()> {
        let path = self.path(&network.name);
        if network.name != self.usual.name || self.usual == Network::usual() || path.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        Ok(record::write(&path, network, Durability::Durable)?)
    }

    /// default_subnet_pools of containers.conf; those of IPv6 have no meaning.
    pub fn with_pools(mut self, mut pools: Vec<(Cidr, u8)>) -> Networks {
        pools.retain(|(base, size)| base.is_ipv4() && base.prefix <= *size);
        if !pools.is_empty() {
            self.pools = pools;
        }
        self
    }

    /// The networks whose records are in another directory: `--network-config-dir`.
    pub fn in_dir(mut self, dir: Option<&Path>) -> Networks {
        self.config_dir = dir.map(Path::to_owned);
        self
    }

    fn dir(&self) -> PathBuf {
        self.config_dir.clone().unwrap_or_else(|| self.store.path("networks"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(format!("{name}.json"))
    }

    /// Where the holder of a network keeps its socket, its lock and its state.
    pub(crate) fn run_dir(&self, name: &str) -> PathBuf {
        self.runs().join(name)
    }

    /// Equal names in two directories of records are two networks.
    pub(crate) fn runs(&self) -> PathBuf {
        let runroot = &self.store.dirs().runroot;
        match &self.config_dir {
            None => runroot.join("networks"),
            Some(dir) => {
                let found = fs::metadata(dir).map_or((0, 0), |found| (found.dev(), found.ino()));
                runroot.join("networks-elsewhere").join(format!("{:x}-{:x}", found.0, found.1))
            }
        }
    }

    fn lock(&self) -> Result<FileLock> {
        let dir = self.dir();
        make_private_dir(&dir)?;
        let path = dir.join("lock");
        FileLock::exclusive(&path).map_err(Error::kernel(format!("lock {}", path.display())))
    }

    /// All networks by name, the one that is always there among them. A damaged record is an error in its own place.
    pub fn list(&self) -> Result<Vec<Result<Network>>> {
        let mut networks = Vec::new();
        let entries = match fs::read_dir(self.dir()) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::kernel(format!("read {}", self.dir().display()))(error)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(Error::kernel(format!("read {}", self.dir().display())))?;
            let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned)
            else {
                continue;
            };
            if is_name(&name) {
                let network = read_as(&name, &entry.path());
                networks.push((name, network));
            }
        }
        if !networks.iter().any(|(name, _)| *name == self.usual.name) {
            networks.push((self.usual.name.clone(), Ok(self.usual.clone())));
        }
        networks.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(networks.into_iter().map(|(_, network)| network).collect())
    }

    /// The network of that exact name.
    pub fn named(&self, name: &str) -> Result<Network> {
        if !is_name(name) {
            return Err(Error::NoSuchNetwork(name.to_owned()));
        }
        match read_as(name, &self.path(name)) {
            Err(Error::NoSuchNetwork(name)) if name == self.usual.name => Ok(self.usual.clone()),
            network => network,
        }
    }

    /// The network of that name, or the one whose id begins like that and no other's does.
    pub fn find(&self, name: &str) -> Result<Network> {
        match self.named(name) {
            Err(Error::NoSuchNetwork(_)) => {}
            other => return other,
        }
        let mut found =
            self.list()?.into_iter().flatten().filter(|network| !name.is_empty() && network.id.starts_with(name));
        match (found.next(), found.next()) {
            (Some(network), None) => Ok(network),
            (None, _) => Err(Error::NoSuchNetwork(name.to_owned())),
            (Some(_), Some(_)) => {
                Err(Error::Refused(format!("more than one result for network ID {name}: network already exists")))
            }
        }
    }

    /// Makes a network. What the request leaves empty is chosen: name, bridge, subnets, gateways.
    ///
    /// # Errors
    /// [`Error::NetworkExists`], and [`Error::Refused`] with the reason.
    pub fn create(&self, mut network: Network) -> Result<Network> {
        if !network.name.is_empty() && !is_name(&network.name) {
            return Err(Error::Refused(format!(
                "network name {} invalid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
                network.name
            )));
        }
        if MODE_WORDS.contains(&network.name.as_str()) {
            return Err(Error::Refused(format!(
                "cannot create network with name {:?} because it conflicts with a valid network mode",
                network.name
            )));
        }
        let _lock = self.lock()?;
        let others: Vec<Network> = self.list()?.into_iter().flatten().collect();
        if others.iter().any(|other| other.name == network.name) {
            return Err(Error::NetworkExists(network.name));
        }
        // Of macvlan and ipvlan it is the interface below, and may be left to the kernel's default route.
        let is_bridge = network.is_bridge();
        let mut free = (1..)
            .map(|number| format!("podman{number}"))
            .filter(|name| !others.iter().any(|other| other.interface == *name || other.name == *name));
        if !network.interface.is_empty() {
            check_interface(&network.interface)?;
            if is_bridge && others.iter().any(|other| other.is_bridge() && other.interface == network.interface) {
                return Err(Error::Refused(format!("bridge name {} already in use", network.interface)));
            }
        } else if is_bridge {
            network.interface = free.next().unwrap_or_default();
        }
        if network.name.is_empty() {
            network.name = if is_bridge { network.interface.clone() } else { free.next().unwrap_or_default() };
        }
        if network.has_addresses() {
            self.choose_subnets(&mut network, &others)?;
        } else if network.ipam.get("driver").is_some_and(|driver| driver == "none") {
            network.dns = false;
        }
        network.id = sys::random::id().map_err(Error::kernel("draw random bytes"))?;
        network.created = Some(Timestamp::now());
        record::write(&self.path(&network.name), &network, Durability::Durable)?;
        Ok(network)
    }

    fn choose_subnets(&self, network: &mut Network, others: &[Network]) -> Result<()> {
        let mut used: Vec<Cidr> =
            others.iter().flat_map(|other| other.subnets.iter().map(|subnet| subnet.subnet)).collect();
        used.extend(addresses::host_networks());
        for subnet in &mut network.subnets {
            if let Some(other) = used.iter().find(|other| other.overlaps(&subnet.subnet)) {
                tracing::debug!(%other, subnet = %subnet.subnet, "overlap");
                return Err(Error::Refused(format!(
                    "subnet {} is already used on the host or by another config",
                    subnet.subnet
                )));
            }
            used.push(subnet.subnet);
            check_subnet(subnet)?;
        }
        // A subnet of one's own, of either family, means that one alone, unless both are asked for.
        let v4 = network.is_bridge()
            && (network.subnets.is_empty()
                || network.ipv6 && !network.subnets.iter().any(|subnet| subnet.subnet.is_ipv4()));
        let v6 = network.ipv6 && network.subnets.iter().all(|subnet| subnet.subnet.is_ipv4());
        if v4 {
            let subnet = self.free_subnet(&used)?;
            network.subnets.push(Subnet { subnet, gateway: subnet.nth(1), range: None });
        }
        if v6 {
            let subnet = random_ipv6()?;
            network.subnets.push(Subnet { subnet, gateway: subnet.nth(1), range: None });
        }
        network.ipv6 |= network.subnets.iter().any(|subnet| !subnet.subnet.is_ipv4());
        Ok(())
    }

    fn free_subnet(&self, used: &[Cidr]) -> Result<Cidr> {
        for (base, size) in &self.pools {
            let step = 1_u128 << (32_u8.saturating_sub(*size));
            let subnets =
                (0..TRIES).map_while(|number| base.nth(number * step)).map(|first| Cidr::containing(first, *size));
            if let Some(free) = subnets.into_iter().find(|subnet| !used.iter().any(|other| other.overlaps(subnet))) {
                return Ok(free);
            }
        }
        Err(Error::Refused("could not find free subnet from subnet pools".into()))
    }

    /// Replaces what is known of a network.
    pub fn update(&self, network: &Network) -> Result<()> {
        let _lock = self.lock()?;
        self.named(&network.name)?;
        Ok(record::write(&self.path(&network.name), network, Durability::Durable)?)
    }

    /// Takes a network away. Whether a container is to be on it, the caller has looked.
    pub fn remove(&self, network: &Network) -> Result<()> {
        if network.name == self.usual.name {
            return Err(Error::Refused(format!("default network {} cannot be removed", network.name)));
        }
        let _lock = self.lock()?;
        match fs::remove_file(self.path(&network.name)) {
            Ok(()) => {
                // Lock files are all that is left in it.
                let _ = fs::remove_dir_all(self.run_dir(&network.name));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchNetwork(network.name.clone())),
            Err(error) => Err(Error::kernel(format!("remove {}", self.path(&network.name).display()))(error)),
        }
    }
}

/// The record at `path`, which says that it is of `name`.
fn read_as(name: &str, path: &Path) -> Result<Network> {
    let network: Network = record::read_optional(path)?.ok_or_else(|| Error::NoSuchNetwork(name.to_owned()))?;
    if network.name != name {
        return Err(Error::Refused(format!(
            "{} is the record of network {:?}: rename it",
            path.display(),
            network.name
        )));
    }
    Ok(network)
}

/// Fills in the gateway and checks that all lies where it should.
fn check_subnet(subnet: &mut Subnet) -> Result<()> {
    let network = subnet.subnet;
    match subnet.gateway {
        Some(gateway) if !network.contains(gateway) => {
            return Err(Error::Refused(format!("gateway {gateway} not in subnet {network}")));
        }
        Some(_) => {}
        None => subnet.gateway = network.nth(1).or_else(|| network.nth(0)),
    }
    if let Some(LeaseRange { first, last }) = subnet.range {
        for (what, address) in [("start", first), ("end", last)] {
            if !network.contains(address) {
                return Err(Error::Refused(format!("lease range {what} ip {address} not in subnet {network}")));
            }
        }
        if network.offset(first) > network.offset(last) {
            return Err(Error::Refused(format!("lease range start ip {first} is after its end ip {last}")));
        }
    }
    Ok(())
}

/// Podman's rule for names, which also makes one a file name.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && name.len() <= 200
}

/// The kernel's rule for names of interfaces: 15 bytes, no blank, no slash.
pub(crate) fn is_interface(name: &str) -> bool {
    check_interface(name).is_ok()
}

fn check_interface(name: &str) -> Result<()> {
    let why = match name {
        "" => "is empty",
        "." | ".." => "is . or ..",
        _ if name.len() > 15 => "is too long: interface names must be 15 characters or less",
        _ if name.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ':')) => {
            "contains / or : or whitespace characters"
        }
        // `%d` is the kernel's word for a number of its choice.
        _ if name.contains(|c: char| !c.is_ascii_graphic() || c == '%') => "contains % or no plain character",
        _ => return Ok(()),
    };
    Err(Error::Refused(format!("network interface name {name} invalid: interface name {why}: invalid argument")))
}

pub(crate) fn make_private_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::kernel(format!("create {}", dir.display())))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    sys::random::bytes().map_err(Error::kernel("draw random bytes"))
}

/// A unique local network, RFC 4193.
fn random_ipv6() -> Result<Cidr> {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&random::<8>()?);
    octets[0] = 0xfd;
    Ok(Cidr::containing(IpAddr::V6(Ipv6Addr::from(octets)), 64))
}
