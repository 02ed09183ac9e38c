//! policy.json and signatures: what must be signed is taken when it is, and refused when it is not.

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, differs_on_purpose, has_program};

const PLAIN: &str = "--tls-verify=false";
const KEY: &str = "signer@reg.test";

/// A registry whose images must be signed by a key made for it.
fn guarded(lab: &Lab) -> Option<Registry> {
    if !has_program("gpg") || !has_program("gpgconf") {
        return None;
    }
    let registry = Registry::start(lab, Guarded::Plain)?;
    let server = format!("127.0.0.1:{}", registry.port);
    let made = lab.shell(&format!(
        "mkdir -m 700 .gnupg && gpg --batch --quiet --passphrase '' --quick-generate-key {KEY} default default never && \
         gpg --batch --armor --export {KEY} > key.asc && mkdir -p signatures .config/containers/registries.d"
    ));
    made.within(120).run().ok();
    let (signatures, key) = (lab.path("signatures"), lab.path("key.asc"));
    lab.write(
        ".config/containers/registries.d/here.yaml",
        format!(
            "docker:\n  {server}:\n    lookaside: file://{0}\n    lookaside-staging: file://{0}\n",
            signatures.display()
        ),
    );
    let signed = serde_json::json!([{ "type": "signedBy", "keyType": "GPGKeys", "keyPath": key }]);
    let policy = serde_json::json!({
        "default": [{ "type": "reject" }],
        "transports": {
            "docker": { server: signed },
            "dir": { "": [{ "type": "insecureAcceptAnything" }] },
            "docker-archive": { "": [{ "type": "insecureAcceptAnything" }] },
            "containers-storage": { "": [{ "type": "insecureAcceptAnything" }] },
        },
    });
    lab.write(".config/containers/policy.json", policy.to_string());
    Some(registry)
}

/// The key's agent outlives who started it.
fn end_agent(lab: &Lab) {
    lab.shell("gpgconf --kill all").run().ok();
    lab.kill_what_is_left();
}

#[test]
fn a_signed_image_is_taken_and_an_unsigned_one_refused() {
    let lab = Lab::empty();
    let Some(registry) = guarded(&lab) else { return };
    registry.put(box_draft(), "unsigned:latest", Compression::Gzip);
    let error = lab.creel(&format!("pull -q {PLAIN} {}", registry.name("unsigned"))).run().fails(125);
    assert!(error.contains("signature"), "{error}");
    assert_eq!(lab.ok("images -aq"), "");

    let load = format!("load -q -i {}", lab.box_archive().display());
    lab.ok(&load);
    lab.ok("save -q --format oci-archive -o other.tar box");
    let error = lab.creel("load -q -i other.tar").run().fails(125);
    assert!(error.contains("rejected"), "{error}");
    let name = registry.name("signed:v1");
    lab.ok(&format!("push -q {PLAIN} --sign-by {KEY} box {name}"));
    end_agent(&lab);
    lab.ok("rmi box");
    lab.ok(&format!("pull -q {PLAIN} {name}"));
    end_agent(&lab);
    assert_eq!(lab.ok(&format!("run --rm --network none {name} cat /content/one")), "one");

    // The same content under a name that nobody signed.
    let stolen = registry.name("stolen:v1");
    lab.program(&format!("skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false --remove-signatures docker://{name} docker://{stolen}"))
        .run()
        .ok();
    lab.ok("rmi -a -f");
    lab.creel(&format!("pull -q {PLAIN} {stolen}")).run().fails(125);
    assert_eq!(lab.ok("images -aq"), "");
    end_agent(&lab);
}

#[test]
fn a_source_that_is_rejected_is_never_asked() {
    if differs_on_purpose("Podman asks before it looks at its policy") {
        return;
    }
    let lab = Lab::empty();
    lab.write(".config/containers/policy.json", r#"{"default":[{"type":"reject"}]}"#);
    let error = lab.creel("pull -q --retry 0 127.0.0.1:1/box").run().fails(125);
    assert!(error.contains("policy") && !error.contains("connection refused"), "{error}");
    lab.write(".config/containers/policy.json", "{");
    let error = lab.creel("pull -q --retry 0 127.0.0.1:1/box").run().fails(125);
    assert!(error.contains("policy.json") || error.contains("invalid policy"), "{error}");
}

#[test]
fn a_policy_that_is_named_is_obeyed_by_all_that_bring_images() {
    let lab = Lab::new();
    let reject = lab.write("reject.json", r#"{"default":[{"type":"reject"}]}"#);
    let open = lab.write(
        "open.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker-archive":{"":[{"type":"reject"}]}}}"#,
    );
    let wrong = lab.write("wrong.json", r#"{"default":[{"type":"nonsense"}]}"#);
    let (reject, open, wrong) = (reject.display(), open.display(), wrong.display());
    let archive = lab.path("box.tar");
    let archive = archive.display();
    lab.ok(&format!("save -q --signature-policy {open} -o {archive} box"));
    let layer = lab.write("layer.tar", crate::lab::image::box_draft().layers[0].clone());
    let layer = layer.display();
    let rejected = |line: &str| {
        let error = lab.creel(line).run().fails(125);
        assert!(
            error.contains("Source image rejected: Running image") && error.contains("by policy"),
            "{line}: {error}"
        );
    };
    for policy in [format!("{reject}"), format!("{open}")] {
        rejected(&format!("load -q --signature-policy {policy} -i {archive}"));
        rejected(&format!("pull -q --signature-policy {policy} docker-archive:{archive}"));
    }
    rejected(&format!("import -q --signature-policy {reject} {layer}"));
    rejected(&format!("pull -q --signature-policy {reject} 127.0.0.1:1/box"));
    rejected(&format!("run --rm --signature-policy {reject} 127.0.0.1:1/box true"));
    lab.ok(&format!("import -q --signature-policy {open} {layer}"));
    // What is here is run whatever the policy says.
    lab.ok(&format!("run --rm --network none --signature-policy {reject} box true"));
    for line in ["import -q --signature-policy POLICY LAYER", "push -q --signature-policy POLICY box dir:DIR"] {
        let line = line.replace("DIR", &lab.path("dir").display().to_string());
        let line = line.replace("POLICY", &wrong.to_string()).replace("LAYER", &layer.to_string());
        let error = lab.creel(&line).run().fails(125);
        assert!(error.contains("invalid policy in") && error.contains("type \"nonsense\""), "{error}");
    }
    assert!(
        lab.creel("pull -q --signature-policy /nosuch box").run().fails(125).contains("open /nosuch: no such file")
    );
}

#[test]
fn trust_is_shown_and_set() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let server = format!("127.0.0.1:{}", registry.port);
    let pull = || lab.creel(&format!("pull -q {PLAIN} {}", registry.name("box"))).run();
    let bare = lab.creel("image trust").run();
    let error = bare.fails(125);
    assert!(error.starts_with("Error: missing command '") && error.contains("image trust COMMAND'"), "{error}");
    assert!(bare.out().contains("Available Commands:") && bare.out().contains("  show "), "{bare}");
    lab.ok(&format!("image trust set --type reject {server}"));
    pull().fails(125);
    lab.ok(&format!("image trust set --type accept {server}/box"));
    lab.ok("image trust set --type reject default");
    pull().ok();
    let shown = lab.ok("image trust show");
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["TRANSPORT", "NAME", "TYPE", "ID", "STORE"]);
    assert_eq!(words[1], ["all", "default", "reject"]);
    assert!(words.contains(&vec!["repository", &format!("{server}/box"), "accept"]), "{shown}");
    let json = lab.json("image trust show --json");
    assert_eq!(json[0]["name"], "* (default)");
    assert!(lab.ok("image trust show --raw").contains("insecureAcceptAnything"));
    for wrong in ["set", "set --type colour x", "set x", "set -f /no/such/key x"] {
        let outcome = lab.creel(&format!("image trust {wrong}")).run();
        assert!(crate::lab::is_podman() || outcome.exit_code() == 125, "{outcome}");
    }
}
