//! `manifest ...`: lists of images for several platforms.

use serde_json::Value;

use crate::lab::image::{Compression, box_draft, sha256};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, differs_on_purpose, is_podman};

const PLAIN: &str = "--tls-verify=false";

/// The box for this machine and one that says it is for another.
fn two_images() -> Lab {
    let lab = Lab::new();
    let archive = lab.write("layer.tar", &box_draft().layers[0]);
    lab.ok(&format!("import -q --arch arm64 --variant v8 {} other", archive.display()));
    lab
}

fn platforms(list: &Value) -> Vec<String> {
    let of = |entry: &Value| {
        let word = |key: &str| entry["platform"][key].as_str().unwrap_or_default().to_owned();
        format!("{}/{}/{}", word("os"), word("architecture"), word("variant"))
    };
    list["manifests"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_list_is_made_filled_shown_and_removed() {
    let lab = two_images();
    let id = lab.ok("manifest create --annotation about=boxes list");
    assert_eq!(id.len(), 64);
    assert_eq!(lab.ok("manifest add list box"), id);
    assert_eq!(lab.ok("manifest add --annotation a=b list containers-storage:localhost/other"), id);
    let list = lab.json("manifest inspect list");
    assert_eq!(list["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(list["annotations"]["about"], "boxes");
    assert_eq!(platforms(&list), ["linux/amd64/", "linux/arm64/v8"]);
    assert_eq!(list["manifests"][1]["annotations"]["a"], "b");
    assert_eq!(lab.ok("images --format {{.Repository}} --filter manifest=true"), "localhost/list");
    assert_eq!(lab.ok("images --filter manifest=false -q").lines().count(), 2);
    assert_eq!(lab.creel("manifest exists list").run().exit_code(), 0);
    assert_eq!(lab.creel("manifest exists nosuch").run().exit_code(), 1);
    assert!(lab.creel("manifest exists box").run().fails(125).contains("image is not a manifest list"));
    let digest = list["manifests"][1]["digest"].as_str().unwrap();
    assert_eq!(lab.ok(&format!("manifest remove list {digest}")), id);
    assert_eq!(platforms(&lab.json("manifest inspect list")), ["linux/amd64/"]);
    let error = lab.creel(&format!("manifest remove list {digest}")).run().fails(125);
    assert!(error.contains("no instance matching"), "{error}");
    assert_eq!(lab.ok("manifest rm list"), format!("Untagged: localhost/list:latest\nDeleted: {id}"));
    lab.creel("manifest rm list").run().fails(1);
    lab.ok("manifest rm --ignore list");
    assert_eq!(lab.ok("images -q").lines().count(), 2);
}

#[test]
fn what_is_said_of_an_image_can_be_changed() {
    let lab = two_images();
    lab.ok("manifest create list box other");
    lab.ok("manifest add --arch riscv64 --os-version 7 --annotation x=y list box");
    let list = lab.json("manifest inspect list");
    let entries = list["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "the same image is in it once: {list}");
    let boxed = entries.iter().find(|entry| entry["platform"]["architecture"] == "riscv64").unwrap();
    assert_eq!((&boxed["platform"]["os.version"], &boxed["annotations"]["x"]), (&"7".into(), &"y".into()));
    let digest = boxed["digest"].as_str().unwrap().to_owned();
    lab.ok(&format!("manifest annotate --arch s390x --annotation p=q list {digest}"));
    lab.ok("manifest annotate --index --annotation top=1 list");
    let list = lab.json("manifest inspect list");
    let boxed = list["manifests"].as_array().unwrap().iter().find(|entry| entry["digest"] == *digest).unwrap().clone();
    assert_eq!(boxed["platform"]["architecture"], "s390x");
    assert_eq!((&boxed["annotations"]["x"], &boxed["annotations"]["p"]), (&"y".into(), &"q".into()));
    assert_eq!(list["annotations"]["top"], "1");
    lab.creel("manifest annotate list").run().fails(125);
    if !is_podman() {
        lab.creel(&format!("manifest annotate --arch arm list sha256:{}", "0".repeat(64))).run().fails(125);
    }
}

#[test]
fn a_name_that_is_taken_is_refused_and_amended_when_asked() {
    let lab = two_images();
    let id = lab.ok("manifest create list");
    let error = lab.creel("manifest create list box").run().fails(125);
    assert!(error.contains("already in use") && error.contains(&id), "{error}");
    assert_eq!(lab.ok("manifest create --amend list other"), id);
    assert_eq!(platforms(&lab.json("manifest inspect list")), ["linux/arm64/v8"]);
    for line in ["manifest create BAD", "manifest create", "manifest create --annotation x new", "manifest add list"] {
        lab.creel(line).run().fails(125);
    }
    assert_eq!(lab.ok("images --filter manifest=true -q").lines().count(), 1);
}

#[test]
fn a_list_stands_for_its_image_of_this_machine() {
    let lab = two_images();
    lab.ok("manifest create list other box");
    assert_eq!(lab.ok("run --rm --network none list echo from the list"), "from the list");
    assert_eq!(lab.ok("image inspect --format {{.Id}} list"), lab.ok("image inspect --format {{.Id}} box"));
    lab.ok("tag list second");
    lab.ok("rmi list");
    assert_eq!(lab.ok("manifest inspect second").matches("\"digest\"").count(), 2);
    if differs_on_purpose("podman's rmi removes the image that a list means for this machine") {
        return;
    }
    lab.ok("rmi second");
    assert_eq!(lab.ok("images --format {{.Repository}}").lines().count(), 2);
}

#[test]
fn a_list_is_pushed_with_its_images_and_pulled_again() {
    let lab = two_images();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "far:latest", Compression::Gzip);
    let far = sha256(registry.manifest("far:latest").as_bytes());
    let name = registry.name("list:v1");
    lab.ok("manifest create list other");
    lab.ok(&format!("manifest add {PLAIN} list docker://{}", registry.name("far")));
    lab.ok(&format!("manifest push -q {PLAIN} --digestfile digest list docker://{name}"));
    let text = registry.manifest("list:v1");
    assert_eq!(lab.read("digest").trim(), format!("sha256:{}", sha256(text.as_bytes())));
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(platforms(&list), ["linux/arm64/v8", "linux/amd64/"]);
    assert_eq!(list["manifests"][1]["digest"], format!("sha256:{far}"));
    assert_eq!(lab.json(&format!("manifest inspect {PLAIN} {name}")), list);
    lab.ok("rmi box");
    lab.ok(&format!("pull -q {PLAIN} {name}"));
    assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /content/one")), "one");
    lab.ok(&format!("pull -q {PLAIN} --arch arm64 --variant v8 {name}"));
    assert_eq!(lab.ok(&format!("image inspect --format {{{{.Architecture}}}} {name}")), "arm64");
}

#[test]
fn a_list_is_pushed_with_its_images_compressed_in_another_way_too() {
    let lab = two_images();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    lab.ok("manifest create list");
    lab.ok("manifest add --annotation a=b list containers-storage:localhost/box");
    lab.ok("manifest add list containers-storage:localhost/other");
    let pushed = |flags: &str, list: &str, tag: &str| -> Value {
        lab.ok(&format!("manifest push -q {PLAIN} {flags} {list} docker://{}", registry.name(tag)));
        serde_json::from_str(&registry.manifest(tag)).unwrap()
    };
    let packing = |tag: &str, list: &Value| -> Vec<String> {
        let repository = tag.split(':').next().unwrap();
        let of = |entry: &Value| {
            let reference = format!("{repository}@{}", entry["digest"].as_str().unwrap());
            let manifest: Value = serde_json::from_str(&registry.manifest(&reference)).unwrap();
            let layer = manifest["layers"][0]["mediaType"].as_str().unwrap();
            layer.rsplit(['+', '.']).next().unwrap().to_owned()
        };
        list["manifests"].as_array().unwrap().iter().map(of).collect()
    };
    let list = pushed("--add-compression zstd --force-compression", "list", "one:1");
    assert_eq!(platforms(&list), ["linux/amd64/", "linux/arm64/v8", "linux/amd64/", "linux/arm64/v8"]);
    assert_eq!(packing("one:1", &list), ["gzip", "gzip", "zstd", "zstd"]);
    let mark = |at: usize| &list["manifests"][at]["annotations"]["io.github.containers.compression.zstd"];
    assert_eq!((mark(0), mark(2), mark(3)), (&Value::Null, &"true".into(), &"true".into()));
    assert_eq!(list["manifests"][2]["annotations"]["a"], "b");

    // What is there already is not made twice.
    lab.ok("manifest create full");
    lab.ok(&format!("manifest add --all {PLAIN} full docker://{}", registry.name("one:1")));
    let again = pushed("--add-compression gzip,zstd", "full", "two:1");
    assert_eq!(packing("two:1", &again), ["gzip", "gzip", "zstd", "zstd"]);
    if !is_podman() {
        // Podman goes by the annotations of the list, and by what the registry has.
        assert_eq!(again, list);
        let list = pushed("--compression-format zstd --add-compression gzip", "list", "three:1");
        assert_eq!(packing("three:1", &list), ["zstd", "zstd", "gzip", "gzip"]);
    }

    for (flags, words) in [
        ("--add-compression nosuch", "requested algorithm nosuch is not supported for replication"),
        ("--add-compression zstd --format v2s2", "compression using zstd required together with format"),
        ("--all=false --add-compression zstd", ""),
    ] {
        let line = format!("manifest push -q {PLAIN} {flags} list docker://{}", registry.name("four:1"));
        let error = lab.creel(&line).run().fails(125);
        assert!(error.contains(words), "{flags}: {error}");
    }
    lab.write("containers.conf", "[engine]\nadd_compression = [\"zstd\"]\n");
    let line = format!("manifest push -q {PLAIN} list docker://{}", registry.name("five:1"));
    lab.creel(&line).env("CONTAINERS_CONF", &lab.path("containers.conf").display().to_string()).run().ok();
    let list: Value = serde_json::from_str(&registry.manifest("five:1")).unwrap();
    assert_eq!(platforms(&list).len(), 4);
}

#[test]
fn a_list_is_pushed_in_dockers_form_and_removed_when_asked() {
    let lab = two_images();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    lab.ok("manifest create list box other");
    let push = format!("manifest push -q {PLAIN} --format v2s2 --rm list docker://{}", registry.name("list:docker"));
    lab.ok(&push);
    let list: Value = serde_json::from_str(&registry.manifest("list:docker")).unwrap();
    assert_eq!(list["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
    assert_eq!(list["manifests"][0]["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(lab.creel("manifest exists list").run().exit_code(), 1);
    lab.creel(&format!("manifest push {PLAIN} nosuch docker://{}", registry.name("x"))).run().fails(125);
    // All of a registry's list, and nothing of the images themselves.
    lab.ok("manifest create copy");
    lab.ok(&format!("manifest add {PLAIN} --all copy docker://{}", registry.name("list:docker")));
    assert_eq!(platforms(&lab.json("manifest inspect copy")), ["linux/amd64/", "linux/arm64/v8"]);
    if !differs_on_purpose("a list of Docker's images alone is one of Docker's") {
        assert_eq!(lab.json("manifest inspect copy")["mediaType"], list["mediaType"]);
    }
}

#[test]
fn what_a_list_needs_stays_when_its_image_goes() {
    if differs_on_purpose("podman's list loses the image") {
        return;
    }
    let lab = two_images();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    lab.ok("manifest create list box");
    lab.ok("rmi box");
    lab.ok("system check");
    lab.ok(&format!("manifest push -q {PLAIN} list docker://{}", registry.name("kept")));
    lab.ok(&format!("pull -q {PLAIN} {}", registry.name("kept")));
    assert_eq!(lab.ok(&format!("run --rm --network none {} cat /content/one", registry.name("kept"))), "one");
    lab.ok("rmi -a -f");
    assert_eq!(lab.creel("manifest exists list").run().exit_code(), 1);
    assert_eq!(lab.ok("images -aq"), "");
}
