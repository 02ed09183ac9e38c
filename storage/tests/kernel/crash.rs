//! SIGKILL and full disks: what the next command finds.

use std::convert::Infallible;
use std::fs;
use std::io::Read;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use storage::{Error, Limits, Store};

use crate::archives::{Tar, base};
use crate::mounts::with_root;
use crate::{Outcome, Place, Test, skip};

pub(crate) const TESTS: &[Test] = &[
    ("a_killed_unpack_leaves_nothing_after_the_next_sweep", killed_unpack),
    ("a_sweep_leaves_a_living_writer_alone", living_writer),
    ("a_killed_blob_and_container_leave_nothing", killed_staging),
    ("a_full_disk_is_named_and_leaves_nothing", full_disk),
    ("what_the_kernel_left_of_a_container_is_removed", overlay_leftovers),
    ("a_very_deep_tree_is_removed", deep_tree),
    ("several_sweepers_do_not_disturb_each_other", sweepers),
];

/// Gives an archive slowly and tells a pipe how far it is.
struct Slow {
    archive: Vec<u8>,
    at: usize,
    stop_at: usize,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at >= self.stop_at {
            // As a stalled network: the rest never comes.
            std::thread::sleep(Duration::from_secs(60));
        }
        let count = buffer.len().min(4096).min(self.stop_at - self.at);
        buffer[..count].copy_from_slice(&self.archive[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn archive() -> Vec<u8> {
    let mut tar = Tar::default();
    for number in 0..600 {
        tar = tar.file(&format!("dir{}/file{number}", number % 7), &"data".repeat(500));
    }
    tar.bytes()
}

fn in_child(body: impl FnOnce()) -> sys::clone::Child {
    sys::clone::fork(|| -> Infallible {
        body();
        sys::clone::exit_now(0)
    })
    .unwrap()
}

fn kill(child: &sys::clone::Child) {
    child.pidfd.signal(9).unwrap();
    child.pidfd.wait().unwrap();
}

fn assert_clean(store: &Store) {
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.path("trash")).unwrap().count(), 0);
}

fn wait_for(what: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::yield_now();
    }
}

fn killed_unpack() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let archive = archive();
    for part in [1usize, 3, 5, 7] {
        let stop_at = archive.len() * part / 8;
        let child = in_child(|| {
            let mut slow = Slow { archive: archive.clone(), at: 0, stop_at };
            let _ = store.unpack(None, None, None, &mut slow, &Limits::default());
        });
        wait_for(|| fs::read_dir(store.path("staging")).unwrap().count() == 2);
        kill(&child);
        assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 2);
        store.sweep().unwrap();
        assert_clean(&store);
        assert!(store.layers().unwrap().is_empty());
    }
    let whole = store.unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    assert_eq!(whole.size, archive.len() as u64);
    let bytes = |store: &Store| storage::tree_size(&store.layer_path(&whole.chain_id)).unwrap().apparent;
    let expected = bytes(&store);
    // And at any moment of one that runs through.
    for delay in (0..30).map(|step| Duration::from_micros(step * 1500)) {
        let place = Place::new();
        let store = place.store();
        let child = in_child(|| {
            let _ = store.unpack_unsettled(None, None, None, &mut archive.as_slice(), &Limits::default());
        });
        let _ = child.pidfd.wait_end(Some(delay));
        kill(&child);
        store.sweep().unwrap();
        assert_clean(&store);
        for (_, layer) in store.layers().unwrap() {
            layer.unwrap();
        }
        store.unpack_unsettled(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
        assert_eq!(bytes(&store), expected);
    }
    Ok(())
}

fn living_writer() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let archive = archive();
    let child = in_child(|| {
        let mut slow = Slow { archive: archive.clone(), at: 0, stop_at: archive.len() / 2 };
        let _ = store.unpack(None, None, None, &mut slow, &Limits::default());
    });
    wait_for(|| fs::read_dir(store.path("staging")).unwrap().count() == 2);
    store.sweep().unwrap();
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 2);
    kill(&child);
    store.sweep().unwrap();
    assert_clean(&store);
    Ok(())
}

fn killed_staging() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let child = in_child(|| {
        let mut blob = store.blob_writer().unwrap();
        std::io::Write::write_all(&mut blob, b"half").unwrap();
        let staging = store.staging().unwrap();
        fs::create_dir(staging.join("upper")).unwrap();
        store.trash(&staging.join("upper")).unwrap();
        sys::signals::raise_default(9);
    });
    child.pidfd.wait().unwrap();
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 4);
    store.sweep().unwrap();
    assert_clean(&store);
    Ok(())
}

fn full_disk() -> Outcome {
    let place = Place::new();
    let root = place.dir.join("root");
    fs::create_dir(&root).unwrap();
    if let Err(error) = mount("tmpfs", &root, "tmpfs", MountFlags::empty(), Some(c"size=400k,mode=0700")) {
        return skip(format!("tmpfs: {error}"));
    }
    let result = std::panic::catch_unwind(|| on_a_full_disk(&place));
    unmount(&root, UnmountFlags::DETACH).unwrap();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(())
}

fn on_a_full_disk(place: &Place) {
    let store = place.store();
    let archive = archive();
    let error = store.unpack(None, None, None, &mut archive.as_slice(), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert_clean(&store);
    let mut blob = store.blob_writer().unwrap();
    let error = std::io::Write::write_all(&mut blob, &vec![0; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(blob);
    assert_clean(&store);
    // A record that cannot be replaced stays as it was.
    let volume = storage::Volume { name: "v".to_owned(), ..storage::Volume::default() };
    let volume = store.create_volume(volume).unwrap();
    let mut fill = fs::File::create(store.path("fill")).unwrap();
    while std::io::Write::write_all(&mut fill, &[0; 4096]).is_ok() {}
    let more =
        storage::Volume { options: [("o".to_owned(), "x".repeat(20_000))].into_iter().collect(), ..volume.clone() };
    assert!(matches!(store.update_volume(&more), Err(Error::NoSpace { .. })));
    assert_eq!(store.volume("v").unwrap(), Some(volume));
}

fn overlay_leftovers() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let layers = [base(&store)];
    let container = place.container("one");
    with_root(&store, &layers, &container, |root| {
        fs::write(root.join("etc/passwd"), "x").unwrap();
        std::os::unix::fs::chown(root.join("etc/passwd"), Some(4000), Some(4000)).unwrap();
    })?;
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(container.join("work/work")).unwrap().permissions().mode() & 0o777, 0);
    store.trash(&container).unwrap();
    assert!(!container.exists());
    store.empty_trash().unwrap();
    assert_clean(&store);
    Ok(())
}

fn deep_tree() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let staging = store.staging().unwrap();
    let mut dir = fs::File::open(staging.path()).map(std::os::fd::OwnedFd::from).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    for _ in 0..5000 {
        rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    drop(dir);
    drop(staging);
    assert_clean(&store);
    Ok(())
}

fn sweepers() -> Outcome {
    let place = Place::new();
    let store = place.store();
    for number in 0..40 {
        let dir = place.dir.join("root/containers").join(number.to_string());
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        for file in 0..20 {
            fs::write(dir.join(format!("a/b/{file}")), "x").unwrap();
        }
        store.trash(&dir).unwrap();
    }
    let children: Vec<_> = (0..4)
        .map(|_| {
            in_child(|| {
                let code = i32::from(store.sweep().is_err());
                sys::clone::exit_now(code);
            })
        })
        .collect();
    for child in children {
        assert_eq!(child.pidfd.wait().unwrap().exit_code(), 0);
    }
    assert_clean(&store);
    Ok(())
}
