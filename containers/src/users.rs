//! Who a container's program runs as: `user[:group]` looked up in the container's own passwd and group files.
//!
//! The files are the image's: every path is resolved beneath a directory descriptor, and what is odd is no user.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use images::Image;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sys::passwd::{self, Group, User};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, PasswdMode, Source, UserNamespace};

/// Larger files are not read: an image does not get to fill our memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// user_namespaces(7): ids above are refused, as Podman does.
const MAX_ID: u32 = i32::MAX as u32;

/// A user as the kernel and the environment need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// As in passwd(5), or the number.
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups; the primary one is the first of them.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
    /// Whether passwd(5) has it.
    pub(crate) known: bool,
}

impl Account {
    #[cfg(test)]
    pub(crate) fn root() -> Account {
        Account { name: "root".into(), uid: 0, gid: 0, groups: Vec::new(), home: "/root".into(), known: true }
    }
}

/// What a container's account files say.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountFiles {
    pub(crate) passwd: String,
    pub(crate) group: String,
}

/// The user a container starts as.
pub(crate) fn account(engine: &Engine, container: &Container) -> Result<Account> {
    account_in(engine, container, &stored_files(engine, container)?, None)
}

/// The same with these account files, and for an exec another user: that one gets no groups but its own.
pub(crate) fn account_in(
    engine: &Engine,
    container: &Container,
    files: &AccountFiles,
    other: Option<&str>,
) -> Result<Account> {
    let mut files = files.clone();
    add_host_users(&mut files.passwd, container.spec())?;
    let files = &files;
    let added = &container.spec().group_add;
    let mut account = match other {
        Some(user) => lookup(files, user, &[])?,
        None => lookup(files, &wanted_user(engine, container), added)?,
    };
    if engine.settings.single_id {
        // With one id only, setgroups(2) is forbidden (user_namespaces(7)).
        account.groups.clear();
    }
    Ok(account)
}

/// The text of `--user`, else what `--userns=keep-id` implies, else the image's.
pub(crate) fn wanted_user(engine: &Engine, container: &Container) -> String {
    let spec = container.spec();
    if let Some(user) = &spec.user {
        return user.clone();
    }
    if let UserNamespace::KeepId { uid, gid, .. } = &spec.namespaces.user {
        return format!("{}:{}", uid.unwrap_or(engine.settings.uid), gid.unwrap_or(engine.settings.gid));
    }
    container.record.image.as_ref().and_then(|image| image.user.clone()).unwrap_or_default()
}

/// Pure: `user[:group]`, names or numbers; empty is root. `group_add` may have `keep-groups`, which is not a group.
pub(crate) fn lookup(files: &AccountFiles, wanted: &str, group_add: &[String]) -> Result<Account> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let number = parse_id(user)?;
    let is_wanted = |entry: &User| match (user, number) {
        ("", _) => entry.uid == 0,
        (name, number) => entry.name == name || number == Some(entry.uid),
    };
    let entry = passwd::parse_users(&files.passwd).find(is_wanted);
    let known = entry.is_some();
    let entry = match (entry, number) {
        (Some(entry), _) => entry,
        (None, None) if !user.is_empty() => {
            return Err(Error::UnknownAccount { what: format!("user {user}"), file: "passwd" });
        }
        (None, number) => {
            let uid = number.unwrap_or(0);
            let home = if uid == 0 { "/root" } else { "/" };
            User { name: uid.to_string(), uid, gid: 0, comment: String::new(), home: home.into(), shell: String::new() }
        }
    };
    check_range(entry.uid)?;
    let mut account =
        Account { name: entry.name, uid: entry.uid, gid: entry.gid, groups: Vec::new(), home: entry.home, known };
    match group {
        Some(group) => account.gid = find_group(files, group)?,
        None if known => {
            let member = |group: &Group| group.members.contains(&account.name);
            account.groups = passwd::parse_groups(&files.group).filter(member).map(|group| group.gid).collect();
        }
        None => {}
    }
    for group in group_add.iter().filter(|group| *group != "keep-groups") {
        account.groups.push(find_group(files, group)?);
    }
    check_range(account.gid)?;
    if !wanted.is_empty() {
        account.groups.insert(0, account.gid);
    }
    let mut seen = std::collections::BTreeSet::new();
    account.groups.retain(|gid| seen.insert(*gid));
    if account.home.is_empty() {
        account.home = "/".into();
    }
    Ok(account)
}

/// `--group-add keep-groups`.
pub(crate) fn keeps_groups(spec: &ContainerSpec) -> bool {
    spec.group_add.iter().any(|group| group == "keep-groups")
}

fn find_group(files: &AccountFiles, wanted: &str) -> Result<u32> {
    let number = parse_id(wanted)?;
    let found = passwd::parse_groups(&files.group).find(|group| group.name == wanted || number == Some(group.gid));
    match found.map(|group| group.gid).or(number) {
        Some(gid) => check_range(gid).map(|()| gid),
        None => Err(Error::UnknownAccount { what: format!("group {wanted}"), file: "group" }),
    }
}

/// `None` for what is no number.
fn parse_id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) => check_range(id).map(|()| Some(id)),
        Err(_) => Err(out_of_range()),
    }
}

fn check_range(id: u32) -> Result<()> {
    if id > MAX_ID { Err(out_of_range()) } else { Ok(()) }
}

fn out_of_range() -> Error {
    Error::Invalid(format!("uids and gids must be in range 0-{MAX_ID}"))
}

/// /etc/passwd with lines for users that the image does not know; `None` where the image's own will do.
pub(crate) fn passwd_with(engine: &Engine, container: &Container, account: &Account) -> Result<Option<String>> {
    let spec = container.spec();
    if spec.passwd == PasswdMode::LeaveAlone {
        return Ok(None);
    }
    let mut text = stored_files(engine, container)?.passwd;
    let length = text.len();
    add_host_users(&mut text, spec)?;
    let home = workdir(container);
    let has = |text: &str, uid: u32| passwd::parse_users(text).any(|known| known.uid == uid);
    if let UserNamespace::KeepId { uid, gid, .. } = spec.namespaces.user {
        // The caller, under the name that the number has on the host.
        let (uid, gid) = (uid.unwrap_or(engine.settings.uid), gid.unwrap_or(engine.settings.gid));
        if let Some(user) = passwd::user_of(uid).filter(|_| !has(&text, uid) && spec.passwd_entry.is_none()) {
            add_line(&mut text, &format!("{}:*:{uid}:{gid}:{}:{home}:/bin/sh", user.name, user.comment));
        }
    }
    // Root as nobody has asked for it needs no name.
    if !has(&text, account.uid) && !wanted_user(engine, container).is_empty() {
        let (uid, gid) = (account.uid.to_string(), account.gid.to_string());
        let (name, comment) = match host_user(&uid) {
            Ok(host) => (host.name, host.comment),
            Err(_) => (uid.clone(), "container user".to_owned()),
        };
        let line = match &spec.passwd_entry {
            Some(template) => {
                [("$USERNAME", &name), ("$UID", &uid), ("$GID", &gid), ("$NAME", &comment), ("$HOME", &home)]
                    .iter()
                    .fold(template.clone(), |line, (word, value)| line.replace(word, value))
            }
            None => format!("{name}:*:{uid}:{gid}:{comment}:{home}:/bin/sh"),
        };
        add_line(&mut text, &line);
    }
    Ok((text.len() > length).then_some(text))
}

/// `--hostuser`: lines for users of the host, by name or number.
fn add_host_users(text: &mut String, spec: &ContainerSpec) -> Result<()> {
    for name in &spec.host_users {
        let user = host_user(name)?;
        if !passwd::parse_users(text).any(|known| known.name == user.name) {
            // The home of the host is none of the container's.
            let home = spec.workdir.as_deref().unwrap_or("/");
            add_line(text, &format!("{}:*:{}:{}:{}:{home}:/bin/sh", user.name, user.uid, user.gid, user.comment));
        }
    }
    Ok(())
}

/// Each of them must be there.
pub(crate) fn check_host_users(spec: &ContainerSpec) -> Result<()> {
    spec.host_users.iter().try_for_each(|name| host_user(name).map(drop))
}

fn host_user(name: &str) -> Result<User> {
    let host = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = passwd::parse_users(&host).find(|user| user.name == name || user.uid.to_string() == name);
    user.ok_or_else(|| Error::Invalid(format!("user: unknown user {name}")))
}

/// /etc/group with a line for a group that the image does not know.
pub(crate) fn group_with(engine: &Engine, container: &Container, account: &Account) -> Result<Option<String>> {
    let spec = container.spec();
    if spec.passwd == PasswdMode::LeaveAlone {
        return Ok(None);
    }
    let mut text = stored_files(engine, container)?.group;
    let length = text.len();
    let has = |text: &str, gid: u32| passwd::parse_groups(text).any(|known| known.gid == gid);
    if let UserNamespace::KeepId { gid: None, .. } = spec.namespaces.user {
        let gid = engine.settings.gid;
        let host = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let group = passwd::parse_groups(&host).find(|group| group.gid == gid);
        let user = passwd::user_of(engine.settings.uid);
        if let (Some(group), Some(user), false, None) = (group, user, has(&text, gid), &spec.group_entry) {
            add_line(&mut text, &format!("{}:x:{gid}:{}", group.name, user.name));
        }
    }
    let wanted = wanted_user(engine, container);
    let (user, group) = wanted.split_once(':').unwrap_or((&wanted, ""));
    // A group that nobody has named is the image's affair, but for that of a user that the image does not know.
    let is_ours = !group.is_empty() || account.gid == 0 && !user.is_empty() || spec.group_entry.is_some();
    if !is_ours || has(&text, account.gid) {
        return Ok((text.len() > length).then_some(text));
    }
    let line = match &spec.group_entry {
        Some(template) => {
            let gid = account.gid.to_string();
            template.replace("$GROUPNAME", &gid).replace("$GID", &gid).replace("$USERLIST", user)
        }
        None => format!("{0}:x:{0}:{user}", account.gid),
    };
    add_line(&mut text, &line);
    Ok(Some(text))
}

fn add_line(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line.trim_end_matches('\n'));
    text.push('\n');
}

/// The directory a program starts in; absolute.
pub(crate) fn workdir(container: &Container) -> String {
    let image = container.record.image.as_ref().and_then(|image| image.workdir.clone());
    match container.spec().workdir.clone().or(image).filter(|workdir| !workdir.is_empty()) {
        Some(workdir) if workdir.starts_with('/') => workdir,
        Some(relative) => format!("/{relative}"),
        None => "/".to_owned(),
    }
}

/// The account files beneath an open root directory.
pub(crate) fn files_in(root: impl AsFd) -> AccountFiles {
    let read = |path: &str| match find_in(root.as_fd(), Path::new(path)) {
        Found::File(text) => text,
        Found::Link(_) | Found::Hidden | Found::Nothing => String::new(),
    };
    AccountFiles { passwd: read("etc/passwd"), group: read("etc/group") }
}

/// How many ids, from 0 upward, the account files and the container's user have a use for.
pub(crate) fn ids_needed(files: &AccountFiles, container: &Container) -> u32 {
    let image = container.record.image.as_ref().and_then(|image| image.user.as_deref());
    ids_used(files, container.spec().user.as_deref().or(image).unwrap_or_default())
}

/// The same of an image that no container has yet.
pub fn ids_of_image(engine: &Engine, image: &Image) -> u32 {
    let layers = opened(image.layers.iter().rev().map(|id| engine.store.layer_path(id)));
    ids_used(&account_files(&layers), &image.settings.user)
}

fn ids_used(files: &AccountFiles, user: &str) -> u32 {
    let typed = user.split(':').filter_map(|word| word.parse::<u32>().ok());
    // `nobody` and its like are at the end of the range and own nothing.
    let users = passwd::parse_users(&files.passwd).filter(|user| user.name != "nobody");
    let users = users.flat_map(|user| [user.uid, user.gid]);
    let groups = passwd::parse_groups(&files.group).filter(|group| group.name != "nogroup" && group.name != "nobody");
    let groups = groups.map(|group| group.gid);
    users.chain(groups).chain(typed).filter(|id| *id < MAX_ID).max().map_or(1, |most| most + 1)
}

/// The account files of a container that is not mounted anywhere: its changes over its layers.
pub(crate) fn stored_files(engine: &Engine, container: &Container) -> Result<AccountFiles> {
    Ok(account_files(&opened(layers(engine, container))))
}

fn opened(layers: impl IntoIterator<Item = PathBuf>) -> Vec<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    layers.into_iter().filter_map(|path| rustix::fs::open(path, flags, Mode::empty()).ok()).collect()
}

fn account_files(layers: &[OwnedFd]) -> AccountFiles {
    AccountFiles { passwd: read_layered(layers, "etc/passwd"), group: read_layered(layers, "etc/group") }
}

/// Directories, top-most first.
fn layers(engine: &Engine, container: &Container) -> Vec<PathBuf> {
    let dir = engine.container_dir(container.id());
    match &container.spec().source {
        Source::Directory { path, overlay: false } => return vec![path.clone()],
        Source::Directory { path, overlay: true } => return vec![dir.join("upper"), path.clone()],
        Source::Image { .. } | Source::Holder | Source::None => {}
    }
    let image = container.record.image.iter().flat_map(|image| image.layers.iter().rev());
    // `rootfs` is the vfs driver's copy.
    [dir.join("rootfs"), dir.join("upper")].into_iter().chain(image.map(|id| engine.store.layer_path(id))).collect()
}

enum Found {
    File(String),
    /// A link whose target this layer does not have.
    Link(PathBuf),
    /// A whiteout: lower layers do not count.
    Hidden,
    Nothing,
}

fn read_layered(layers: &[OwnedFd], path: &str) -> String {
    let mut path = PathBuf::from(path);
    // As many links as a kernel would follow is generous; eight will do.
    'links: for _ in 0..8 {
        for layer in layers {
            match find_in(layer.as_fd(), &path) {
                Found::File(text) => return text,
                Found::Hidden => return String::new(),
                Found::Link(target) => {
                    let base = path.parent().unwrap_or(Path::new("")).to_owned();
                    path = crate::volumes::clean(&Path::new("/").join(base).join(target));
                    path = path.strip_prefix("/").map(Path::to_owned).unwrap_or_default();
                    continue 'links;
                }
                Found::Nothing => {}
            }
        }
        break;
    }
    String::new()
}

/// One path in one directory, links resolved inside of it.
fn find_in(root: BorrowedFd<'_>, path: &Path) -> Found {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // NONBLOCK: it may be a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat2(root, path, flags, Mode::empty(), how) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NXIO | Errno::ACCESS) => return not_a_file(root, path),
        Err(_) => return Found::Nothing,
    };
    let regular =
        rustix::fs::fstat(&opened).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !regular {
        return not_a_file(root, path);
    }
    if rustix::fs::fgetxattr(&opened, "user.overlay.whiteout", &mut [0u8; 1][..]).is_ok() {
        return Found::Hidden;
    }
    let mut bytes = Vec::new();
    match File::from(opened).take(MAX_FILE).read_to_end(&mut bytes) {
        Ok(_) => Found::File(String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => Found::Nothing,
    }
}

fn not_a_file(root: BorrowedFd<'_>, path: &Path) -> Found {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(entry) = rustix::fs::openat2(root, path, flags, Mode::empty(), how) else { return Found::Nothing };
    let Ok(stat) = rustix::fs::fstat(&entry) else { return Found::Nothing };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => match rustix::fs::readlinkat(&entry, "", Vec::new()) {
            Ok(target) => Found::Link(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()))),
            Err(_) => Found::Nothing,
        },
        // A whiteout (a device 0:0), or a directory, pipe or the like in the place of the file.
        _ => Found::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> AccountFiles {
        AccountFiles {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n7:x:70:71::/odd:\n".into(),
            group: "root:x:0:root\nwww:x:34:\nextra:x:40:web,other\nmore:x:41:web\ndisk:x:6:\n".into(),
        }
    }

    fn shown(wanted: &str, add: &[&str]) -> String {
        let add: Vec<String> = add.iter().map(|group| (*group).to_owned()).collect();
        match lookup(&files(), wanted, &add) {
            Ok(account) => {
                format!("{}:{} {:?} {} {}", account.uid, account.gid, account.groups, account.home, account.name)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        assert_eq!(shown("", &[]), "0:0 [0] /root root");
        assert!(lookup(&AccountFiles::default(), "", &[]).unwrap().groups.is_empty());
        assert_eq!(shown("web", &[]), "33:34 [34, 40, 41] /srv web");
        assert_eq!(shown("33", &[]), "33:34 [34, 40, 41] /srv web");
        assert_eq!(shown("1234", &[]), "1234:0 [0] / 1234");
        // A name of digits is a name.
        assert_eq!(shown("7", &[]), "70:71 [71] /odd 7");
    }

    #[test]
    fn a_group_replaces_the_user_s_own_groups() {
        assert_eq!(shown("web:extra", &[]), "33:40 [40] /srv web");
        assert_eq!(shown("web:99", &[]), "33:99 [99] /srv web");
        assert_eq!(shown("web:", &[]), "33:34 [34, 40, 41] /srv web");
        assert_eq!(shown(":extra", &[]), "0:40 [40] /root root");
    }

    #[test]
    fn added_groups_come_last_and_once() {
        assert_eq!(shown("web", &["disk", "41", "50", "keep-groups"]), "33:34 [34, 40, 41, 6, 50] /srv web");
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(shown("nobody", &[]), "unable to find user nobody: no matching entries in passwd file");
        assert_eq!(shown("web:none", &[]), "unable to find group none: no matching entries in group file");
        assert_eq!(shown("web", &["none"]), "unable to find group none: no matching entries in group file");
        for id in ["4294967295", "2147483648", "99999999999"] {
            assert_eq!(shown(id, &[]), "uids and gids must be in range 0-2147483647");
        }
    }

    #[test]
    fn without_files_numbers_still_work() {
        let nothing = AccountFiles::default();
        assert_eq!(lookup(&nothing, "5:6", &[]).unwrap().gid, 6);
        assert_eq!(lookup(&nothing, "", &[]).unwrap().home, "/root");
        assert!(!lookup(&nothing, "", &[]).unwrap().known);
    }
}
