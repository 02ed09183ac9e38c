//! The ladder of crates in ARCHITECTURE.md, held against the manifests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Who may call whom. An edge that is not here is a design change.
const EDGES: [(&str, &[&str]); 12] = [
    ("sys", &[]),
    ("storage", &["sys"]),
    ("runtime", &["sys"]),
    ("network", &["storage", "sys"]),
    ("images", &["storage", "sys"]),
    ("containers", &["images", "network", "runtime", "storage", "sys"]),
    ("pods", &["containers", "network", "storage", "sys"]),
    ("kube-play", &["containers", "network", "pods", "storage", "sys"]),
    ("build", &["containers", "images", "network", "storage", "sys"]),
    ("units", &[]),
    ("api", &["sys"]),
    (".", &["api", "build", "containers", "images", "kube-play", "network", "pods", "storage", "sys", "units"]),
];

fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifest).unwrap();
    text.lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn calls_go_down_the_ladder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in EDGES {
        for dependency in dependencies(&root.join(name).join("Cargo.toml")) {
            if crates.contains(dependency.as_str()) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not call {dependency}");
            }
        }
    }
}

#[test]
fn what_forks_has_no_threads_in_its_tree() {
    for name in ["sys", "runtime", "network", "storage"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout);
        let runtime = tree.lines().find(|line| line.starts_with("tokio ") || line.starts_with("rayon "));
        assert_eq!(runtime, None, "{name}");
    }
}

#[test]
fn unsafe_is_in_sys_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in EDGES.iter().filter(|(name, _)| *name != "sys") {
        let manifest = std::fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
    }
    let workspace = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"deny\""));
}
