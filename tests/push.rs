//! `push`

use crate::lab::Lab;
use crate::lab::image::box_draft;
use crate::lab::registry::{Guarded, Registry};

#[test]
fn what_was_pushed_can_be_pulled() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("pushed/box:v2");
    lab.ok(&format!("push -q --tls-verify=false box {name}"));
    let manifest: serde_json::Value = serde_json::from_str(&registry.manifest("pushed/box:v2")).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    lab.ok("rmi box");
    lab.ok(&format!("pull -q --tls-verify=false {name}"));
    assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /content/one")), "one");
}

#[test]
fn a_tagged_image_needs_no_destination() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("tagged:v1");
    lab.ok(&format!("tag box {name}"));
    lab.ok(&format!("push -q --tls-verify=false --digestfile digest {name}"));
    let digest = format!("sha256:{}", crate::lab::image::sha256(registry.manifest("tagged:v1").as_bytes()));
    assert_eq!(lab.read("digest").trim(), digest);
}

#[test]
fn manifests_are_of_the_kind_that_was_asked_for() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    for (format, kind) in [
        ("oci", "application/vnd.oci.image.manifest.v1+json"),
        ("v2s2", "application/vnd.docker.distribution.manifest.v2+json"),
    ] {
        let name = registry.name(&format!("kind:{format}"));
        lab.ok(&format!("push -q --tls-verify=false -f {format} box {name}"));
        let manifest: serde_json::Value = serde_json::from_str(&registry.manifest(&format!("kind:{format}"))).unwrap();
        assert_eq!(manifest["mediaType"], kind);
    }
}

#[test]
fn a_committed_image_is_pushed_with_all_its_layers() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    lab.ok("run --name one --network none box sh -c 'echo new > /new'");
    lab.ok("commit -q one derived");
    let name = registry.name("derived:latest");
    lab.ok(&format!("push -q --tls-verify=false derived {name}"));
    lab.ok("rm one");
    lab.ok("rmi -a -f");
    lab.ok(&format!("pull -q --tls-verify=false {name}"));
    assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /new /content/one")), "new\none");
}

#[test]
fn files_and_folders_are_destinations_too() {
    let lab = Lab::new();
    lab.ok(&format!("push -q box oci:{}:v1", lab.path("layout").display()));
    assert!(lab.path("layout/index.json").exists());
    lab.ok(&format!("push -q box docker-archive:{}:localhost/again:latest", lab.path("a.tar").display()));
    lab.ok("rmi -a -f");
    lab.ok("load -q -i a.tar");
    assert_eq!(lab.ok("image inspect --format {{.Id}} localhost/again"), box_draft().id());
}

#[test]
fn errors_name_what_is_missing() {
    let lab = Lab::new();
    let error = lab.creel("push -q nosuch 127.0.0.1:1/x").run().fails(125);
    assert!(error.contains("nosuch: image not known"), "{error}");
    let error = lab.creel("push -q --retry 0 --tls-verify=false box 127.0.0.1:1/x").run().fails(125);
    assert!(error.contains("connection refused"), "{error}");
    lab.creel("push -q box").run().fails(125);
}

#[test]
fn layers_are_compressed_anew_when_that_is_forced() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:gzip", crate::lab::image::Compression::Gzip);
    let name = registry.name("box:gzip");
    lab.ok(&format!("pull -q --tls-verify=false {name}"));
    let kind = |tag: &str| -> String {
        let manifest: serde_json::Value = serde_json::from_str(&registry.manifest(&format!("box:{tag}"))).unwrap();
        manifest["layers"][0]["mediaType"].as_str().unwrap().rsplit('+').next().unwrap().to_owned()
    };
    let push = |flags: &str, tag: &str| {
        lab.creel(&format!("push -q --tls-verify=false {flags} {name} {}", registry.name(&format!("box:{tag}")))).run()
    };
    push("--compression-format zstd --compression-level 3 --force-compression", "zstd").ok();
    assert_eq!((kind("gzip").as_str(), kind("zstd").as_str()), ("gzip", "zstd"));
    push("--compression-format zstd", "asked").ok();
    push("--compression-format zstd --force-compression=false", "left").ok();
    assert_eq!((kind("asked").as_str(), kind("left").as_str()), ("zstd", "gzip"));
    push("--force-compression", "forced").ok();
    push("--compression-format colour", "x").fails(125);
    push("--format colour", "x").fails(125);
    push("--authfile nosuch.json", "x").fails(125);
    let error = push("--sign-by nobody@nowhere.test", "x").fails(125);
    assert!(error.contains("sign"), "{error}");
}
