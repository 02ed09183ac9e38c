//! Podman's annotations of claims: where a volume's content comes from.

use crate::lab::archive::Archive;
use crate::lab::{Lab, differs_on_purpose};

fn claim(name: &str, annotations: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{ name: {name}, annotations: {{ {annotations} }} }}
spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Gi }} }} }}
"
    )
}

fn in_volume(lab: &Lab, name: &str, script: &str) -> String {
    lab.creel_words(&["run", "--rm", "-v", &format!("{name}:/v"), "localhost/box", "sh", "-c", script]).run().ok()
}

#[test]
fn a_claim_begins_with_the_content_of_an_archive() {
    let lab = Lab::new();
    lab.write("seed.tar", Archive::new().directory("sub", 0o750).file("sub/word", 0o640, "from the archive\n").bytes());
    lab.write("claim.yaml", claim("seeded", "volume.podman.io/import-source: seed.tar"));
    assert_eq!(lab.ok("kube play claim.yaml"), "Volumes:\nseeded");
    assert_eq!(in_volume(&lab, "seeded", "cat /v/sub/word; stat -c %a /v/sub"), "from the archive\n750");
    if differs_on_purpose("podman imports it again with each play, over what has been written since") {
        return;
    }
    in_volume(&lab, "seeded", "echo own > /v/sub/word");
    lab.ok("kube play claim.yaml");
    assert_eq!(in_volume(&lab, "seeded", "cat /v/sub/word"), "own");
}

#[test]
fn an_archive_that_is_none_makes_no_volume() {
    let lab = Lab::new();
    lab.write("text", "no archive\n");
    for source in ["none.tar", "text", "/"] {
        lab.write("claim.yaml", claim("seeded", &format!("volume.podman.io/import-source: {source}")));
        let error = lab.creel("kube play claim.yaml").run().fails(125);
        assert!(error.starts_with("Error: "), "{error}");
        assert_eq!(lab.ok("volume ls -q"), "", "{source}");
    }
}

#[test]
fn a_claim_has_the_files_of_an_image() {
    let lab = Lab::new();
    let annotations = |image: &str| format!("volume.podman.io/driver: image, volume.podman.io/image: {image}");
    lab.write("claim.yaml", claim("files", &annotations("localhost/box:latest")));
    assert_eq!(lab.ok("kube play claim.yaml"), "Volumes:\nfiles");
    assert_eq!(lab.ok("volume inspect files --format '{{.Driver}} {{.Options.image}}'"), "image localhost/box:latest");
    assert!(in_volume(&lab, "files", "ls /v").contains("bin"));
    lab.write("claim.yaml", claim("others", &annotations("localhost/none:latest")));
    let error = lab.creel("kube play claim.yaml").run().fails(125);
    assert!(error.contains("Error: ") && error.contains("localhost/none:latest"), "{error}");
    assert_eq!(lab.ok("volume ls -q"), "files");
}

#[test]
fn a_volume_may_be_called_as_podman_calls_an_anonymous_one() {
    let lab = Lab::new();
    let id = "0123456789abcdef".repeat(4);
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: one }}
spec:
  containers:
  - {{ name: c, image: localhost/box, command: [sleep, '1000'], volumeMounts: [{{ name: {id}-pvc, mountPath: /v }}] }}
  volumes:
  - {{ name: {id}-pvc, persistentVolumeClaim: {{ claimName: {id} }} }}
"
    );
    lab.write("one.yaml", claim(&id, "") + "---" + &pod);
    lab.ok("kube play one.yaml");
    assert_eq!(
        lab.inspect("one-c", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}"),
        format!("volume {id} /v")
    );
}
