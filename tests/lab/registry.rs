//! A registry on the loopback address: plain, with a password, or with TLS by a made authority.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::image::{Compression, Draft, sha256};
use super::{Lab, comes_true, free_port, has_program};

/// What protects a registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guarded {
    Plain,
    /// User `alice`, password `open sesame`.
    Password,
    /// TLS with a certificate of an own authority, see [`Registry::authority`].
    Tls,
}

/// A running registry; it ends with the value.
pub(crate) struct Registry {
    pub(crate) port: u16,
    server: Child,
    folder: PathBuf,
    guarded: Guarded,
}

impl Registry {
    /// `None` (and a skip) where a program for it is missing.
    pub(crate) fn start(lab: &Lab, guarded: Guarded) -> Option<Registry> {
        let mut needed = vec!["docker-registry", "skopeo"];
        needed.extend(match guarded {
            Guarded::Plain => None,
            Guarded::Password => Some("htpasswd"),
            Guarded::Tls => Some("openssl"),
        });
        if !needed.into_iter().all(has_program) {
            return None;
        }
        let port = free_port();
        let folder = lab.dir.join(format!("registry-{port}"));
        fs::create_dir(&folder).unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut settings = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\n  delete: {{ enabled: true }}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            file("data")
        );
        match guarded {
            Guarded::Plain => {}
            Guarded::Password => {
                let made = Command::new("htpasswd").args(["-Bbn", "alice", "open sesame"]).output().unwrap();
                fs::write(file("htpasswd"), made.stdout).unwrap();
                settings.push_str(&format!("auth:\n  htpasswd: {{ realm: test, path: {} }}\n", file("htpasswd")));
            }
            Guarded::Tls => {
                make_certificates(&folder);
                let (certificate, key) = (file("server.crt"), file("server.key"));
                settings.push_str(&format!("  tls: {{ certificate: {certificate}, key: {key} }}\n"));
            }
        }
        fs::write(file("config.yml"), settings).unwrap();
        let log = File::create(file("log")).unwrap();
        let server = Command::new("docker-registry")
            .args(["serve", &file("config.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let registry = Registry { port, server, folder, guarded };
        let up = comes_true(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "the registry did not start: {}", fs::read_to_string(registry.folder.join("log")).unwrap());
        Some(registry)
    }

    /// `127.0.0.1:PORT/NAME`
    pub(crate) fn name(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// The certificate of the authority that signed the registry's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Puts an image there, by skopeo.
    pub(crate) fn put(&self, draft: &Draft, name: &str, compression: Compression) {
        let layout = self.folder.join("layout");
        draft.oci_layout(&layout, "put", compression);
        let mut arguments = vec!["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "--preserve-digests"];
        if self.guarded == Guarded::Password {
            arguments.extend(["--dest-creds", "alice:open sesame"]);
        }
        let (from, to) = (format!("oci:{}:put", layout.display()), format!("docker://{}", self.name(name)));
        arguments.extend([from.as_str(), to.as_str()]);
        let copied = Command::new("skopeo").args(arguments).output().unwrap();
        assert!(copied.status.success(), "skopeo: {}", String::from_utf8_lossy(&copied.stderr));
        fs::remove_dir_all(layout).unwrap();
    }

    /// Puts an artifact there: contents of files with their titles.
    pub(crate) fn put_artifact(&self, name: &str, contents: &[(&str, Option<&str>)]) {
        let folder = self.folder.join("artifact");
        fs::create_dir(&folder).unwrap();
        let blob = |content: &str| {
            let hex = sha256(content.as_bytes());
            fs::write(folder.join(&hex), content).unwrap();
            (format!("sha256:{hex}"), content.len())
        };
        let layers: Vec<serde_json::Value> = contents
            .iter()
            .map(|(content, title)| {
                let (digest, size) = blob(content);
                let mut layer = json!({ "mediaType": "application/octet-stream", "digest": digest, "size": size });
                if let Some(title) = title {
                    layer["annotations"] = json!({ "org.opencontainers.image.title": title });
                }
                layer
            })
            .collect();
        let (digest, size) = blob("{}");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "test/files",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": size },
            "layers": layers,
        });
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("version"), "Directory Transport Version: 1.1\n").unwrap();
        let (from, to) = (format!("dir:{}", folder.display()), format!("docker://{}", self.name(name)));
        let arguments =
            ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "--preserve-digests", &from, &to];
        let copied = Command::new("skopeo").args(arguments).output().unwrap();
        assert!(copied.status.success(), "skopeo: {}", String::from_utf8_lossy(&copied.stderr));
        fs::remove_dir_all(folder).unwrap();
    }

    fn largest_blob(&self) -> PathBuf {
        let blobs = super::files(&self.folder.join("data"));
        blobs.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }

    /// The registry loses its largest blob.
    pub(crate) fn forget_largest_blob(&self) {
        fs::remove_file(self.largest_blob()).unwrap();
    }

    /// The registry answers with other bytes, as many, for its largest blob.
    pub(crate) fn spoil_largest_blob(&self) {
        let path = self.largest_blob();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// The manifest that the registry holds under a name, as text.
    pub(crate) fn manifest(&self, name: &str) -> String {
        let mut arguments = vec!["inspect".to_owned(), "--raw".to_owned(), "--tls-verify=false".to_owned()];
        if self.guarded == Guarded::Password {
            arguments.extend(["--creds".to_owned(), "alice:open sesame".to_owned()]);
        }
        arguments.push(format!("docker://{}", self.name(name)));
        let found = Command::new("skopeo").args(arguments).output().unwrap();
        assert!(found.status.success(), "skopeo: {}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn make_certificates(folder: &std::path::Path) {
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
