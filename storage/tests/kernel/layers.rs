//! Unpacking what is well meant.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use storage::{Error, Limits, StoreOptions, chain_id};

use crate::archives::{Tar, base};
use crate::{Outcome, Place, Test};

pub(crate) const TESTS: &[Test] = &[
    ("a_layer_keeps_owners_modes_times_links_and_attributes", attributes),
    ("a_directory_the_archive_does_not_name_looks_like_the_one_below", implicit_directories),
    ("paths_go_through_links_of_the_same_layer", through_links),
    ("entries_that_come_twice_end_as_the_last", twice),
    ("sparse_files_are_sparse", sparse),
    ("an_unmapped_owner_is_named_or_becomes_root", unmapped),
    ("a_wrong_digest_leaves_nothing", mismatch),
    ("a_layer_is_unpacked_once", once),
    ("a_damaged_layer_is_replaced", damaged),
    ("an_unsettled_layer_of_another_boot_is_not_believed", unsettled),
    ("devices_are_passed_over", devices),
    ("compressed_layers_of_each_kind", compressed),
    ("one_id_layers_belong_to_the_user", one_id),
];

/// Every path with what matters about it, sorted.
pub(crate) fn tree(root: &Path) -> Vec<(String, u32, u32, u32, i64, String)> {
    fn walk(root: &Path, path: &Path, found: &mut Vec<(String, u32, u32, u32, i64, String)>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if stat.is_file() {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            } else {
                String::new()
            };
            let mtime = if stat.is_dir() { 0 } else { stat.mtime() };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push((name, stat.mode(), stat.uid(), stat.gid(), mtime, content));
            if stat.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

fn attributes() -> Outcome {
    let place = Place::new();
    let store = place.store();
    // Version 2 of a file capability: cap_net_raw, permitted and effective.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let id = Tar::default()
        .raw(b'5', "dir/", "", 0o2750, (10, 20), b"")
        .pax(&[
            ("mtime", b"1234567890.5"),
            ("SCHILY.xattr.user.note", b"hi"),
            ("SCHILY.xattr.security.capability", &capability),
        ])
        .raw(b'0', "dir/ping", "", 0o4755, (30, 40), b"ping")
        .raw(b'2', "dir/link", "/etc/shadow", 0o777, (50, 60), b"")
        .link("dir/hard", "dir/ping")
        .raw(b'6', "dir/fifo", "", 0o622, (0, 0), b"")
        .unpack(&store, None);
    let root = store.layer_path(&id);
    let dir = fs::metadata(root.join("dir")).unwrap();
    assert_eq!((dir.mode() & 0o7777, dir.uid(), dir.gid(), dir.mtime()), (0o2750, 10, 20, 1_000_000_000));
    let ping = fs::metadata(root.join("dir/ping")).unwrap();
    assert_eq!((ping.mode() & 0o7777, ping.uid(), ping.gid(), ping.nlink()), (0o4755, 30, 40, 2));
    assert_eq!((ping.mtime(), ping.mtime_nsec()), (1_234_567_890, 500_000_000));
    let link = fs::symlink_metadata(root.join("dir/link")).unwrap();
    assert_eq!((link.uid(), link.gid(), link.mtime()), (50, 60, 1_000_000_000));
    let fifo = fs::symlink_metadata(root.join("dir/fifo")).unwrap();
    assert!(fifo.file_type().is_fifo());
    assert_eq!(fifo.mode() & 0o7777, 0o622);
    let mut value = [0u8; 64];
    let got = rustix::fs::getxattr(root.join("dir/ping"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..got], b"hi");
    let got = rustix::fs::getxattr(root.join("dir/ping"), "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[4..got.min(20)], &capability[4..]);
    let size = store.layer(&id).unwrap().unwrap().size;
    assert!(size > 5 * 512 && size.is_multiple_of(512), "the archive has blocks, not {size} bytes");
    Ok(())
}

fn implicit_directories() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let low = Tar::default()
        .raw(b'5', "./", "", 0o711, (0, 7), b"")
        .raw(b'5', "tmp/", "", 0o1777, (5, 6), b"")
        .dir("tmp/sub/")
        .unpack(&store, None);
    let top = Tar::default().file("tmp/sub/file", "x").file("new/dir/file", "x").unpack(&store, Some(&low));
    let root = store.layer_path(&top);
    let stat = fs::metadata(root.join("tmp")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o1777, 5, 6));
    let stat = fs::metadata(&root).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.gid()), (0o711, 7));
    assert_eq!(fs::metadata(root.join("new/dir")).unwrap().mode() & 0o7777, 0o755);
    Ok(())
}

fn through_links() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = Tar::default()
        .symlink("lib", "/usr/lib")
        .file("lib/a", "a")
        .symlink("usr/up", "../../../usr/lib")
        .file("usr/up/b", "b")
        .symlink("loop", "loop2")
        .unpack(&store, None);
    let root = store.layer_path(&id);
    assert_eq!(fs::read_to_string(root.join("usr/lib/a")).unwrap(), "a");
    assert_eq!(fs::read_to_string(root.join("usr/lib/b")).unwrap(), "b");
    assert!(fs::symlink_metadata(root.join("lib")).unwrap().is_symlink());
    Ok(())
}

fn twice() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = Tar::default()
        .file("a", "first")
        .file("a", "second")
        .dir("b/")
        .file("b/in", "x")
        .file("b", "now a file")
        .symlink("c", "a")
        .dir("c/")
        .file("c/in", "x")
        .file("d", "x")
        .symlink("d", "nowhere")
        .file("e", "x")
        .link("e", "e")
        .file(".wh.f", "")
        .file("f", "visible")
        .dir("g/")
        .file(".wh.g", "")
        .file(".wh.h", "")
        .dir("h/")
        .file("h/in", "x")
        .file(".wh.i", "")
        .file("i/in", "x")
        .unpack(&store, None);
    let root = store.layer_path(&id);
    assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "second");
    assert_eq!(fs::read_to_string(root.join("b")).unwrap(), "now a file");
    assert_eq!(fs::read_to_string(root.join("c/in")).unwrap(), "x");
    assert_eq!(fs::read_link(root.join("d")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::read_to_string(root.join("e")).unwrap(), "x");
    assert_eq!(fs::read_to_string(root.join("f")).unwrap(), "visible");
    for name in ["g", "h", "i"] {
        let mut value = [0u8; 8];
        let got = rustix::fs::getxattr(root.join(name), "user.overlay.opaque", &mut value[..]);
        assert_eq!(got, Ok(1), "{name}");
    }
    Ok(())
}

fn sparse() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = Tar::default()
        .pax(&[("GNU.sparse.map", b"1048576,5"), ("GNU.sparse.size", b"104857600")])
        .file("big", "hello")
        .unpack(&store, None);
    let stat = fs::metadata(store.layer_path(&id).join("big")).unwrap();
    assert_eq!(stat.len(), 104_857_600);
    assert!(stat.blocks() < 100);
    Ok(())
}

fn unmapped() -> Outcome {
    let place = Place::new();
    let archive = Tar::default().raw(b'0', "f", "", 0o644, (2_000_000, 0), b"").bytes();
    let error = place.store().unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap_err();
    let Error::UnmappedId { entry, kind: "user", id: 2_000_000, .. } = &error else { panic!("{error}") };
    assert_eq!(entry, "f");
    let store = place.store_with(StoreOptions { ignore_chown_errors: true, ..StoreOptions::default() });
    let layer = store.unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    assert_eq!(fs::metadata(store.layer_path(&layer.chain_id).join("f")).unwrap().uid(), 0);
    Ok(())
}

fn mismatch() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let other = storage::Digest::of(b"other");
    let archive = Tar::default().file("f", "x").bytes();
    let error = store.unpack(None, Some(&other), None, &mut archive.as_slice(), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert!(store.layers().unwrap().is_empty());
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 0);
    Ok(())
}

fn once() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let archive = Tar::default().file("f", "x").bytes();
    let unpack = || store.unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    let first = unpack();
    assert_eq!(first, unpack());
    let known = store.unpack(None, Some(&first.diff_id), None, &mut std::io::empty(), &Limits::default()).unwrap();
    assert_eq!(known, first);
    assert_eq!(first.chain_id, chain_id(None, &first.diff_id));
    let all = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    store.unpack(Some(&first.chain_id), None, None, &mut archive.as_slice(), &Limits::default())
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    assert!(all.iter().all(|layer| *layer == all[0]));
    Ok(())
}

fn damaged() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let archive = Tar::default().file("f", "x").bytes();
    let first = store.unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    let record = store.path("layers").join(first.chain_id.hex()).join("layer.json");
    fs::write(&record, b"").unwrap();
    assert!(matches!(store.layer(&first.chain_id), Err(Error::Damaged { .. })));
    let again = store.unpack(None, Some(&first.diff_id), None, &mut archive.as_slice(), &Limits::default()).unwrap();
    assert_eq!(first, again);
    assert_eq!(store.layer(&first.chain_id).unwrap(), Some(first));
    Ok(())
}

fn unsettled() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let archive = Tar::default().file("f", "x").bytes();
    let layer = store.unpack_unsettled(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    assert!(layer.unsettled.is_some());
    assert!(store.layer(&layer.chain_id).unwrap().is_some());
    let record = store.path("layers").join(layer.chain_id.hex()).join("layer.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(layer.unsettled.as_deref().unwrap(), "another boot")).unwrap();
    assert_eq!(store.layer(&layer.chain_id).unwrap(), None);
    let again =
        store.unpack_unsettled(None, Some(&layer.diff_id), None, &mut archive.as_slice(), &Limits::default()).unwrap();
    store.settle(std::slice::from_ref(&again.chain_id)).unwrap();
    assert_eq!(store.layer(&layer.chain_id).unwrap().unwrap().unsettled, None);
    Ok(())
}

fn devices() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = Tar::default().raw(b'3', "null", "", 0o666, (0, 0), b"").file("f", "").unpack(&store, None);
    assert!(!store.layer_path(&id).join("null").exists());
    assert!(store.layer_path(&id).join("f").exists());
    Ok(())
}

fn compressed() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let plain = Tar::default().file("f", &"x".repeat(100_000)).bytes();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let expected = storage::Digest::of(&plain);
    for bytes in [plain.clone(), gzip, zstd] {
        let mut reader = storage::decompress(Box::new(std::io::Cursor::new(bytes))).unwrap();
        let layer = store.unpack_unsettled(None, Some(&expected), None, &mut reader, &Limits::default()).unwrap();
        store.remove_layer(&layer.chain_id).unwrap();
    }
    for bytes in [b"BZh91AY&SY".to_vec(), b"\xfd7zXZ\0\0\0".to_vec()] {
        let error = storage::decompress(Box::new(std::io::Cursor::new(bytes))).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }));
    }
    Ok(())
}

fn one_id() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = Tar::default().raw(b'0', "f", "", 0o4755, (33, 33), b"x").dir("d/").unpack(&store, None);
    let stat = fs::metadata(store.layer_path(&id).join("f")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (0, 0, 0o4755));
    let base = base(&store);
    let container = place.container("one");
    crate::mounts::with_root(&store, &[base, id], &container, |root| {
        fs::write(root.join("d/new"), "x").unwrap();
        fs::remove_file(root.join("etc/gone")).unwrap();
    })
}
