//! Archives that mean harm. Whatever they are, nothing outside of the layer changes, nothing is left of a refused one,
//! and nothing panics.

use std::fs;
use std::io::Read;

use storage::{Error, Layer, Limits, Result, Store};

use crate::archives::Tar;
use crate::{Outcome, Place, Test};

pub(crate) const TESTS: &[Test] = &[
    ("paths_that_leave_are_refused_or_stay_inside", escapes),
    ("hard_links_stay_inside", hard_links),
    ("limits_are_named_with_their_setting", limits),
    ("a_bomb_is_stopped_early", bombs),
    ("absurd_headers_are_refused", absurd),
    ("thousands_of_mutated_archives_do_no_harm", mutated),
];

fn unpack(store: &Store, archive: &[u8]) -> Result<Layer> {
    store.unpack_unsettled(None, None, None, &mut &*archive, &Limits { max_bytes: 64 << 20, ..Limits::default() })
}

/// A store beside files that must not change.
struct Watched {
    place: Place,
    store: Store,
    before: Vec<(String, u32, u32, u32, i64, String)>,
}

impl Watched {
    fn new() -> Watched {
        let place = Place::new();
        let store = place.store();
        let canary = place.dir.join("canary");
        fs::create_dir_all(canary.join("sub")).unwrap();
        fs::write(canary.join("sub/secret"), "secret").unwrap();
        fs::write(canary.join("file"), "untouched").unwrap();
        let before = crate::layers::tree(&canary);
        Watched { place, store, before }
    }

    fn assert_untouched(&self) {
        assert_eq!(crate::layers::tree(&self.place.dir.join("canary")), self.before);
        let names: Vec<_> = fs::read_dir(&self.place.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().all(|name| name == "canary" || name == "root" || name == "runroot"), "{names:?}");
        let root: Vec<_> = fs::read_dir(self.place.dir.join("root"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(root.iter().all(|name| name.len() <= 12 && !name.contains("evil")), "{root:?}");
        assert_eq!(fs::read_dir(self.store.path("staging")).unwrap().count(), 0);
    }
}

fn escapes() -> Outcome {
    let watched = Watched::new();
    let canary = watched.place.dir.join("canary").display().to_string();
    let up = "../".repeat(12);
    let long_up = format!("{}{}", "../".repeat(12), canary.trim_start_matches('/'));
    for archive in [
        Tar::default().file("../evil", "x"),
        Tar::default().file("a/../../evil", "x"),
        Tar::default().pax(&[("path", long_up.as_bytes())]).file("x", "x"),
        Tar::default().file("..", "x"),
        Tar::default().file("", "x"),
        Tar::default().file(".wh...", ""),
        Tar::default().file(".wh..", ""),
        Tar::default().file(".wh.", ""),
        Tar::default().pax(&[("path", b"a\0b")]).file("x", "x"),
    ] {
        let result = unpack(&watched.store, &archive.bytes());
        assert!(matches!(result, Err(Error::BadArchive { .. })), "{result:?}");
        watched.assert_untouched();
    }
    // Absolute paths and links are taken inside.
    for archive in [
        Tar::default().file("/evil", "x"),
        Tar::default()
            .pax(&[("linkpath", canary.as_bytes())])
            .symlink("l", "x")
            .file("l/evil", "x")
            .file("l/file", "x"),
        Tar::default().pax(&[("linkpath", long_up.as_bytes())]).symlink("l", "x").file("l/file", "x"),
        Tar::default().symlink("l", &up).file("l/evil", "x"),
        Tar::default().symlink("a", "/").symlink("a/b", "..").file("a/b/../evil2", "x").file("a/b/evil", "x"),
        // The link comes after the directory was opened and kept.
        Tar::default()
            .dir("d/")
            .file("d/one", "x")
            .pax(&[("linkpath", canary.as_bytes())])
            .symlink("d", "x")
            .file("d/file", "evil"),
        Tar::default().pax(&[("linkpath", format!("{canary}/file").as_bytes())]).symlink("f", "x").file("f", "evil"),
        Tar::default().pax(&[("linkpath", canary.as_bytes())]).symlink("d", "x").dir("d/").file("d/file", "evil"),
        Tar::default().pax(&[("linkpath", canary.as_bytes())]).symlink("d", "x").file("d/.wh.file", ""),
        Tar::default().pax(&[("linkpath", canary.as_bytes())]).symlink("d", "x").file("d/.wh..wh..opq", ""),
        Tar::default().symlink("d", "/proc/self/root").file("d/evil", "x"),
        Tar::default().symlink("d", "/proc/self/fd/3").file("d/evil", "x"),
    ] {
        let _ = unpack(&watched.store, &archive.bytes());
        watched.assert_untouched();
    }
    Ok(())
}

fn hard_links() -> Outcome {
    let watched = Watched::new();
    let secret = watched.place.dir.join("canary/sub/secret").display().to_string();
    let canary = watched.place.dir.join("canary").display().to_string();
    for archive in [
        Tar::default().pax(&[("linkpath", secret.as_bytes())]).link("stolen", "x"),
        Tar::default()
            .pax(&[("linkpath", format!("{}{}", "../".repeat(12), &secret[1..]).as_bytes())])
            .link("stolen", "x"),
        Tar::default().pax(&[("linkpath", canary.as_bytes())]).symlink("s", "x").link("stolen", "s/sub/secret"),
        Tar::default().link("stolen", "/etc/passwd"),
        Tar::default().dir("d/").link("stolen", "d"),
        Tar::default().link("stolen", ""),
        Tar::default().file(".wh.w", "").link("stolen", "w"),
    ] {
        let result = unpack(&watched.store, &archive.bytes());
        assert!(matches!(result, Err(Error::BadArchive { .. })), "{result:?}");
        watched.assert_untouched();
    }
    // A hard link to a symbolic link is one; writing "through" it replaces it.
    let archive =
        Tar::default().pax(&[("linkpath", secret.as_bytes())]).symlink("s", "x").link("h", "s").file("h", "evil");
    unpack(&watched.store, &archive.bytes()).unwrap();
    watched.assert_untouched();
    Ok(())
}

fn limits() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let refused = |limits: Limits, archive: Tar, setting: &str| {
        let archive = archive.bytes();
        let error = store.unpack(None, None, None, &mut archive.as_slice(), &limits).unwrap_err();
        let Error::Limit { setting: named, .. } = error else { panic!("{error}") };
        assert_eq!(named, setting);
        assert!(error.to_string().contains(setting));
        assert!(store.layers().unwrap().is_empty());
        assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 0);
    };
    let many = (0..20).fold(Tar::default(), |tar, number| tar.file(&format!("f{number}"), ""));
    refused(Limits { max_entries: 10, ..Limits::default() }, many, storage::ENTRIES_SETTING);
    let big = Tar::default().file("f", &"x".repeat(10_000));
    refused(Limits { max_bytes: 5000, ..Limits::default() }, big, storage::BYTES_SETTING);
    // The size is only claimed.
    let claimed = Tar::default().pax(&[("size", b"9000000000000000000")]).file("f", "x");
    refused(Limits::default(), claimed, storage::BYTES_SETTING);
    let sparse =
        Tar::default().pax(&[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"9000000000000000000")]).file("f", "x");
    refused(Limits::default(), sparse, storage::BYTES_SETTING);
    let from = Limits::from_settings(|name| (name == storage::RATIO_SETTING).then(|| "7".to_owned())).unwrap();
    assert_eq!(from, Limits { max_ratio: 7, ..Limits::default() });
    assert!(Limits::from_settings(|_| Some("many".to_owned())).is_err());
    Ok(())
}

fn bombs() -> Outcome {
    let place = Place::new();
    let store = place.store();
    // 4 GiB of zeros in one entry: a few megabytes of gzip, kilobytes of zstd.
    let mut header = Tar::default().pax(&[("size", b"4294967296")]).file("zeros", "").0;
    header.truncate(header.len());
    let whole = || header.clone().into_iter().collect::<Vec<u8>>();
    let zstd = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut encoder, &whole()).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(4 << 30), &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    let mut reader = storage::decompress(Box::new(std::io::Cursor::new(zstd))).unwrap();
    let error = store.unpack(None, None, None, &mut reader, &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Limit { setting: storage::RATIO_SETTING, .. }), "{error}");
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 0);
    Ok(())
}

fn absurd() -> Outcome {
    let watched = Watched::new();
    let patch = |at: usize, bytes: &[u8]| {
        let mut archive = Tar::default().file("f", "x").bytes();
        archive[at..at + bytes.len()].copy_from_slice(bytes);
        fix_sum(&mut archive[..512]);
        archive
    };
    for archive in [
        patch(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        patch(124, b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        patch(124, b"99999999999\0"),
        patch(108, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        patch(108, b"hello!!\0"),
        patch(136, b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        patch(148, b"garbage!"),
    ]
    .into_iter()
    .chain([
        Tar::default().pax(&[("path", "a/".repeat(3000).as_bytes())]).file("x", "x").bytes(),
        Tar::default().pax(&[("path", "n".repeat(300).as_bytes())]).file("x", "x").bytes(),
        Tar::default().pax(&[("linkpath", "n".repeat(5000).as_bytes())]).symlink("x", "y").bytes(),
        Tar::default().pax(&[("mtime", b"1e999")]).file("x", "x").bytes(),
        Tar::default().pax(&[("uid", b"99999999999999999999")]).file("x", "x").bytes(),
        Tar::default().raw(b'x', "pax", "", 0, (0, 0), b"99999999 path=x\n").file("x", "x").bytes(),
        Tar::default().raw(b'x', "pax", "", 0, (0, 0), b"1 path=x\n").file("x", "x").bytes(),
        Tar::default().raw(b'S', "f", "", 0, (0, 0), b"x").bytes(),
        Tar::default().file("f", &"x".repeat(5000)).0[..2000].to_vec(),
        b"this is no archive at all".to_vec(),
        vec![0xff; 4096],
    ]) {
        let archive = &archive;
        // The last patch is put right again by the sum, so it may pass.
        let result = unpack(&watched.store, archive);
        assert!(!matches!(result, Err(Error::Io { .. })), "{result:?}");
        watched.assert_untouched();
    }
    let empty = unpack(&watched.store, &[]).unwrap();
    assert_eq!(empty.size, 0);
    Ok(())
}

fn fix_sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// xorshift64: the same archives on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
    }
}

fn mutated() -> Outcome {
    let watched = Watched::new();
    let canary = watched.place.dir.join("canary").display().to_string();
    let seeds: Vec<Vec<u8>> = [
        Tar::default().dir("a/").file("a/f", "hello").symlink("a/l", "f").link("a/h", "a/f").file(".wh.b", ""),
        Tar::default()
            .pax(&[("path", b"p/long"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")])
            .file("x", "data")
            .pax(&[("linkpath", canary.as_bytes())])
            .symlink("p/out", "y")
            .file("p/out/file", "evil"),
        Tar::default().pax(&[("GNU.sparse.map", b"0,2,10,2"), ("GNU.sparse.size", b"20")]).file("s", "abcd"),
        Tar::default().raw(b'L', "././@LongLink", "", 0, (0, 0), &[b'n'; 150]).file("short", "x"),
        Tar::default().dir("d/").file("d/.wh..wh..opq", "").file("d/x", "").raw(b'6', "d/fifo", "", 0o600, (1, 1), b""),
        Tar::default()
            .raw(b'g', "global", "", 0, (0, 0), b"14 comment=hi\n")
            .symlink("loop", "loop")
            .file("loop/x", ""),
    ]
    .into_iter()
    .map(Tar::bytes)
    .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0u32, 0u32);
    let begun = processor_time();
    for round in 0..4000 {
        let mut archive = seeds[random.next(seeds.len())].clone();
        for _ in 0..=random.next(4) {
            let at = random.next(archive.len());
            match random.next(6) {
                0 => archive[at] = u8::try_from(random.next(256)).unwrap(),
                1 => archive[at] ^= 1 << random.next(8),
                2 => archive.truncate(at),
                3 => {
                    let text: &[u8] =
                        [b"../".as_slice(), b"/", b"\0", b"\xff\xff\xff\xff", b"99999999", b".wh."][random.next(6)];
                    let end = (at + text.len()).min(archive.len());
                    archive[at..end].copy_from_slice(&text[..end - at]);
                }
                4 => {
                    // A whole block again, elsewhere.
                    let from = at / 512 * 512;
                    if from + 512 <= archive.len() {
                        let block = archive[from..from + 512].to_vec();
                        let to = random.next(archive.len()) / 512 * 512;
                        archive.splice(to..to, block);
                    }
                }
                _ => {
                    // Another type of entry.
                    let header = at / 512 * 512;
                    if header + 512 <= archive.len() {
                        archive[header + 156] = b"01234567xgLKSV"[random.next(14)];
                    }
                }
            }
            if archive.is_empty() {
                break;
            }
        }
        if random.next(8) > 0 {
            for header in archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
                fix_sum(header);
            }
        }
        match unpack(&watched.store, &archive) {
            Ok(layer) => {
                good += 1;
                watched.store.remove_layer(&layer.chain_id).unwrap();
                watched.store.empty_trash().unwrap();
            }
            Err(Error::Io { action, path, source }) => panic!("round {round}: {action} {}: {source}", path.display()),
            Err(_) => bad += 1,
        }
        if round % 100 == 0 {
            watched.assert_untouched();
        }
    }
    watched.assert_untouched();
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad: the mutations test nothing");
    assert!(processor_time() - begun < 60, "{} s of the processor", processor_time() - begun);
    Ok(())
}

/// Seconds that this process has worked: what it waits for on a machine under load does not count.
fn processor_time() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec
}
