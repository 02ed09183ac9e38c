//! `[Install]`: services that are generated cannot be enabled with systemctl, so the generator makes the links.

use super::kind::template;
use crate::error::Result;
use crate::file::UnitFile;

/// A symbolic link, beneath the directory of the services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub path: String,
    /// Relative to the link.
    pub target: String,
}

/// What `[Install]` of this service asks for. A template is not linked where it names no `DefaultInstance=`, and a name that
/// would lead out of the directory is passed over, as by `systemctl enable`.
pub fn links(service: &str, unit: &UnitFile) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for alias in unit.words("Install", "Alias")? {
        if alias != service && !alias.starts_with('/') && alias.split('/').all(|part| !matches!(part, "" | "." | ".."))
        {
            let up = "../".repeat(alias.matches('/').count());
            links.push(Link { path: alias, target: format!("{up}{service}") });
        }
    }
    let stem = service.strip_suffix(".service").unwrap_or(service);
    let linked = match template(stem) {
        Some((base, None)) => {
            unit.text("Install", "DefaultInstance").map(|instance| format!("{base}@{instance}.service"))
        }
        _ => Some(service.to_owned()),
    };
    let Some(linked) = linked else { return Ok(links) };
    for (key, directory) in [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")] {
        for target in unit.words("Install", key)? {
            if !target.is_empty() && !target.contains('/') {
                links.push(Link { path: format!("{target}.{directory}/{linked}"), target: format!("../{service}") });
            }
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str, install: &str) -> Vec<String> {
        let unit = UnitFile::parse("/q", &format!("[Install]\n{install}\n")).expect("a unit file");
        links(service, &unit)
            .expect("links")
            .into_iter()
            .map(|link| format!("{} -> {}", link.path, link.target))
            .collect()
    }

    #[test]
    fn install_becomes_links() {
        assert_eq!(
            of(
                "a.service",
                "WantedBy=x.target y.target\nRequiredBy=r.target\nUpheldBy=u.target\nAlias=b.service d/c.service"
            ),
            [
                "b.service -> a.service",
                "d/c.service -> ../a.service",
                "x.target.wants/a.service -> ../a.service",
                "y.target.wants/a.service -> ../a.service",
                "r.target.requires/a.service -> ../a.service",
                "u.target.upholds/a.service -> ../a.service",
            ]
        );
        assert_eq!(of("a.service", "Alias=/abs ../esc a.service x/../y\nWantedBy=a/b"), [""; 0]);
    }

    #[test]
    fn a_template_needs_an_instance() {
        assert_eq!(of("t@.service", "WantedBy=x.target"), [""; 0]);
        assert_eq!(
            of("t@.service", "WantedBy=x.target\nDefaultInstance=1"),
            ["x.target.wants/t@1.service -> ../t@.service"]
        );
        assert_eq!(of("t@i.service", "WantedBy=x.target"), ["x.target.wants/t@i.service -> ../t@i.service"]);
    }
}
