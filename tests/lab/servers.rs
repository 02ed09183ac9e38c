//! Images with real servers, made of the packages of the Debian that the tests run on: nginx, redis, python3, and curl to
//! ask them with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use super::image::{Draft, box_draft, docker_archive};
use super::{Lab, base, skip};

const SERVERS: [&str; 4] = ["nginx", "redis-server", "python3", "curl"];
/// What of their dependencies a running server needs; the rest is for installing and configuring them.
const NEEDED: [&str; 6] = ["lib", "zlib1g", "nginx", "redis-", "python3", "media-types"];
const NOT_NEEDED: [&str; 4] = ["libperl", "libpam", "libsemanage", "libtirpc"];

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nredis:x:100:100::/var/lib/redis:/bin/false\n";
const GROUPS: &str = "root:x:0:\nwww-data:x:33:\nredis:x:100:\n";

impl Lab {
    /// With the images `nginx:1`, `redis:7` and `python:3` of docker.io in the store, and the box; `None` (and a skip)
    /// where apt cannot fetch the packages.
    pub(crate) fn with_servers() -> Option<Lab> {
        static ARCHIVE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let archive = ARCHIVE.get_or_init(|| archive(&base().join("servers")));
        let Some(archive) = archive else {
            skip("no network to fetch the servers' packages from");
            return None;
        };
        let lab = Lab::new();
        lab.creel(&format!("load -q -i {}", archive.display())).within(120).run().ok();
        Some(lab)
    }
}

/// All three images in one file; the folder is used on the way.
fn archive(folder: &Path) -> Option<PathBuf> {
    let (packages, root) = (folder.join("packages"), folder.join("root"));
    fs::create_dir_all(&packages).unwrap();
    fs::create_dir_all(&root).unwrap();
    let quietly =
        ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(|it| format!("--no-{it}"));
    let mut closure = Command::new("apt-cache");
    closure.args(["depends", "--recurse"]).args(quietly).args(SERVERS);
    let listed = String::from_utf8(closure.output().ok()?.stdout).unwrap();
    let starts = |name: &str, with: &[&str]| with.iter().any(|start| name.starts_with(start));
    let names = listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let names = names.filter(|name| SERVERS.contains(name) || starts(name, &NEEDED) && !starts(name, &NOT_NEEDED));
    let fetched = Command::new("apt-get").arg("download").args(names).current_dir(&packages).output().ok()?;
    if !fetched.status.success() {
        return None;
    }
    for package in fs::read_dir(&packages).unwrap() {
        let unpacked = Command::new("dpkg-deb").arg("-x").arg(package.unwrap().path()).arg(&root).status().unwrap();
        assert!(unpacked.success());
    }
    for path in ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/x86_64-linux-gnu/gconv"] {
        let _ = fs::remove_dir_all(root.join(path));
    }
    fs::write(root.join("etc/passwd"), USERS).unwrap();
    fs::write(root.join("etc/group"), GROUPS).unwrap();
    fs::create_dir_all(root.join("data")).unwrap();
    // Logs belong to whoever runs the container, as in every image of a server.
    for (name, stream) in [("access", "stdout"), ("error", "stderr")] {
        symlink(format!("/dev/{stream}"), root.join(format!("var/log/nginx/{name}.log"))).unwrap();
    }
    let _ = fs::remove_dir_all(root.join("etc/nginx/sites-enabled"));
    let site = root.join("etc/nginx/conf.d/default.conf");
    fs::write(site, "server { listen 80; root /usr/share/nginx/html; }\n").unwrap();
    let mut tar = Command::new("tar");
    let tar = tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1767323045"]);
    let layer = tar.arg("--directory").arg(&root).arg(".").output().unwrap();
    assert!(layer.status.success(), "tar: {}", String::from_utf8_lossy(&layer.stderr));
    let mut draft = box_draft().clone();
    draft.layers.push(layer.stdout);
    let image = |config: serde_json::Value| {
        let mut draft: Draft = draft.clone();
        for (key, value) in config.as_object().unwrap() {
            draft.config[key] = value.clone();
        }
        draft
    };
    let nginx = image(json!({
        "Cmd": ["nginx", "-g", "daemon off;"], "ExposedPorts": { "80/tcp": {} }, "StopSignal": "SIGQUIT",
    }));
    let redis = image(json!({
        "Entrypoint": ["redis-server", "--protected-mode", "no"], "Cmd": [], "ExposedPorts": { "6379/tcp": {} },
        "WorkingDir": "/data",
    }));
    let python =
        image(json!({ "Cmd": ["python3"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED=1"] }));
    let path = folder.join("servers.tar");
    let images: [(&[&str], &Draft); 3] = [
        (&["docker.io/library/nginx:1"], &nginx),
        (&["docker.io/library/redis:7"], &redis),
        (&["docker.io/library/python:3"], &python),
    ];
    fs::write(&path, docker_archive(&images)).unwrap();
    let _ = fs::remove_dir_all(&packages);
    let _ = fs::remove_dir_all(&root);
    Some(path)
}
