//! When to ask the registry.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `--pull` of run, create and build, `--policy` of pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Every time, and fail where the registry cannot be reached.
    Always,
    /// Only when there is no such image here.
    #[default]
    Missing,
    /// When the registry has another one; what is here serves where it cannot be reached.
    Newer,
    Never,
}

impl FromStr for PullPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<PullPolicy> {
        match text.to_ascii_lowercase().as_str() {
            "always" | "true" => Ok(PullPolicy::Always),
            "missing" | "ifnotpresent" | "" => Ok(PullPolicy::Missing),
            "newer" | "ifnewer" => Ok(PullPolicy::Newer),
            "never" | "false" => Ok(PullPolicy::Never),
            _ => Err(Error::InvalidValue {
                what: "pull policy",
                value: text.to_owned(),
                reason: "use always, missing, newer or never".to_owned(),
            }),
        }
    }
}

impl PullPolicy {
    pub fn name(self) -> &'static str {
        match self {
            PullPolicy::Always => "always",
            PullPolicy::Missing => "missing",
            PullPolicy::Newer => "newer",
            PullPolicy::Never => "never",
        }
    }
}
