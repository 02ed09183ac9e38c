//! Archives for the tests, and what comes of upper directories as archives.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use storage::{Change, ChangeKind, Digest, Limits, Store, StoreOptions, TarOptions};

use crate::layers::tree;
use crate::mounts::with_root;
use crate::{Outcome, Place, Test};

pub(crate) const TESTS: &[Test] = &[
    ("a_diff_unpacked_gives_the_same_root_native", diff_native),
    ("a_diff_unpacked_gives_the_same_root_fuse", diff_fuse),
    ("a_diff_unpacked_gives_the_same_root_vfs", diff_vfs),
    ("an_exported_tree_has_everything_and_no_mounts", export),
    ("the_same_tree_gives_the_same_bytes", same_bytes),
];

/// An archive under construction.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn raw(mut self, kind: u8, path: &str, link: &str, mode: u32, ids: (u64, u64), data: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(ids.0);
        header.set_gid(ids.1);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn dir(self, path: &str) -> Tar {
        self.raw(b'5', path, "", 0o755, (0, 0), b"")
    }

    pub(crate) fn file(self, path: &str, data: &str) -> Tar {
        self.raw(b'0', path, "", 0o644, (0, 0), data.as_bytes())
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Tar {
        self.raw(b'2', path, target, 0o777, (0, 0), b"")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Tar {
        self.raw(b'1', path, target, 0o644, (0, 0), b"")
    }

    /// A pax header for the entry that follows.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length.to_string().len() + rest > length {
                length += 1;
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.raw(b'x', "pax", "", 0o644, (0, 0), &body)
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    pub(crate) fn unpack(self, store: &Store, parent: Option<&Digest>) -> Digest {
        let layer =
            store.unpack_unsettled(parent, None, None, &mut self.bytes().as_slice(), &Limits::default()).unwrap();
        layer.chain_id
    }
}

pub(crate) fn base(store: &Store) -> Digest {
    Tar::default()
        .raw(b'5', "./", "", 0o751, (0, 0), b"")
        .dir("etc/")
        .file("etc/passwd", "root")
        .file("etc/gone", "x")
        .dir("opt/")
        .dir("opt/sub/")
        .file("opt/sub/low", "low")
        .dir("replaced/")
        .file("replaced/low", "low")
        .symlink("lib", "usr/lib")
        .dir("usr/")
        .dir("usr/lib/")
        .raw(b'0', "usr/lib/owned", "", 0o4755, (1000, 2000), b"owned")
        .link("usr/lib/again", "usr/lib/owned")
        .unpack(store, None)
}

/// What a container does to [`base`].
fn change(root: &Path) {
    fs::write(root.join("etc/passwd"), "root and more").unwrap();
    fs::remove_file(root.join("etc/gone")).unwrap();
    fs::remove_dir_all(root.join("replaced")).unwrap();
    fs::create_dir(root.join("replaced")).unwrap();
    fs::write(root.join("replaced/new"), "new").unwrap();
    fs::remove_dir_all(root.join("opt")).unwrap();
    fs::write(root.join("a name with \u{e4} and spaces"), "x").unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    fs::create_dir(root.join("d".repeat(120))).unwrap();
    fs::write(root.join(&long), "long").unwrap();
    fs::hard_link(root.join(&long), root.join("hard")).unwrap();
    std::os::unix::fs::symlink("x".repeat(300), root.join("far")).unwrap();
    std::os::unix::fs::chown(root.join("hard"), Some(70), Some(65_000)).unwrap();
    let _ = rustix::fs::setxattr(root.join("hard"), "user.note", b"kept", rustix::fs::XattrFlags::empty());
}

fn diff_native() -> Outcome {
    diff(StoreOptions::default())
}

fn diff_fuse() -> Outcome {
    diff(StoreOptions { mount_program: Some("fuse-overlayfs".into()), ..StoreOptions::default() })
}

fn diff_vfs() -> Outcome {
    diff(StoreOptions { driver: storage::Driver::Vfs, ..StoreOptions::default() })
}

fn diff(options: StoreOptions) -> Outcome {
    let place = Place::new();
    let store = place.store_with(options);
    let base = base(&store);
    let layers = [base.clone()];
    let container = place.container("one");
    let mut expected = Vec::new();
    with_root(&store, &layers, &container, |root| {
        change(root);
        expected = tree(root);
    })?;
    let mut archive = Vec::new();
    store.container_diff_tar(&layers, &container, &mut archive, &TarOptions::default()).unwrap();
    let top = store.unpack(Some(&base), None, None, &mut archive.as_slice(), &Limits::default()).unwrap().chain_id;
    let other = place.container("two");
    with_root(&store, &[base, top], &other, |root| {
        assert_eq!(tree(root), expected);
        assert_eq!(fs::metadata(root.join("hard")).unwrap().nlink(), 2);
        assert_eq!(fs::metadata(root.join("hard")).unwrap().uid(), 70);
    })?;

    let changes = store.container_changes(&layers, &container).unwrap();
    let of = |path: &str| changes.iter().find(|change| change.path == Path::new(path)).map(|change| change.kind);
    assert_eq!(of("/etc"), Some(ChangeKind::Changed));
    assert_eq!(of("/etc/passwd"), Some(ChangeKind::Changed));
    assert_eq!(of("/etc/gone"), Some(ChangeKind::Deleted));
    assert_eq!(of("/opt"), Some(ChangeKind::Deleted));
    assert_eq!(of("/opt/sub"), None);
    assert_eq!(of("/replaced"), Some(ChangeKind::Changed));
    assert_eq!(of("/replaced/low"), Some(ChangeKind::Deleted));
    assert_eq!(of("/replaced/new"), Some(ChangeKind::Added));
    assert_eq!(of("/hard"), Some(ChangeKind::Added));
    assert_eq!(of("/usr"), None);
    let mut sorted = changes.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted, changes);
    let _: &[Change] = &changes;
    Ok(())
}

fn export() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let base = base(&store);
    let container = place.container("one");
    let mut archive = Vec::new();
    with_root(&store, &[base], &container, |root| {
        fs::create_dir(root.join("proc")).unwrap();
        rustix::mount::mount(
            "tmpfs",
            root.join("proc"),
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            None::<&std::ffi::CStr>,
        )
        .unwrap();
        fs::write(root.join("proc/secret"), "x").unwrap();
        rustix::mount::mount_bind(root.join("proc/secret"), root.join("etc/passwd")).unwrap();
        store.tree_tar(root, &mut archive).unwrap();
        rustix::mount::unmount(root.join("etc/passwd"), rustix::mount::UnmountFlags::DETACH).unwrap();
        rustix::mount::unmount(root.join("proc"), rustix::mount::UnmountFlags::DETACH).unwrap();
    })?;
    let names: Vec<(String, u64)> = tar::Archive::new(archive.as_slice())
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.size())
        })
        .collect();
    assert!(names.contains(&("usr/lib/owned".to_owned(), 0)) || names.contains(&("usr/lib/owned".to_owned(), 5)));
    assert!(names.contains(&("etc/passwd".to_owned(), 0)), "{names:?}");
    assert!(names.contains(&("proc/".to_owned(), 0)));
    assert!(!names.iter().any(|(name, _)| name.contains("secret")));
    Ok(())
}

fn same_bytes() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = base(&store);
    let archive = || {
        let mut bytes = Vec::new();
        store.tree_tar(&store.layer_path(&id), &mut bytes).unwrap();
        bytes.flush().unwrap();
        bytes
    };
    let first = archive();
    assert_eq!(first, archive());
    let layer = store.unpack(None, Some(&Digest::of(&first)), None, &mut first.as_slice(), &Limits::default()).unwrap();
    let mut again = Vec::new();
    store.tree_tar(&store.layer_path(&layer.chain_id), &mut again).unwrap();
    assert!(first == again, "an archive of an unpacked archive differs");
    Ok(())
}
