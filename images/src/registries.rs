//! registries.conf, as far as skopeo does not read it for us: which registry a short name means.
//!
//! See containers-registries.conf(5). Mirrors, `insecure` and `blocked` are skopeo's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::places::Places;
use crate::reference::{HUB, LOCAL, Reference};

const SYSTEM: &str = "/etc/containers";

/// `short-name-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShortNameMode {
    /// Ask where several registries are possible.
    Enforcing,
    /// Ask on a terminal, else try one after the other.
    #[default]
    Permissive,
    /// Try one after the other.
    Disabled,
}

/// What all files together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// `unqualified-search-registries`; `None` where no file has the key.
    pub search: Option<Vec<String>>,
    /// The file that has it.
    pub search_from: Option<PathBuf>,
    pub mode: ShortNameMode,
    /// Short name to full name, and the file that says so. An empty name takes an alias back.
    pub aliases: BTreeMap<String, (String, PathBuf)>,
    /// `[[registry]]`, as far as somebody else than skopeo asks: by prefix, the later file wins.
    pub(crate) registries: BTreeMap<String, Registry>,
}

/// One `[[registry]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Registry {
    prefix: String,
    location: String,
    /// May be spoken to without TLS, or with a certificate nobody knows.
    pub(crate) insecure: bool,
    pub(crate) blocked: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<ShortNameMode>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    registries: Option<VersionOne>,
    #[serde(default)]
    registry: Vec<Registry>,
}

/// The format before 2019.
#[derive(Deserialize)]
struct VersionOne {
    search: Option<SearchList>,
}

#[derive(Deserialize)]
struct SearchList {
    registries: Vec<String>,
}

/// Which full names a short one may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// In the order to try.
    pub candidates: Vec<Reference>,
    /// What to tell the user; `None` where the name was a full one.
    pub note: Option<String>,
    /// Whether the first that answers may be taken. Otherwise somebody has to choose.
    pub may_try: bool,
}

impl Registries {
    /// Reads every file that counts, later ones over earlier ones.
    pub fn load(places: &Places) -> Result<Registries> {
        let mut registries = Registries::default();
        for path in files(places)? {
            match fs::read_to_string(&path) {
                Ok(text) => registries.merge(&text, &path)?,
                // One that was named must be there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && places.registries_conf.is_none() => {}
                Err(error) => return Err(Error::file(path)(error)),
            }
        }
        Ok(registries)
    }

    /// Lays one file over what is there.
    pub fn merge(&mut self, text: &str, path: &Path) -> Result<()> {
        let bad = |reason: String| Error::BadConfiguration { path: path.to_owned(), reason };
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            bad(format!("line {line}: {}", error.message()))
        })?;
        let old = file.registries.and_then(|old| old.search).map(|search| search.registries);
        if let Some(search) = file.unqualified_search_registries.or(old) {
            self.search = Some(search);
            self.search_from = Some(path.to_owned());
        }
        if let Some(mode) = file.short_name_mode {
            self.mode = mode;
        }
        for registry in file.registry {
            let key = if registry.prefix.is_empty() { &registry.location } else { &registry.prefix };
            self.registries.insert(key.clone(), registry);
        }
        for (short, full) in file.aliases {
            if short.contains(['@', ':']) {
                return Err(bad(format!("alias {short:?} must not have a tag or digest")));
            }
            self.aliases.insert(short, (full, path.to_owned()));
        }
        Ok(())
    }

    /// The full names to look for. Short names go through the aliases, then the search list; where nobody has
    /// configured one, to the hub.
    pub fn resolve(&self, name: &Reference) -> Result<Resolution> {
        if !name.is_short() {
            return Ok(Resolution { candidates: vec![name.complete()], note: None, may_try: true });
        }
        if let Some((full, path)) = self.aliases.get(name.path()).filter(|(full, _)| !full.is_empty()) {
            let full: Reference = full.parse()?;
            let full = Reference::assemble(&full, name);
            let note = format!("Resolved {:?} as an alias ({})", name.path(), path.display());
            return Ok(Resolution { candidates: vec![full.complete()], note: Some(note), may_try: true });
        }
        let (registries, note) = match (&self.search, &self.search_from) {
            (Some(search), from) => {
                let from = from.as_deref().unwrap_or(Path::new("registries.conf"));
                (
                    search.clone(),
                    format!("Resolving {:?} using unqualified-search registries ({})", name.path(), from.display()),
                )
            }
            (None, _) => (
                vec![HUB.to_owned()],
                format!("Resolving {:?} at {HUB}: no registries.conf names another", name.path()),
            ),
        };
        let candidates: Vec<Reference> =
            registries.iter().map(|registry| name.with_domain(registry).complete()).collect();
        let may_try = candidates.len() == 1 || self.mode != ShortNameMode::Enforcing;
        Ok(Resolution { candidates, note: Some(note), may_try })
    }

    /// Where a short name is looked for in the store, in this order.
    pub(crate) fn local_candidates(&self, name: &Reference) -> Result<Vec<Reference>> {
        let mut candidates = vec![name.with_domain(LOCAL).complete()];
        candidates.extend(self.resolve(name)?.candidates);
        candidates.push(name.with_domain(HUB).complete());
        Ok(candidates)
    }

    /// What is said of a registry itself, `host[:port]`.
    pub(crate) fn of_host(&self, host: &str) -> Registry {
        self.registries.get(host).cloned().unwrap_or_default()
    }

    /// What `login` takes where no registry is given: the first of the search list; nobody has configured one, the hub.
    pub fn first(&self) -> Option<&str> {
        match &self.search {
            Some(search) => search.first().map(String::as_str),
            None => Some(HUB),
        }
    }
}

/// One main file, the user's or the machine's, then the drop-ins of both in the order of their names, then the aliases
/// that were chosen at a prompt.
fn files(places: &Places) -> Result<Vec<PathBuf>> {
    if let Some(only) = &places.registries_conf {
        return Ok(vec![only.clone()]);
    }
    let user = places.home.as_ref().map(|home| home.join(".config/containers"));
    let main = user.iter().map(|dir| dir.join("registries.conf")).find(|path| path.exists());
    let mut files = vec![main.unwrap_or_else(|| Path::new(SYSTEM).join("registries.conf"))];
    for dir in [Some(PathBuf::from(SYSTEM)), user].into_iter().flatten() {
        let dir = dir.join("registries.conf.d");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::file(dir)(error)),
        };
        let mut drop_ins = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::file(&dir))?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                drop_ins.push(path);
            }
        }
        drop_ins.sort();
        files.extend(drop_ins);
    }
    files.extend(places.home.as_ref().map(|home| home.join(".cache/containers/short-name-aliases.conf")));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(text: &str) -> Registries {
        let mut registries = Registries::default();
        registries.merge(text, Path::new("/r.conf")).unwrap();
        registries
    }

    fn candidates(registries: &Registries, name: &str) -> Vec<String> {
        let resolution = registries.resolve(&name.parse().unwrap()).unwrap();
        resolution.candidates.iter().map(Reference::to_string).collect()
    }

    #[test]
    fn a_short_name_goes_through_alias_then_list_then_hub() {
        let two =
            registries("unqualified-search-registries = ['a.test', 'b.test:5000']\n[aliases]\nweb = 'c.test/x/web'");
        assert_eq!(candidates(&two, "web:1"), ["c.test/x/web:1"]);
        assert_eq!(candidates(&two, "db"), ["a.test/db:latest", "b.test:5000/db:latest"]);
        assert!(two.resolve(&"db".parse().unwrap()).unwrap().may_try);
        assert_eq!(candidates(&two, "a.test/db:2"), ["a.test/db:2"]);
        let enforcing =
            registries("unqualified-search-registries = ['a.test', 'b.test']\nshort-name-mode = 'enforcing'");
        assert!(!enforcing.resolve(&"db".parse().unwrap()).unwrap().may_try);
        assert_eq!(candidates(&Registries::default(), "db"), ["docker.io/library/db:latest"]);
        assert_eq!(candidates(&registries("unqualified-search-registries = []"), "db"), [""; 0]);
        let old = registries("[registries.search]\nregistries = ['old.test']");
        assert_eq!(candidates(&old, "db"), ["old.test/db:latest"]);
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        let mut all =
            registries("unqualified-search-registries = ['a.test']\n[aliases]\nx = 'a.test/x'\ny = 'a.test/y'");
        all.merge("short-name-mode = 'disabled'\n[aliases]\nx = 'b.test/x'\ny = ''", Path::new("/d.conf")).unwrap();
        assert_eq!(all.search.as_deref(), Some(["a.test".to_owned()].as_slice()));
        assert_eq!(candidates(&all, "x"), ["b.test/x:latest"]);
        assert_eq!(candidates(&all, "y"), ["a.test/y:latest"]);
        assert!(all.merge("nonsense", Path::new("/d.conf")).is_err());
    }
}
