//! A store on a file system that fills up.

use std::path::Path;

use crate::lab::{Lab, Place, eventually, is_podman};

/// A small file system for a store.
fn small(lab: &Lab, megabytes: u32) -> Option<Place> {
    let script = format!(
        "truncate -s {megabytes}M $own/image; mkfs.ext4 -q -m 0 -O ^has_journal $own/image; mount -o loop $own/image $place"
    );
    Place::mount(lab, &script)
}

fn free(place: &Path) -> u64 {
    let stat = rustix::fs::statvfs(place).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[test]
fn a_full_store_still_answers_and_can_be_emptied() {
    let lab = Lab::empty();
    let Some(small) = small(&lab, 24) else { return };
    let options = small.options();
    let creel = |line: &str| lab.creel(&format!("{options} {line}")).run();
    creel(&format!("load -q -i {}", lab.box_archive().display())).ok();
    creel("run -d --name idle --network none box idle").ok();
    let outcome = creel("run --name fat --network none box dd if=/dev/zero of=/fat bs=64k");
    assert_eq!(outcome.exit_code(), 1, "{outcome}");
    assert!(outcome.err().contains("No space left on device"), "{outcome}");
    assert!(free(&small.path) < 300_000);
    // Everything that only looks works, and so does what makes room.
    assert_eq!(creel("ps -a --format {{.Names}}").ok().lines().count(), 2);
    creel("inspect idle").ok();
    creel("logs fat").ok();
    creel("images").ok();
    let refused = creel(&format!("load -q -i {}", lab.write("big.tar", big()).display()));
    let error = refused.fails(125);
    assert!(error.to_lowercase().contains("no space left on device"), "{error}");
    let _ = creel("run --rm --network none box true").exit_code();
    creel("stop -t 0 idle").ok();
    creel("rm fat").ok();
    assert_eq!(creel("run --rm --network none box echo room").ok(), "room");
    if !is_podman() {
        creel("system check").ok();
    }
    creel("rm -f -t 0 idle").ok();
    creel("rmi -a -f").ok();
    if is_podman() {
        lab.kill_what_is_left();
    }
}

#[test]
fn an_image_that_does_not_fit_leaves_nothing() {
    let lab = Lab::empty();
    let Some(small) = small(&lab, 12) else { return };
    let options = small.options();
    let creel = |line: &str| lab.creel(&format!("{options} {line}")).run();
    creel("images").ok();
    let before = free(&small.path);
    let archive = lab.write("big.tar", big());
    for _ in 0..3 {
        let error = creel(&format!("load -q -i {}", archive.display())).fails(125);
        assert!(error.to_lowercase().contains("no space left on device"), "{error}");
        assert_eq!(creel("images -q").ok(), "");
    }
    if !is_podman() {
        let now = free(&small.path);
        assert!(before.saturating_sub(now) < 500_000, "{before} free before, {now} now");
        creel("system check").ok();
    }
    creel(&format!("load -q -i {}", lab.box_archive().display())).ok();
    creel("run --rm --network none box true").ok();
    if is_podman() {
        lab.kill_what_is_left();
    }
}

#[test]
fn a_play_that_does_not_fit_says_so_and_leaves_nothing() {
    if is_podman() {
        return;
    }
    let lab = Lab::empty();
    let Some(small) = small(&lab, 24) else { return };
    let options = small.options();
    let creel = |line: &str| lab.creel(&format!("{options} {line}")).within(60).run();
    creel(&format!("load -q -i {}", lab.box_archive().display())).ok();
    lab.write("all.yaml", PLAYED);
    // Once where all of it fits, for what the store keeps anyway.
    creel("kube play all.yaml").ok();
    creel("kube down --force all.yaml").ok();
    let (filler, mut failed) = (small.path.join("filler"), 0);
    for left in [4, 16, 40, 80, 120, 160, 240, 400] {
        let room = free(&small.path).saturating_sub(left * 1024);
        std::fs::write(&filler, vec![b'x'; usize::try_from(room).unwrap()]).unwrap();
        let played = creel("kube play all.yaml");
        if played.exit_code() != 0 {
            failed += 1;
            assert!(played.err().to_lowercase().contains("no space left on device"), "{left} KiB: {played}");
            for list in ["pod ps -q", "ps -aq", "secret ls -q", "volume ls -q", "kube get all --no-headers"] {
                assert_eq!(creel(list).ok(), "", "{left} KiB: {list}");
            }
        }
        std::fs::remove_file(&filler).unwrap();
        creel("kube down --force all.yaml").ok();
    }
    assert!(failed > 0, "all of it fitted every time");
    creel("kube play all.yaml").ok();
    creel("kube down --force all.yaml").ok();
    creel("system check").ok();
    creel("rmi -a -f").ok();
    eventually("nobody is left", || lab.processes().is_empty());
}

const PLAYED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { word: hello }
---
apiVersion: v1
kind: Secret
metadata: { name: pass }
stringData: { pass: sesame }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: store }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: it
        image: localhost/box
        command: [idle]
        volumeMounts: [{ name: words, mountPath: /w }, { name: store, mountPath: /s }]
      volumes:
      - { name: words, configMap: { name: words } }
      - { name: store, persistentVolumeClaim: { claimName: store } }
---
apiVersion: v1
kind: Pod
metadata: { name: one }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: it, image: localhost/box, command: [idle] }]
";

/// An image of 16 MB that does not compress.
fn big() -> Vec<u8> {
    let mut draft = crate::lab::image::box_draft().clone();
    let mut state = 1u64;
    let noise: Vec<u8> = (0..16_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    draft.layers.push(crate::lab::archive::Archive::new().file("noise", 0o644, noise).bytes());
    draft.docker_archive(&["localhost/big:latest"])
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_leaves_nothing() {
    let lab = Lab::new();
    lab.write("noise", vec![7; 1 << 20]);
    lab.ok("create --name one --network none box true");
    for line in ["save -q -o box.tar box", "export -o one.tar one", "cp noise one:/noise"] {
        let outcome = lab.shell(&format!("ulimit -f 100; creel {line}")).run();
        assert_eq!(outcome.exit_code(), 125, "{line}");
    }
    if !is_podman() {
        assert!(!lab.path("box.tar").exists());
    }
    let limited = lab.shell("ulimit -f 100; creel run --rm --network none box sh -c 'head -c 200000 /dev/zero > /f'");
    assert_ne!(limited.run().exit_code(), 0);
    assert_eq!(lab.ok("ps -aq --filter name=one").lines().count(), 1);
}
