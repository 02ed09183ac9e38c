//! Which image of a list fits a machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::archive::Descriptor;
use crate::error::{Error, Result};

/// `--os`, `--arch`, `--variant` or `--platform OS/ARCH[/VARIANT]`; what is `None` is that of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub os: Option<String>,
    pub architecture: Option<String>,
    pub variant: Option<String>,
}

impl Platform {
    pub fn os(&self) -> &str {
        self.os.as_deref().unwrap_or("linux")
    }

    /// As Go writes it.
    pub fn architecture(&self) -> &str {
        self.architecture.as_deref().map_or(host_architecture(), normalized)
    }

    /// Whether programs for it run on this machine without an emulator.
    pub fn is_native(&self) -> bool {
        self.os() == "linux" && self.architecture() == host_architecture()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os(), self.architecture())?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `OS[/ARCH[/VARIANT]]`.
    fn from_str(text: &str) -> Result<Platform> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let platform = Platform { os: parts.next(), architecture: parts.next(), variant: parts.next() };
        match text.split('/').any(str::is_empty) || text.split('/').count() > 3 {
            true => Err(Error::InvalidValue {
                what: "platform",
                value: text.to_owned(),
                reason: "use OS/ARCH[/VARIANT]".to_owned(),
            }),
            false => Ok(platform),
        }
    }
}

/// Go's word for the processor of this machine.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// The words people use for a processor, as Go writes them.
pub(crate) fn normalized(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armhf" | "armv7l" => "arm",
        other => other,
    }
}

/// `OS/ARCH[/VARIANT]`.
pub(crate) fn describe(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| Platform::default().to_string(), Platform::to_string)
}

fn wanted(platform: Option<&Platform>) -> (&str, &str, Option<&str>) {
    match platform {
        Some(platform) => (platform.os(), platform.architecture(), platform.variant.as_deref()),
        None => ("linux", host_architecture(), None),
    }
}

/// Whether an image with these words in its configuration is what was asked for.
pub(crate) fn fits(platform: Option<&Platform>, os: &str, architecture: &str, variant: &str) -> bool {
    let (wanted_os, wanted_architecture, wanted_variant) = wanted(platform);
    // An image that says nothing runs anywhere, e.g. one of data.
    let fits = |wanted: &str, is: &str| is.is_empty() || wanted == is;
    fits(wanted_os, os)
        && fits(wanted_architecture, architecture)
        && wanted_variant.is_none_or(|wanted| fits(wanted, variant))
}

/// The best of the list: the variant asked for, else the one without a variant, else the highest.
pub(crate) fn choose<'a>(list: &'a [Descriptor], platform: Option<&Platform>) -> Option<&'a Descriptor> {
    if let [only] = list
        && only.platform.is_none()
    {
        return Some(only);
    }
    let (os, architecture, variant) = wanted(platform);
    fn rank<'a>(wanted: Option<&str>, is: Option<&'a str>) -> Option<(u8, &'a str)> {
        match (wanted, is) {
            (Some(wanted), Some(is)) if wanted == is => Some((2, "")),
            (Some(_), _) => None,
            (None, None | Some("")) => Some((1, "")),
            (None, Some(is)) => Some((0, is)),
        }
    }
    list.iter()
        .filter_map(|descriptor| {
            let is = descriptor.platform.as_ref()?;
            (is.os == os && is.architecture == architecture).then_some(())?;
            Some((rank(variant, is.variant.as_deref())?, descriptor))
        })
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, descriptor)| descriptor)
}
