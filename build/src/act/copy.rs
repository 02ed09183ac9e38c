//! COPY and ADD: which files go where, what they are told apart by, and how they get there.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use containers::{Endpoint, Entry, EntryKind};
use storage::{Algorithm, Hasher};

use crate::error::{Error, Result};
use crate::pattern::{self, Ignore};

/// Where files are copied from.
pub(super) struct Tree<'a> {
    pub(super) files: &'a Endpoint,
    pub(super) ignore: &'a Ignore,
    /// Files of a stage or an image keep their owners, those of a context become root's.
    pub(super) keeps_owners: bool,
}

/// What the flags say about every file.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<Chmod>,
    pub(super) exclude: Ignore,
}

/// `--chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chmod {
    Octal(u32),
    /// Clauses as chmod(1) has them, in order.
    Symbolic(Vec<Clause>),
}

/// `ug+rx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// Bits of those whom it is about: 0o700, 0o070 and 0o007.
    who: u32,
    operator: char,
    bits: u32,
    /// `X`: execution only where somebody may execute already, or for a directory.
    execute_if: bool,
}

impl std::str::FromStr for Chmod {
    type Err = String;

    fn from_str(text: &str) -> Result<Chmod, String> {
        let bad = || format!("--chmod {text}: use octal digits, as 755, or clauses, as u+x,go-w");
        if text.starts_with(|letter: char| letter.is_ascii_digit()) {
            return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).map(Chmod::Octal).ok_or_else(bad);
        }
        let clause = |text: &str| {
            let at = text.find(['+', '-', '='])?;
            let mut who = 0;
            for letter in text[..at].chars() {
                who |= match letter {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o1007,
                    'a' => 0o7777,
                    _ => return None,
                };
            }
            let (mut bits, mut execute_if) = (0, false);
            for letter in text[at + 1..].chars() {
                bits |= match letter {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    'X' => {
                        execute_if = true;
                        0
                    }
                    _ => return None,
                };
            }
            let operator = text[at..].chars().next()?;
            Some(Clause { who: if who == 0 { 0o7777 } else { who }, operator, bits, execute_if })
        };
        text.split(',').map(clause).collect::<Option<Vec<_>>>().map(Chmod::Symbolic).ok_or_else(bad)
    }
}

impl Chmod {
    fn apply(&self, old: u32, is_directory: bool) -> u32 {
        match self {
            Chmod::Octal(mode) => *mode,
            Chmod::Symbolic(clauses) => clauses.iter().fold(old, |mode, clause| {
                let execute = clause.execute_if && (is_directory || mode & 0o111 != 0);
                let bits = (clause.bits | if execute { 0o111 } else { 0 }) & clause.who;
                match clause.operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => mode & !(clause.who & 0o777) | bits,
                }
            }),
        }
    }
}

/// One file on its way.
pub(super) struct Item {
    /// In the tree; `None` where `content` is all there is.
    from: Option<PathBuf>,
    content: Vec<u8>,
    /// Absolute in the image.
    pub(super) to: PathBuf,
    entry: Entry,
}

/// One file or directory that a source means.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// How many of the directories before it `--parents` leaves out: those before `/./`.
    skipped: usize,
}

/// Sources as typed, found in a tree. With patterns several; one without a file is an error.
pub(super) fn find(tree: &Tree<'_>, sources: &[String]) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    for source in sources {
        let names = pattern::names(Path::new(source));
        let mut paths = vec![PathBuf::from("/")];
        for name in &names {
            let mut next = Vec::new();
            for path in paths {
                match pattern::is_pattern(name) {
                    false => next.push(path.join(name)),
                    true => {
                        let is_directory = tree
                            .files
                            .followed(&path)
                            .ok()
                            .flatten()
                            .is_some_and(|entry| entry.kind == EntryKind::Directory);
                        let entries = if is_directory {
                            tree.files.entries(&path).map_err(|error| error.to_string())?
                        } else {
                            Vec::new()
                        };
                        let fits = |entry: &Entry| pattern::fits(name, &entry.name.to_string_lossy());
                        next.extend(entries.iter().filter(|entry| fits(entry)).map(|entry| path.join(&entry.name)));
                    }
                }
            }
            paths = next;
        }
        let mut wanted = Vec::new();
        for path in paths {
            let found = tree.files.followed(&path).map_err(|error| error.to_string())?;
            // Something below a directory that is left out may be wanted.
            let may_bring = |entry: &Entry| entry.kind == EntryKind::Directory && tree.ignore.may_bring_back();
            if found.is_some_and(|entry| !tree.ignore.leaves_out(relative(&path)) || may_bring(&entry)) {
                wanted.push(path);
            }
        }
        if wanted.is_empty() {
            let left_out = tree.ignore.leaves_out(Path::new(source));
            return Err(match left_out {
                true => format!("{source}: the ignore file leaves it out"),
                false => format!("{source}: no such file or directory in what is copied from"),
            });
        }
        let skipped = source.find("/./").map_or(0, |at| pattern::names(Path::new(&source[..at])).len());
        found.extend(wanted.into_iter().map(|path| Found { path, skipped }));
    }
    Ok(found)
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// What the destination is before anything is copied.
pub(super) struct Destination {
    /// Absolute.
    pub(super) path: PathBuf,
    /// It is a directory, or is meant to become one.
    pub(super) is_directory: bool,
}

impl Destination {
    pub(super) fn new(image: &Endpoint, typed: &str, workdir: &str, sources: usize) -> Result<Destination, String> {
        let joined = Path::new("/").join(workdir).join(typed);
        let path = Path::new("/").join(pattern::names(&joined).iter().collect::<PathBuf>());
        let found = image.followed(&path).map_err(|error| error.to_string())?;
        let is_directory = found.as_ref().is_some_and(|entry| entry.kind == EntryKind::Directory);
        let wants =
            typed.ends_with('/') || typed == "." || typed == ".." || typed.ends_with("/.") || path == Path::new("/");
        if found.is_some() && !is_directory && (wants || sources > 1) {
            return Err(format!("{typed} is a file in the image and cannot hold others"));
        }
        Ok(Destination { path, is_directory: is_directory || wants || sources > 1 })
    }
}

/// Everything that these sources bring, parents before what is in them.
pub(super) fn collect(
    tree: &Tree<'_>,
    sources: &[Found],
    to: &Destination,
    attributes: &Attributes,
    keeps_parents: bool,
) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for Found { path: source, skipped } in sources {
        let Some(top) = tree.files.followed(source)? else { continue };
        let name = source.file_name().map(PathBuf::from).unwrap_or_default();
        let mut place = to.path.clone();
        if keeps_parents {
            place.extend(source.parent().into_iter().flat_map(|parent| relative(parent).components().skip(*skipped)));
        }
        if top.kind == EntryKind::Directory {
            if keeps_parents {
                place.push(&name);
            }
            let mut walk = Walk { tree, attributes, top: source, items: &mut items };
            walk.directory(source, &place, 0)?;
        } else if !attributes.exclude.leaves_out(&name) && !tree.ignore.leaves_out(relative(source)) {
            if to.is_directory || keeps_parents {
                place.push(&name);
            }
            let mut walk = Walk { tree, attributes, top: source, items: &mut items };
            walk.take(source, place, top);
        }
    }
    Ok(items)
}

/// One file that is in no tree.
pub(super) fn written(content: Vec<u8>, name: &str, mode: u32, to: &Destination, attributes: &Attributes) -> Item {
    let path = if to.is_directory { to.path.join(name) } else { to.path.clone() };
    let (uid, gid) = attributes.owner.unwrap_or_default();
    let mode = attributes.mode.as_ref().map_or(mode, |chmod| chmod.apply(mode, false));
    let size = content.len() as u64;
    let entry = Entry { name: name.into(), kind: EntryKind::File, mode, uid, gid, size, modified: 0 };
    Item { from: None, content, to: path, entry }
}

struct Walk<'a, 'b> {
    tree: &'a Tree<'b>,
    attributes: &'a Attributes,
    /// The source that was named: patterns of `--exclude` begin there.
    top: &'a Path,
    items: &'a mut Vec<Item>,
}

impl Walk<'_, '_> {
    /// What is in a directory. False where nothing of it was wanted.
    fn directory(&mut self, from: &Path, to: &Path, depth: usize) -> Result<bool> {
        if depth > 512 {
            let source = io::Error::other("directories are nested too deep");
            return Err(Error::Io { path: from.to_owned(), source });
        }
        let before = self.items.len();
        for entry in self.tree.files.entries(from)? {
            let path = from.join(&entry.name);
            let below = path.strip_prefix(self.top).unwrap_or(&path);
            if self.attributes.exclude.leaves_out(below) {
                continue;
            }
            let left_out = self.tree.ignore.leaves_out(relative(&path));
            let target = to.join(&entry.name);
            if entry.kind != EntryKind::Directory {
                if !left_out {
                    self.take(&path, target, entry);
                }
                continue;
            }
            if left_out && !self.tree.ignore.may_bring_back() {
                continue;
            }
            let at = self.items.len();
            self.take(&path, target.clone(), entry);
            let brought = self.directory(&path, &target, depth + 1)?;
            if left_out && !brought {
                self.items.truncate(at);
            }
        }
        Ok(self.items.len() > before)
    }

    fn take(&mut self, from: &Path, to: PathBuf, mut entry: Entry) {
        if entry.kind == EntryKind::Special && !self.tree.keeps_owners {
            // Sockets and pipes of the host are nobody's content.
            return;
        }
        if !self.tree.keeps_owners {
            (entry.uid, entry.gid) = (0, 0);
        }
        if let Some(owner) = self.attributes.owner {
            (entry.uid, entry.gid) = owner;
        }
        if let Some(chmod) = &self.attributes.mode
            && !matches!(entry.kind, EntryKind::Symlink(_))
        {
            entry.mode = chmod.apply(entry.mode, entry.kind == EntryKind::Directory);
        }
        self.items.push(Item { from: Some(from.to_owned()), content: Vec::new(), to, entry });
    }
}

impl Item {
    fn open(&self, files: &Endpoint) -> Result<Box<dyn Read>> {
        match &self.from {
            None => Ok(Box::new(io::Cursor::new(self.content.clone()))),
            Some(path) => Ok(Box::new(files.open_file(path)?)),
        }
    }
}

/// What tells these files from others: names, kinds, modes, owners and content; no times.
pub(super) fn digest(files: &Endpoint, items: &[Item]) -> Result<String> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 1 << 16];
    for item in items {
        let Entry { kind, mode, uid, gid, size, .. } = &item.entry;
        let size = if *kind == EntryKind::File { *size } else { 0 };
        let facts = format!("{}\0{kind:?}\0{mode:o}\0{uid}\0{gid}\0{size}\0", item.to.display());
        hasher.update(facts.as_bytes());
        if *kind == EntryKind::File {
            let mut content = item.open(files)?;
            loop {
                let count = content.read(&mut buffer).map_err(Error::io(&item.to))?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
            }
        }
    }
    Ok(hasher.finish().hex().to_owned())
}

/// Writes the files into the image that is made. Directories that are there keep what they are.
pub(super) fn carry(files: &Endpoint, items: &[Item], image: &Endpoint, owner: (u32, u32)) -> Result<()> {
    let mut made: Option<&Path> = None;
    let mut directories = Vec::new();
    for item in items {
        // Missing directories above belong to whom the files are given.
        let parent = item.to.parent().unwrap_or(Path::new("/"));
        if made != Some(parent) {
            image.make_directory(parent, owner)?;
            made = Some(parent);
        }
        let refused = |why: &str| Error::Invalid(format!("{}: {why}", item.to.display()));
        let is_directory = item.entry.kind == EntryKind::Directory;
        match image.entry(&item.to)?.map(|there| there.kind) {
            Some(EntryKind::Directory) if is_directory => continue,
            Some(EntryKind::Directory) => return Err(refused("a file cannot replace a directory of the image")),
            Some(EntryKind::File | EntryKind::Special) if is_directory => {
                return Err(refused("a directory cannot replace a file of the image"));
            }
            _ => {}
        }
        match &item.entry.kind {
            EntryKind::File => image.put(&item.to, &item.entry, &mut *item.open(files)?)?,
            EntryKind::Special => return Err(refused("devices and pipes are not copied")),
            EntryKind::Directory | EntryKind::Symlink(_) => image.put(&item.to, &item.entry, &mut io::empty())?,
        }
        if is_directory {
            directories.push(item);
        }
    }
    // Last, when nothing more is written into them.
    for item in directories.into_iter().rev() {
        image.set_modified(&item.to, item.entry.modified)?;
    }
    Ok(())
}

/// Whether a file is an archive that ADD unpacks: what it begins with decides, not its name.
pub(super) fn is_archive(files: &Endpoint, path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    files.open_file(path)?.take(1024).read_to_end(&mut start).map_err(Error::io(path))?;
    Ok(begins_like_an_archive(&start))
}

pub fn begins_like_an_archive(start: &[u8]) -> bool {
    const PACKED: [&[u8]; 4] =
        [&[0x1f, 0x8b, 0x08], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z', 0], &[0x28, 0xb5, 0x2f, 0xfd]];
    PACKED.iter().any(|magic| start.starts_with(magic)) || start.get(257..262) == Some(b"ustar".as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_does() {
        for (text, old, is_directory, expected) in [
            ("755", 0o600, false, 0o755),
            ("0644", 0o600, false, 0o644),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-r,u=rwx", 0o644, false, 0o700),
            ("a=rX", 0o600, true, 0o555),
            ("a=rX", 0o600, false, 0o444),
            ("u+s,o+t", 0o755, false, 0o5755),
        ] {
            let chmod: Chmod = text.parse().unwrap();
            assert_eq!(chmod.apply(old, is_directory), expected, "{text} on {old:o}");
        }
        for text in ["", "8", "99999", "z+x", "u", "u+q"] {
            assert!(text.parse::<Chmod>().is_err(), "{text}");
        }
    }

    #[test]
    fn archives_are_known_by_how_they_begin() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(begins_like_an_archive(&tar) && begins_like_an_archive(&[0x1f, 0x8b, 8, 0]));
        assert!(!begins_like_an_archive(b"PK\x03\x04") && !begins_like_an_archive(b""));
    }
}
