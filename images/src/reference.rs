//! Names of images: what was typed, taken apart, and put into the one full form the store uses.
//!
//! The grammar is the one of the distribution specification. Nothing here opens a file or asks a registry; which
//! registry a short name means is decided in `registries`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use storage::Digest;

use crate::error::{Error, Result};

/// Where names without a registry go when nothing else is configured.
pub(crate) const HUB: &str = "docker.io";

/// The registry that is this machine: names made here and never pushed.
pub(crate) const LOCAL: &str = "localhost";

/// `[domain/]path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        parse(text).map_err(|reason| Error::InvalidReference { name: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> std::result::Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|_| "the part after @ is no digest")?)),
        None => (text, None),
    };
    // A colon before the last slash belongs to the port of the registry.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (domain, path) = match name.split_once('/') {
        Some((first, path)) if is_domain(first) => (Some(first), path),
        _ => (None, name),
    };
    if let Some(domain) = domain {
        check_domain(domain)?;
    }
    check_path(path)?;
    if domain.is_none() && path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    // The length of a path in the specification; with the tag it also keeps the name a valid file name.
    if name.len() > 255 || name.len() + tag.map_or(0, str::len) > 240 {
        return Err("it is too long");
    }
    let mut reference =
        Reference { domain: domain.map(str::to_owned), path: path.to_owned(), tag: tag.map(str::to_owned), digest };
    reference.expand_hub();
    Ok(reference)
}

/// Whether the first part of a name is a registry: `localhost`, or something no path component of the hub may hold.
fn is_domain(first: &str) -> bool {
    first == LOCAL || first.contains(['.', ':', '[']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_domain(domain: &str) -> std::result::Result<(), &'static str> {
    const BAD: &str = "the registry is no host[:port]";
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(BAD)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| BAD)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(BAD)?),
            };
            (None, port)
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(BAD);
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match host {
        Some(host) if !host.split('.').all(label) => Err(BAD),
        Some(_) | None => Ok(()),
    }
}

/// Why a path with large letters is none.
pub(crate) const UPPERCASE: &str = "repository name must be lowercase";
/// Why nothing is none.
pub(crate) const EMPTY: &str = "repository name must have at least one component";

fn check_path(path: &str) -> std::result::Result<(), &'static str> {
    if path.is_empty() {
        return Err(EMPTY);
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(UPPERCASE);
    }
    path.split('/').try_for_each(|component| match check_component(component.as_bytes()) {
        true => Ok(()),
        false => Err("a part of the name is not made of a-z, 0-9 and single separators . _ __ or -"),
    })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn check_component(mut rest: &[u8]) -> bool {
    let word =
        |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).count();
    loop {
        let length = word(rest);
        if length == 0 {
            return false;
        }
        rest = &rest[length..];
        let separator = match rest {
            [] => return true,
            [b'_', b'_', ..] => 2,
            [b'.' | b'_', ..] => 1,
            [b'-', ..] => rest.iter().take_while(|byte| **byte == b'-').count(),
            _ => return false,
        };
        rest = &rest[separator..];
    }
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn check_tag(tag: &str) -> std::result::Result<(), &'static str> {
    let fine = tag.len() <= 128
        && tag
            .bytes()
            .enumerate()
            .all(|(at, byte)| byte.is_ascii_alphanumeric() || byte == b'_' || (at > 0 && matches!(byte, b'.' | b'-')));
    match fine && !tag.is_empty() {
        true => Ok(()),
        false => Err("the tag is not made of at most 128 letters, digits, _ . and -"),
    }
}

impl Reference {
    /// The registry, `host[:port]`; `None` for a short name.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// What stands after the registry, without tag and digest.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether it leaves the registry open.
    pub fn is_short(&self) -> bool {
        self.domain.is_none()
    }

    /// Whether it can only be here: `localhost` without a port is where names without a registry live.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.domain(), None | Some(LOCAL))
    }

    /// The repository, `domain/path` or just `path`.
    pub fn repository(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{domain}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The same in another registry; only for names that have none yet.
    pub fn with_domain(&self, domain: &str) -> Reference {
        let mut reference = Reference { domain: Some(domain.to_owned()), ..self.clone() };
        reference.expand_hub();
        reference
    }

    /// The repository of one with the tag and digest of the other: what an alias makes of a short name.
    pub(crate) fn assemble(repository: &Reference, version: &Reference) -> Reference {
        Reference { domain: repository.domain.clone(), path: repository.path.clone(), ..version.clone() }
    }

    /// The same repository with this tag and without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        check_tag(tag).map_err(|reason| Error::InvalidReference { name: format!("{self}:{tag}"), reason })?;
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository by content.
    pub fn with_digest(&self, digest: &Digest) -> Reference {
        Reference { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// As the store names it: a tag `latest` where there is neither tag nor digest, no tag beside a digest.
    pub fn complete(&self) -> Reference {
        let mut reference = self.clone();
        match (&reference.tag, &reference.digest) {
            (None, None) => reference.tag = Some("latest".to_owned()),
            (Some(_), Some(_)) => reference.tag = None,
            (Some(_), None) | (None, Some(_)) => {}
        }
        reference
    }

    /// For names given to something made here: `localhost/` where no registry is named.
    pub fn local(&self) -> Reference {
        match self.domain {
            Some(_) => self.complete(),
            None => self.with_domain(LOCAL).complete(),
        }
    }

    /// As short as Docker writes it: without the hub and its `library/`.
    pub fn familiar(&self) -> String {
        match self.domain() {
            Some(HUB) => {
                let path = self.path.strip_prefix("library/").unwrap_or(&self.path);
                Reference { domain: None, path: path.to_owned(), ..self.clone() }.to_string()
            }
            Some(_) | None => self.to_string(),
        }
    }

    /// The hub has two names, and its one-word repositories live in `library/`.
    fn expand_hub(&mut self) {
        if self.domain.as_deref() == Some("index.docker.io") {
            self.domain = Some(HUB.to_owned());
        }
        if self.domain.as_deref() == Some(HUB) && !self.path.contains('/') {
            self.path = format!("library/{}", self.path);
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = &self.domain {
            write!(f, "{domain}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The kinds of places an image can be read from or written to, see containers-transports(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Docker,
    Oci,
    OciArchive,
    DockerArchive,
    Dir,
    ContainersStorage,
}

impl Transport {
    /// The word before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Docker => "docker",
            Transport::Oci => "oci",
            Transport::OciArchive => "oci-archive",
            Transport::DockerArchive => "docker-archive",
            Transport::Dir => "dir",
            Transport::ContainersStorage => "containers-storage",
        }
    }
}

/// A place outside of the store: a name in a registry, or a file or directory with a transport before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Registry(Reference),
    /// In Podman's own store of this user.
    Storage(String),
    /// A file or directory; `reference` picks one of several images in it.
    Path {
        transport: Transport,
        path: PathBuf,
        reference: Option<String>,
    },
}

impl FromStr for Source {
    type Err = Error;

    /// Anything that does not begin with a transport is a name for a registry.
    fn from_str(text: &str) -> Result<Source> {
        let at_path = |transport: Transport, rest: &str| {
            let (path, reference) = match (transport, rest.split_once(':')) {
                (Transport::Dir, _) | (_, None) => (rest, None),
                (_, Some((path, reference))) => (path, (!reference.is_empty()).then(|| reference.to_owned())),
            };
            match path {
                "" => Err(Error::InvalidReference { name: text.to_owned(), reason: "the path is missing" }),
                path => Ok(Source::Path { transport, path: path.into(), reference }),
            }
        };
        match text.split_once(':') {
            Some(("docker", rest)) if rest.starts_with("//") => Ok(Source::Registry(rest[2..].parse()?)),
            Some(("oci", rest)) => at_path(Transport::Oci, rest),
            Some(("oci-archive", rest)) => at_path(Transport::OciArchive, rest),
            Some(("docker-archive", rest)) => at_path(Transport::DockerArchive, rest),
            Some(("dir", rest)) => at_path(Transport::Dir, rest),
            Some(("containers-storage", rest)) => Ok(Source::Storage(rest.to_owned())),
            Some((transport @ ("docker-daemon" | "ostree" | "sif" | "tarball" | "atomic"), _)) => {
                Err(Error::Unsupported {
                    what: format!("the transport {transport}"),
                    reason: "use docker, oci, oci-archive, docker-archive, dir or containers-storage".to_owned(),
                })
            }
            Some(_) | None => Ok(Source::Registry(text.parse()?)),
        }
    }
}

impl Source {
    pub fn transport(&self) -> Transport {
        match self {
            Source::Registry(_) => Transport::Docker,
            Source::Storage(_) => Transport::ContainersStorage,
            Source::Path { transport, .. } => *transport,
        }
    }
}

/// As skopeo takes it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Registry(reference) => write!(f, "docker://{reference}"),
            Source::Storage(rest) => write!(f, "containers-storage:{rest}"),
            Source::Path { transport, path, reference } => {
                write!(f, "{}:{}", transport.name(), path.display())?;
                match reference {
                    Some(reference) => write!(f, ":{reference}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Reference {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn names_are_taken_apart() {
        let cases = [
            ("web", None, "web", None),
            ("web:1.2", None, "web", Some("1.2")),
            ("a/b/c", None, "a/b/c", None),
            ("localhost/web", Some("localhost"), "web", None),
            ("localhost:5000/web:x", Some("localhost:5000"), "web", Some("x")),
            ("reg.test/a/b:t", Some("reg.test"), "a/b", Some("t")),
            ("[::1]:5000/a", Some("[::1]:5000"), "a", None),
            ("Upper/a", Some("Upper"), "a", None),
            ("docker.io/web", Some("docker.io"), "library/web", None),
            ("index.docker.io/a/web", Some("docker.io"), "a/web", None),
            ("a__b/c-d/e---f:_x", None, "a__b/c-d/e---f", Some("_x")),
            ("10.0.0.1/x", Some("10.0.0.1"), "x", None),
        ];
        for (text, domain, path, tag) in cases {
            let reference = parse(text);
            assert_eq!((reference.domain(), reference.path(), reference.tag()), (domain, path, tag), "{text}");
        }
        let both = parse(&format!("reg.test/a:1@{DIGEST}"));
        assert_eq!((both.tag(), both.digest().map(Digest::to_string).as_deref()), (Some("1"), Some(DIGEST)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(300);
        let id = "a".repeat(64);
        let bad = [
            "",
            ":",
            "/",
            "a:",
            ":a",
            "a/",
            "/a",
            "a//b",
            "A",
            "a/B",
            "reg.test/",
            "a_-b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "a b",
            "a:b c",
            "a@sha256:12",
            "a@",
            "reg.test:port/a",
            "reg.test:/a",
            "-x.test/a",
            "[::g]/a",
            "a:-x",
            "ä",
            &long,
            &id,
            "docker.io",
            "a:b:c",
        ];
        for text in bad {
            // A registry's name alone is the name of a repository.
            if text != "docker.io" {
                assert!(text.parse::<Reference>().is_err(), "{text}");
            }
        }
    }

    #[test]
    fn forms_of_one_name() {
        assert_eq!(parse("web").complete().to_string(), "web:latest");
        assert_eq!(parse("web").local().to_string(), "localhost/web:latest");
        assert_eq!(parse("reg.test/web:1").local().to_string(), "reg.test/web:1");
        assert_eq!(parse(&format!("a:1@{DIGEST}")).complete().to_string(), format!("a@{DIGEST}"));
        assert_eq!(parse("docker.io/web:1").familiar(), "web:1");
        assert_eq!(parse("docker.io/me/web").familiar(), "me/web");
        assert_eq!(parse("reg.test/web").familiar(), "reg.test/web");
        assert_eq!(parse("web").with_domain(HUB).repository(), "docker.io/library/web");
        assert!(parse("web").with_tag("no tag").is_err());
    }

    #[test]
    fn sources_have_transports() {
        let path = |transport, path: &str, reference: Option<&str>| Source::Path {
            transport,
            path: path.into(),
            reference: reference.map(str::to_owned),
        };
        let cases = [
            ("oci:/a/b:tag", path(Transport::Oci, "/a/b", Some("tag"))),
            ("oci:/a/b", path(Transport::Oci, "/a/b", None)),
            ("dir:/a:b", path(Transport::Dir, "/a:b", None)),
            ("docker-archive:/a.tar:reg.test/x:1", path(Transport::DockerArchive, "/a.tar", Some("reg.test/x:1"))),
            ("docker-archive:/a.tar:@1", path(Transport::DockerArchive, "/a.tar", Some("@1"))),
            ("oci-archive:rel.tar", path(Transport::OciArchive, "rel.tar", None)),
            ("containers-storage:x", Source::Storage("x".to_owned())),
            ("docker://reg.test/x", Source::Registry(parse("reg.test/x"))),
            ("docker:1", Source::Registry(parse("docker:1"))),
            ("reg.test:5000/x", Source::Registry(parse("reg.test:5000/x"))),
        ];
        for (text, source) in cases {
            assert_eq!(text.parse::<Source>().unwrap(), source, "{text}");
        }
        for bad in ["oci:", "docker-daemon:x", "docker://", "dir:"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    /// Numbers that look random and are the same in every run (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    #[test]
    fn every_name_that_parses_survives_being_written_and_stored() {
        let pieces = [
            "a",
            "b9",
            "Z",
            ".",
            "_",
            "__",
            "-",
            "--",
            "/",
            ":",
            "@",
            "localhost",
            "docker.io",
            "index.docker.io",
            "library",
            "reg.test:5000",
            "[::1]",
            "latest",
            "sha256:",
            DIGEST,
            "%",
            " ",
            "é",
            "oci:",
            "docker://",
            "0",
        ];
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let mut parsed = 0;
        for _ in 0..40_000 {
            let text: String = (0..1 + numbers.below(9)).map(|_| pieces[numbers.below(pieces.len())]).collect();
            check(&text);
            parsed += usize::from(text.parse::<Reference>().is_ok());
        }
        assert!(parsed > 500, "the generator makes too few names: {parsed}");
    }

    fn check(text: &str) {
        if let Ok(source) = text.parse::<Source>() {
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source, "{text}");
        }
        let Ok(reference) = text.parse::<Reference>() else { return };
        assert_eq!(parse(&reference.to_string()), reference, "{text}");
        for form in [reference.complete(), reference.local(), reference.with_domain(HUB).complete()] {
            assert_eq!(form.complete(), form, "{text}");
            assert_eq!(parse(&form.to_string()), form, "{text}");
            assert!(form.tag().is_some() != form.digest().is_some(), "{text}");
            let name = form.to_string();
            if let Ok(file) = storage::names::encode(&name) {
                assert!(!file.contains('/') && file != "." && file != "..", "{text}");
                assert_eq!(storage::names::decode(&file), Some(name), "{text}");
            }
        }
    }
}
