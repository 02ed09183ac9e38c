//! Root file systems of each kind, mounted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use storage::{Digest, Driver, RootfsRequest, Store, StoreOptions};
use sys::mount::RootMount;

use crate::archives::{Tar, base};
use crate::{Outcome, Place, Test, skip};

pub(crate) const TESTS: &[Test] = &[
    ("native_overlay_shows_whiteouts_and_opaque_directories", native),
    ("fuse_overlayfs_shows_whiteouts_and_opaque_directories", fuse),
    ("a_copy_shows_whiteouts_and_opaque_directories", vfs),
    ("a_hundred_and_twenty_seven_layers_fit", many_native),
    ("a_hundred_and_twenty_seven_layers_fit_fuse", many_fuse),
    ("more_layers_than_a_page_of_options_holds", more_native),
    ("a_volatile_root_can_be_mounted_again", volatile),
    ("a_container_stays_with_its_kind_of_overlay", kinds_do_not_mix),
    ("a_fuse_server_ends_without_a_mount_and_with_it", server_ends),
    ("an_image_is_mounted_read_only_without_an_upper", read_only),
    ("a_root_with_commas_and_colons_in_its_path", odd_paths),
    ("the_probe_is_asked_once", probe_once),
    ("a_shifted_root_has_the_containers_owners_native", shifted_native),
    ("a_shifted_root_has_the_containers_owners_fuse", shifted_fuse),
    ("a_shifted_root_has_the_containers_owners_vfs", shifted_vfs),
    ("attributes_of_overlay_in_a_layer_are_content", private_attributes),
    ("a_full_disk_is_no_read_only_root", full_disk),
];

/// Mounts a root, runs `body` in it, and takes it down.
pub(crate) fn with_root(store: &Store, layers: &[Digest], container: &Path, body: impl FnOnce(&Path)) -> Outcome {
    mounted(store, &RootfsRequest { layers, container_dir: container, volatile: false, read_only: false }, body)
}

fn mounted(store: &Store, request: &RootfsRequest<'_>, body: impl FnOnce(&Path)) -> Outcome {
    if store.options().mount_program.is_some() && !Path::new("/dev/fuse").exists() {
        return skip("no /dev/fuse");
    }
    match store.root_mount(request) {
        Err(error @ storage::Error::Unsupported { .. }) if store.options().mount_program.is_some() => {
            skip(error.to_string())
        }
        prepared => use_mount(prepared.unwrap(), request, body),
    }
}

fn use_mount(prepared: storage::Prepared, request: &RootfsRequest<'_>, body: impl FnOnce(&Path)) -> Outcome {
    let target = request.container_dir.join("merged");
    fs::create_dir_all(&target).unwrap();
    prepared.mount.mount(&target).unwrap();
    drop(prepared.mount);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&target)));
    unmount(&target, UnmountFlags::empty()).unwrap();
    if let Some(server) = prepared.server {
        assert!(server.pidfd.wait_end(Some(Duration::from_secs(10))).unwrap(), "the server outlived its mount");
        server.pidfd.wait().unwrap();
    }
    fs::remove_dir(&target).unwrap();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(())
}

fn fuse_options() -> StoreOptions {
    StoreOptions { mount_program: Some("fuse-overlayfs".into()), ..StoreOptions::default() }
}

fn native() -> Outcome {
    shows(StoreOptions::default())
}

fn fuse() -> Outcome {
    shows(fuse_options())
}

fn vfs() -> Outcome {
    shows(StoreOptions { driver: Driver::Vfs, ..StoreOptions::default() })
}

fn shows(options: StoreOptions) -> Outcome {
    let place = Place::new();
    let store = place.store_with(options);
    let low = base(&store);
    let top = Tar::default()
        .file("etc/.wh.gone", "")
        .dir("opt/")
        .file("opt/.wh..wh..opq", "")
        .file("opt/new", "new")
        .file(".wh.replaced", "")
        .file(".wh.never", "")
        .unpack(&store, Some(&low));
    let container = place.container("one");
    let layers = [low, top];
    with_root(&store, &layers, &container, |root| {
        assert!(!root.join("etc/gone").exists());
        assert!(root.join("etc/passwd").exists());
        assert!(!root.join("opt/sub").exists());
        assert!(root.join("opt/new").exists());
        assert!(!root.join("replaced").exists());
        let names: Vec<_> = fs::read_dir(root.join("opt")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
        let owned = fs::metadata(root.join("usr/lib/owned")).unwrap();
        assert_eq!((owned.uid(), owned.gid(), owned.mode() & 0o7777), (1000, 2000, 0o4755));
        assert_eq!(fs::metadata(root).unwrap().mode() & 0o7777, 0o751);
        fs::write(root.join("written"), "kept").unwrap();
    })?;
    with_root(&store, &layers, &container, |root| {
        assert_eq!(fs::read_to_string(root.join("written")).unwrap(), "kept");
    })?;
    assert!(!store.layer_path(&layers[1]).join("written").exists());
    Ok(())
}

fn many_native() -> Outcome {
    many(StoreOptions::default(), 127)
}

fn many_fuse() -> Outcome {
    many(fuse_options(), 127)
}

/// One by one through fsconfig(2), with `lowerdir+`.
fn more_native() -> Outcome {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
        return skip("lowerdir+ came with Linux 6.7");
    }
    many(StoreOptions::default(), 250)
}

fn many(options: StoreOptions, count: usize) -> Outcome {
    let place = Place::new();
    let store = place.store_with(options);
    let mut layers: Vec<Digest> = Vec::new();
    for number in 0..count {
        let layer = Tar::default().file(&format!("f{number}"), "x").file("last", &number.to_string());
        let id = layer.unpack(&store, layers.last());
        layers.push(id);
    }
    with_root(&store, &layers, &place.container("one"), |root| {
        assert_eq!(fs::read_dir(root).unwrap().count(), count + 1);
        assert_eq!(fs::read_to_string(root.join("last")).unwrap(), (count - 1).to_string());
    })
}

fn volatile() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let layers = [base(&store)];
    let container = place.container("one");
    let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: true, read_only: false };
    mounted(&store, &request, |root| fs::write(root.join("a"), "x").unwrap())?;
    assert!(container.join("work/work/incompat").exists());
    mounted(&store, &request, |root| assert!(root.join("a").exists()))?;
    with_root(&store, &layers, &container, |root| assert!(root.join("a").exists()))
}

fn kinds_do_not_mix() -> Outcome {
    let place = Place::new();
    let fuse = place.store_with(fuse_options());
    let native = place.store();
    let layers = [base(&native)];
    let (one, two) = (place.container("one"), place.container("two"));
    with_root(&fuse, &layers, &one, |root| fs::remove_dir_all(root.join("opt")).unwrap())?;
    with_root(&native, &layers, &two, |root| fs::remove_dir_all(root.join("opt")).unwrap())?;
    let server = |store: &Store, container: &Path| {
        let request = RootfsRequest { layers: &layers, container_dir: container, volatile: false, read_only: false };
        let prepared = store.root_mount(&request).unwrap();
        let is_fuse = prepared.server.is_some();
        drop(prepared.mount);
        if let Some(server) = prepared.server {
            server.pidfd.wait().unwrap();
        }
        is_fuse
    };
    assert!(server(&native, &one));
    assert!(!server(&fuse, &two));
    Ok(())
}

fn server_ends() -> Outcome {
    let place = Place::new();
    let store = place.store_with(fuse_options());
    let layers = [base(&store)];
    let container = place.container("one");
    let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: false, read_only: false };
    let prepared = match store.root_mount(&request) {
        Err(error @ storage::Error::Unsupported { .. }) => return skip(error.to_string()),
        other => other.unwrap(),
    };
    let server = prepared.server.unwrap();
    assert!(!server.pidfd.wait_end(Some(Duration::from_millis(50))).unwrap());
    drop(prepared.mount);
    assert!(server.pidfd.wait_end(Some(Duration::from_secs(10))).unwrap());
    assert_eq!(server.pidfd.wait().unwrap().exit_code(), 0);
    Ok(())
}

fn read_only() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let layers = [base(&store)];
    let container = place.container("one");
    let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: false, read_only: true };
    mounted(&store, &request, |root| {
        assert!(root.join("etc/passwd").exists());
        assert!(fs::write(root.join("x"), "x").is_err());
    })?;
    assert!(!container.join("upper").exists());
    Ok(())
}

fn odd_paths() -> Outcome {
    let outer = Place::new();
    let dir = outer.dir.join("a,b:c\\d e");
    fs::create_dir(&dir).unwrap();
    let place = std::mem::ManuallyDrop::new(Place { dir });
    let store = place.store();
    let layers = [base(&store)];
    with_root(&store, &layers, &place.container("one"), |root| fs::write(root.join("etc/x"), "x").unwrap())?;
    // A container's directory outside of the store: names with separators go in by descriptor.
    let outside = outer.dir.join("x,y:z\\");
    fs::create_dir(&outside).unwrap();
    with_root(&store, &layers, &outside, |root| fs::write(root.join("etc/x"), "x").unwrap())?;
    assert!(outside.join("upper/etc/x").exists());
    Ok(())
}

fn probe_once() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let layers = [base(&store)];
    with_root(&store, &layers, &place.container("one"), |_| {})?;
    let cache = place.dir.join("runroot/overlay.json");
    let text = fs::read_to_string(&cache).unwrap();
    assert!(text.contains("works"), "{text}");
    fs::write(&cache, text.replace("\"works\"", "{\"refused\":\"a test says so\"}")).unwrap();
    if !Path::new("/dev/fuse").exists() {
        return skip("no /dev/fuse");
    }
    let container = place.container("two");
    let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: false, read_only: false };
    let prepared = match store.root_mount(&request) {
        Err(error @ storage::Error::Unsupported { .. }) => return skip(error.to_string()),
        other => other.unwrap(),
    };
    assert!(prepared.driver_note.unwrap().contains("a test says so"));
    drop(prepared.mount);
    prepared.server.unwrap().pidfd.wait().unwrap();
    Ok(())
}

fn private_attributes() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let low = base(&store);
    let top = Tar::default()
        .pax(&[("SCHILY.xattr.user.overlay.opaque", b"y"), ("SCHILY.xattr.user.fuseoverlayfs.opaque", b"y")])
        .dir("opt/")
        .pax(&[("SCHILY.xattr.user.overlay.redirect", b"/etc")])
        .dir("usr/")
        .unpack(&store, Some(&low));
    with_root(&store, &[low, top], &place.container("one"), |root| {
        assert!(root.join("opt/sub/low").exists());
        assert!(root.join("usr/lib/owned").exists());
    })
}

fn full_disk() -> Outcome {
    let place = Place::new();
    let small = place.dir.join("small");
    fs::create_dir(&small).unwrap();
    let options = Some(c"nr_inodes=8");
    rustix::mount::mount("tmpfs", &small, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
    let target = place.dir.join("merged");
    for dir in ["lower", "upper", "work"].map(|name| small.join(name)).iter().chain([&target]) {
        fs::create_dir(dir).unwrap();
    }
    let mut filler = (0..8).map(|number| small.join(number.to_string()));
    let full = filler.find_map(|path| fs::write(path, "").err()).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let overlay = || RootMount::Overlay {
        base: small.clone(),
        lower: vec!["lower".into()],
        upper: Some("upper".into()),
        work: Some("work".into()),
        volatile: false,
        options: Vec::new(),
    };
    assert_eq!(overlay().mount(&target).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    for number in 0..4 {
        let _ = fs::remove_file(small.join(number.to_string()));
    }
    overlay().mount(&target).unwrap();
    unmount(&target, UnmountFlags::empty()).unwrap();
    unmount(&small, UnmountFlags::empty()).unwrap();
    Ok(())
}

fn shifted_native() -> Outcome {
    shifted(StoreOptions::default())
}

fn shifted_fuse() -> Outcome {
    shifted(fuse_options())
}

fn shifted_vfs() -> Outcome {
    shifted(StoreOptions { driver: Driver::Vfs, ..StoreOptions::default() })
}

/// keep-id for 1000: the caller, 0 here, is 1000 there.
fn shifted(options: StoreOptions) -> Outcome {
    let place = Place::new();
    let store = place.store_with(options);
    let low = base(&store);
    let top = Tar::default()
        .file("etc/.wh.gone", "")
        .dir("opt/")
        .file("opt/.wh..wh..opq", "")
        .file("opt/new", "new")
        .raw(b'0', "high", "", 0o644, (60_000, 60_000), b"")
        .unpack(&store, Some(&low));
    let layers = [low, top.clone()];
    let range = |container, host, size| storage::IdRange { container, host, size };
    let ranges = vec![range(0, 1, 1000), range(1000, 0, 1), range(1001, 1001, 64_000)];
    let shift = storage::IdShift { uids: ranges.clone(), gids: ranges };
    for id in ["one", "two"] {
        let container = place.container(id);
        let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: false, read_only: false };
        let prepared = match store.root_mount_shifted(&request, &shift) {
            Err(error @ storage::Error::Unsupported { .. }) if store.options().mount_program.is_some() => {
                return skip(error.to_string());
            }
            prepared => prepared.unwrap(),
        };
        use_mount(prepared, &request, |root| {
            let owner = |name: &str| {
                let stat = fs::symlink_metadata(root.join(name)).unwrap();
                (stat.uid(), stat.gid())
            };
            assert_eq!(owner("etc/passwd"), (1, 1));
            assert_eq!(owner(""), (1, 1));
            assert_eq!(owner("usr/lib/owned"), (0, 2000));
            assert_eq!(owner("high"), (60_000, 60_000));
            assert_eq!(owner("lib"), (1, 1));
            assert!(!root.join("etc/gone").exists());
            assert!(!root.join("opt/sub").exists());
            let stat = fs::metadata(root.join("usr/lib/owned")).unwrap();
            assert_eq!((stat.mode() & 0o7777, stat.nlink(), stat.mtime()), (0o4755, 2, 1_000_000_000));
            fs::write(root.join("mine"), "x").unwrap();
        })?;
    }
    let du = std::process::Command::new("du").args(["-s", "-B1"]).arg(&store.dirs().root).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(store.usage().unwrap().total.disk, du);
    // Another map does not have everybody.
    let few = storage::IdShift { uids: vec![range(0, 1, 500)], gids: vec![range(0, 1, 65_000)] };
    let container = place.container("three");
    let request = RootfsRequest { layers: &layers, container_dir: &container, volatile: false, read_only: false };
    if store.options().mount_program.is_none() {
        let error = store.root_mount_shifted(&request, &few).unwrap_err();
        assert!(matches!(error, storage::Error::UnmappedId { kind: "user", .. }), "{error}");
    }
    store.remove_layer(&top).unwrap();
    store.sweep().unwrap();
    let left =
        std::process::Command::new("find").arg(store.path("shifted")).args(["-name", top.hex()]).output().unwrap();
    assert!(left.stdout.is_empty());
    Ok(())
}
