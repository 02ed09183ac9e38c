//! Records, names, volumes, the account of the disk.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::process::Command;

use serde::{Deserialize, Serialize};
use storage::{Depth, Digest, Durability, Error, Finding, Limits, Record, Used, Volume, names, record};

use crate::archives::{Tar, base};
use crate::mounts::with_root;
use crate::{Outcome, Place, Test};

pub(crate) const TESTS: &[Test] = &[
    ("records_are_replaced_whole_and_carry_a_version", versions),
    ("a_damaged_record_is_set_aside_and_the_others_are_read", damaged),
    ("a_newer_store_is_refused", newer),
    ("a_directory_with_other_files_is_no_store", not_ours),
    ("a_store_can_be_moved", moved),
    ("a_name_has_one_holder", name_holders),
    ("blobs_are_what_their_digest_says", blobs),
    ("volumes_are_made_listed_and_removed", volumes),
    ("usage_is_what_du_says", usage),
    ("a_used_store_has_no_findings", no_findings),
    ("what_is_wrong_is_found_and_cured", findings),
    ("nothing_is_collected_while_somebody_adds", collecting),
];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    name: String,
    number: u32,
}

impl Record for Thing {
    const VERSION: u32 = 3;

    fn upgrade(from: u32, mut value: serde_json::Value) -> serde_json::Value {
        if from < 2 {
            value["number"] = 7.into();
        }
        value
    }
}

fn versions() -> Outcome {
    let place = Place::new();
    let path = place.dir.join("thing.json");
    assert_eq!(record::read_optional::<Thing>(&path).unwrap(), None);
    let thing = Thing { name: "a".to_owned(), number: 1 };
    for durability in [Durability::Visible, Durability::Durable] {
        record::write(&path, &thing, durability).unwrap();
        assert_eq!(record::read::<Thing>(&path).unwrap(), thing);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\":3,\"name\":\"a\",\"number\":1}\n");
    assert_eq!(fs::read_dir(&place.dir).unwrap().count(), 1);
    fs::write(&path, "{\"version\":1,\"name\":\"old\"}").unwrap();
    assert_eq!(record::read::<Thing>(&path).unwrap(), Thing { name: "old".to_owned(), number: 7 });
    fs::write(&path, "{\"version\":4,\"name\":\"new\"}").unwrap();
    assert!(matches!(record::read::<Thing>(&path), Err(Error::TooNew { found: 4, known: 3, .. })));

    // Writers in a row while a reader looks: it never sees a torn one, and nothing stays beside it.
    record::write(&path, &thing, Durability::Visible).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..200 {
                    let thing = Thing { name: "x".repeat(number as usize * 1000), number };
                    record::write(path, &thing, Durability::Visible).unwrap();
                }
            });
        }
        for _ in 0..500 {
            record::read::<Thing>(&path).unwrap();
        }
    });
    assert_eq!(fs::read_dir(&place.dir).unwrap().count(), 1);
    Ok(())
}

fn damaged() -> Outcome {
    let place = Place::new();
    for (name, text) in [("a", "{\"version\":3,\"name\":\"a\",\"number\":1}"), ("b", "{\"vers"), ("c", ""), ("d", "[]")]
    {
        fs::create_dir(place.dir.join(name)).unwrap();
        fs::write(place.dir.join(name).join("thing.json"), text).unwrap();
    }
    fs::create_dir(place.dir.join("empty")).unwrap();
    let all = record::read_each::<Thing>(&place.dir, "thing.json").unwrap();
    let good: Vec<_> = all.iter().filter(|(_, thing)| thing.is_ok()).map(|(name, _)| name.as_str()).collect();
    assert_eq!((all.len(), good), (4, vec!["a"]));
    let path = place.dir.join("b/thing.json");
    let Some((_, Err(Error::Damaged { path: named, .. }))) = all.iter().find(|(name, _)| name == "b") else {
        panic!("not said to be damaged")
    };
    assert_eq!(*named, path);
    let aside = record::set_aside(&path).unwrap();
    assert_eq!(fs::read_to_string(aside).unwrap(), "{\"vers");
    assert_eq!(record::read_each::<Thing>(&place.dir, "thing.json").unwrap().len(), 3);
    Ok(())
}

fn newer() -> Outcome {
    let place = Place::new();
    let store = place.store();
    fs::write(store.path("version.json"), "{\"version\":99}").unwrap();
    let error = storage::Store::open(store.dirs().clone(), store.options().clone()).unwrap_err();
    assert!(matches!(error, Error::TooNew { found: 99, .. }), "{error}");
    Ok(())
}

fn not_ours() -> Outcome {
    let place = Place::new();
    fs::create_dir(place.dir.join("root")).unwrap();
    fs::write(place.dir.join("root/thesis.txt"), "x").unwrap();
    let dirs =
        storage::Dirs { root: place.dir.join("root"), runroot: place.dir.join("run"), tmp: place.dir.join("tmp") };
    assert!(matches!(storage::Store::open(dirs, Default::default()), Err(Error::Invalid { .. })));
    assert_eq!(fs::read_dir(place.dir.join("root")).unwrap().count(), 1);
    Ok(())
}

fn moved() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let id = base(&store);
    with_root(&store, std::slice::from_ref(&id), &place.container("one"), |root| {
        fs::write(root.join("x"), "x").unwrap()
    })?;
    let new = place.dir.join("elsewhere");
    fs::rename(&store.dirs().root, &new).unwrap();
    let dirs = storage::Dirs { root: new.clone(), ..store.dirs().clone() };
    let store = storage::Store::open(dirs, Default::default()).unwrap();
    with_root(&store, &[id], &new.join("containers/one"), |root| {
        assert!(root.join("x").exists());
        assert!(root.join("etc/passwd").exists());
    })
}

fn name_holders() -> Outcome {
    let place = Place::new();
    let dir = place.dir.join("names/containers");
    names::reserve(&dir, "web", "id1").unwrap();
    names::reserve(&dir, "web", "id1").unwrap();
    let Err(Error::NameTaken { name, holder, .. }) = names::reserve(&dir, "web", "id2") else { panic!("taken twice") };
    assert_eq!((name.as_str(), holder.as_str()), ("web", "id1"));
    names::release(&dir, "web", "id2").unwrap();
    assert_eq!(names::resolve(&dir, "web").unwrap().as_deref(), Some("id1"));
    names::rename(&dir, "web", "a/b:1 .x", "id1").unwrap();
    assert_eq!(names::list(&dir).unwrap(), [("a/b:1 .x".to_owned(), "id1".to_owned())]);
    names::reserve_from_dead(&dir, "a/b:1 .x", "id2", |holder| holder == "id1").unwrap();
    assert_eq!(names::sweep(&dir, |_| true).unwrap(), ["a/b:1 .x"]);
    assert_eq!(names::resolve(&dir, "web").unwrap(), None);
    for bad in ["", &"x".repeat(256), &"/".repeat(100)] {
        assert!(matches!(names::reserve(&dir, bad, "id"), Err(Error::Invalid { .. })));
    }
    for name in ["..", ".", "/", "%", "a%2Fb", "\u{fc}"] {
        names::reserve(&dir, name, "id").unwrap();
        assert_eq!(names::resolve(&dir, name).unwrap().as_deref(), Some("id"));
    }
    assert_eq!(names::list(&dir).unwrap().len(), 6);
    Ok(())
}

fn blobs() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"hello").unwrap();
    let digest = writer.commit(None).unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(store.read_blob(&digest).unwrap(), b"hello");
    assert_eq!(store.put_blob(b"hello").unwrap(), digest);
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"other").unwrap();
    assert!(matches!(writer.commit(Some(&digest)), Err(Error::Mismatch { .. })));
    drop(store.blob_writer().unwrap());
    assert_eq!(store.blobs().unwrap(), std::slice::from_ref(&digest));
    assert_eq!(fs::read_dir(store.path("staging")).unwrap().count(), 0);
    fs::write(store.blob_path(&digest), b"hellO").unwrap();
    assert!(matches!(store.read_blob(&digest), Err(Error::Damaged { .. })));
    store.remove_blob(&digest).unwrap();
    assert!(matches!(store.open_blob(&digest), Err(Error::NotFound { .. })));
    Ok(())
}

fn volumes() -> Outcome {
    let place = Place::new();
    let store = place.store();
    let volume = |name: &str| Volume { name: name.to_owned(), uid: 5, gid: 6, ..Volume::default() };
    let made = store.create_volume(volume("data")).unwrap();
    assert_eq!((made.driver.as_str(), made.created.0 > 0), ("local", true));
    assert!(matches!(store.create_volume(volume("data")), Err(Error::NameTaken { .. })));
    assert_eq!(store.volume("data").unwrap(), Some(made.clone()));
    use std::os::unix::fs::MetadataExt;
    let stat = fs::metadata(store.volume_mountpoint("data")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (5, 6, 0o755));
    for bad in ["", ".x", "../x", "a/b", "-a"] {
        assert!(matches!(store.create_volume(volume(bad)), Err(Error::Invalid { .. })), "{bad}");
    }
    store.update_volume(&Volume { needs_copy_up: true, ..made }).unwrap();
    assert!(store.volumes().unwrap()[0].1.as_ref().unwrap().needs_copy_up);
    drop(store.lock_volume("data").unwrap());
    store.remove_volume("data").unwrap();
    assert!(matches!(store.remove_volume("data"), Err(Error::NotFound { .. })));
    assert!(store.volumes().unwrap().is_empty());
    store.sweep().unwrap();
    assert_eq!(fs::read_dir(store.path("trash")).unwrap().count(), 0);
    Ok(())
}

fn filled() -> Result<(Place, storage::Store, Digest), crate::Skip> {
    let place = Place::new();
    let store = place.store();
    let low = base(&store);
    let top = Tar::default().file("big", &"x".repeat(300_000)).file("etc/.wh.gone", "").unpack(&store, Some(&low));
    store.settle(&[low.clone(), top.clone()]).unwrap();
    store.put_blob(b"config").unwrap();
    store.create_volume(Volume { name: "v".to_owned(), ..Volume::default() }).unwrap();
    fs::write(store.volume_mountpoint("v").join("data"), vec![1; 50_000]).unwrap();
    let container = place.container("one");
    with_root(&store, &[low, top.clone()], &container, |root| fs::write(root.join("new"), vec![2; 70_000]).unwrap())?;
    fs::write(container.join("container.json"), "{\"version\":1}").unwrap();
    Ok((place, store, top))
}

fn usage() -> Outcome {
    let (_place, store, top) = filled()?;
    let usage = store.usage().unwrap();
    let du = Command::new("du").args(["-s", "-B1"]).arg(&store.dirs().root).output().unwrap();
    let du: u64 = String::from_utf8(du.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(usage.total.disk, du);
    assert!(usage.layers[&top].disk >= 300_000);
    assert!(usage.volumes["v"].apparent >= 50_000);
    assert!(usage.containers["one"].disk >= 70_000);
    assert_eq!(usage.blobs.len(), 1);
    Ok(())
}

fn used_by(top: &Digest) -> Used {
    let config = Digest::of(b"config");
    Used { layers: HashSet::from([top.clone()]), blobs: HashSet::from([config.clone()]), needed: vec![vec![config]] }
}

fn no_findings() -> Outcome {
    let (_place, store, top) = filled()?;
    let found = store.check(Depth::Content, || Ok::<_, Error>(used_by(&top))).unwrap();
    assert_eq!(found, []);
    Ok(())
}

fn findings() -> Outcome {
    let (place, store, top) = filled()?;
    let lone = Tar::default().file("lone", "x").unpack(&store, None);
    let broken = Tar::default().file("broken", "x").unpack(&store, None);
    fs::write(store.path("layers").join(broken.hex()).join("layer.json"), "{").unwrap();
    let blob = store.put_blob(b"blob").unwrap();
    let bad = store.put_blob(b"bad").unwrap();
    fs::write(store.blob_path(&bad), b"BAD").unwrap();
    place.container("stray");
    fs::write(place.container("one").join("container.json"), "").unwrap();
    fs::create_dir(store.path("layers/nonsense")).unwrap();
    let missing = Digest::of(b"missing");
    let used = || {
        let mut used = used_by(&top);
        used.layers.insert(missing.clone());
        used.blobs.extend([bad.clone(), missing.clone()]);
        used.needed.extend([vec![bad.clone()], vec![missing.clone()]]);
        Ok::<_, Error>(used)
    };
    let found = store.check(Depth::Content, used).unwrap();
    for expected in [
        Finding::UnusedLayer { chain_id: lone },
        Finding::IncompleteLayer { path: store.path("layers").join(broken.hex()) },
        Finding::UnusedBlob { digest: blob },
        Finding::DamagedBlob { digest: bad.clone() },
        Finding::NoRecord { path: store.path("containers/stray") },
        Finding::Stranger { path: store.path("layers/nonsense") },
        Finding::MissingLayer { chain_id: missing.clone() },
        Finding::MissingBlob { digest: missing.clone() },
    ] {
        assert!(found.contains(&expected), "{expected:?} not in {found:#?}");
    }
    assert!(found.iter().any(|finding| matches!(finding, Finding::DamagedRecord { .. })));
    assert_eq!(found.len(), 9);
    assert_eq!(store.repair(&found).unwrap().len(), 3);
    let after = store.check(Depth::Content, used).unwrap();
    // What only a pull brings back, a stranger, and the container whose record was set aside.
    assert_eq!(after.len(), 5, "{after:#?}");
    Ok(())
}

fn collecting() -> Outcome {
    let (_place, store, top) = filled()?;
    let lone = Tar::default().file("lone", "x").unpack(&store, Some(&top));
    let adding = store.adding().unwrap();
    assert_eq!(store.collect(|| Ok::<_, Error>(used_by(&top))).unwrap(), None);
    drop(adding);
    let collected = store.collect(|| Ok::<_, Error>(used_by(&top))).unwrap().unwrap();
    assert_eq!(collected.layers, std::slice::from_ref(&lone));
    assert!(collected.bytes > 0 && collected.blobs.is_empty());
    assert_eq!(store.layer(&lone).unwrap(), None);
    assert!(store.layer(&top).unwrap().is_some());
    let archive = Tar::default().file("lone", "x").bytes();
    store.unpack(Some(&top), None, None, &mut archive.as_slice(), &Limits::default()).unwrap();
    Ok(())
}
