//! The crate against a real registry on the loopback, as an ordinary user in a user namespace of its own.
//!
//! Needs Debian's packages docker-registry, skopeo, openssl, apache2-utils and uidmap; without them a test says so and
//! passes. Run by root, it becomes the user `$CREEL_TEST_UID` (1500 by default), who needs sub-ids.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A directory that goes with the test.
struct Scratch {
    path: PathBuf,
    uid: Option<u32>,
}

impl Scratch {
    /// `None`, with a word about it, where this machine cannot run the test.
    fn new(name: &str, programs: &[&str]) -> Option<Scratch> {
        for program in ["docker-registry", "skopeo", "unshare", "newuidmap"].iter().chain(programs) {
            let found = std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
            if !found {
                eprintln!("SKIPPED {name}: the program {program} is not installed");
                return None;
            }
        }
        let path = std::env::temp_dir().join(format!("creel-images-{name}-{}", std::process::id()));
        // Left by a test that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("home/.config/containers")).unwrap();
        fs::create_dir_all(path.join("run")).unwrap();
        let me = fs::metadata(&path).unwrap();
        let root = std::os::unix::fs::MetadataExt::uid(&me) == 0;
        let uid = root.then(|| std::env::var("CREEL_TEST_UID").ok().and_then(|uid| uid.parse().ok()).unwrap_or(1500));
        let scratch = Scratch { path, uid };
        // Nothing of the machine's own configuration decides here.
        scratch.write("home/.config/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
        scratch.write("home/.config/containers/registries.conf", "unqualified-search-registries = []\n");
        for dir in ["", "home", "home/.config", "home/.config/containers", "run"] {
            scratch.give(&scratch.path.join(dir));
        }
        let works = scratch.user("unshare").args(["--user", "--map-root-user", "--map-auto", "true"]).output().unwrap();
        if !works.status.success() {
            eprintln!("SKIPPED {name}: no user namespace: {}", String::from_utf8_lossy(&works.stderr));
            return None;
        }
        Some(scratch)
    }

    fn give(&self, path: &Path) {
        if let Some(uid) = self.uid {
            chown(path, Some(uid), Some(uid)).unwrap();
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    /// A program as the user, with only the scratch directory for a home.
    fn user(&self, program: &str) -> Command {
        let mut command = match self.uid {
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path.join("home")).env("XDG_RUNTIME_DIR", self.path.join("run"));
        command.current_dir(&self.path);
        command
    }

    fn tool(&self, store: &str, arguments: &[&str]) -> Command {
        let mut command = self.user("unshare");
        command.args(["--user", "--map-root-user", "--map-auto", "--mount", "--"]).arg(tool());
        let dir = self.path.join(store);
        fs::create_dir_all(&dir).unwrap();
        self.give(&dir);
        command.arg(dir).args(arguments);
        command
    }

    #[track_caller]
    fn ok(&self, store: &str, arguments: &[&str]) -> String {
        let output = self.tool(store, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    #[track_caller]
    fn fails(&self, store: &str, arguments: &[&str]) -> String {
        let output: Output = self.tool(store, arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?} should have failed: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// A store with one image of some layers, `localhost/base:latest`.
    fn base(&self, store: &str, layers: usize) -> String {
        let mut name = String::new();
        for layer in 0..layers {
            let upper = self.path.join(format!("upper-{layer}"));
            fs::create_dir_all(upper.join("data")).unwrap();
            let mut file = File::create(upper.join(format!("data/{layer}"))).unwrap();
            // Compresses to a half, so that a blob has some length.
            let mut state = 88_172_645_463_325_252_u64 + layer as u64;
            for _ in 0..40_000 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                file.write_all(&state.to_le_bytes()).unwrap();
                file.write_all(&[0; 8]).unwrap();
            }
            for path in ["", "data"] {
                self.give(&upper.join(path));
            }
            self.give(&upper.join(format!("data/{layer}")));
            let upper = upper.to_str().unwrap();
            name = match layer {
                0 => {
                    let tar = self.path.join("base.tar");
                    let mut archive = tar::Builder::new(File::create(&tar).unwrap());
                    archive.append_dir_all(".", upper).unwrap();
                    archive.finish().unwrap();
                    drop(archive);
                    fs::set_permissions(&tar, fs::Permissions::from_mode(0o644)).unwrap();
                    self.ok(store, &["import", tar.to_str().unwrap(), "base", "--change=CMD [\"/bin/x\"]"])
                }
                _ => self.ok(store, &["commit", &name, upper, "base"]),
            };
        }
        name
    }

    /// What a store holds besides its skeleton.
    fn left(&self, store: &str) -> Vec<String> {
        let mut left = Vec::new();
        for dir in ["layers", "blobs/sha256", "images/names", "images/pulls", "staging", "trash", "l"] {
            let entries = fs::read_dir(self.path.join(store).join("root").join(dir)).into_iter().flatten();
            left.extend(entries.map(|entry| format!("{dir}/{}", entry.unwrap().file_name().display())));
        }
        left
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Files of sub-ids can only be removed from inside.
        let inside = ["--user", "--map-root-user", "--map-auto", "rm", "-rf"];
        let _ = self.user("unshare").current_dir("/").args(inside).arg(&self.path).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The example beside this test.
fn tool() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/imgtool")
}

/// A port of the loopback address that nobody listens on, that no other test was given, and that the kernel gives to no
/// outgoing connection (`ip_local_port_range` in ip(7)).
fn free_address() -> String {
    const PORTS: std::ops::Range<u32> = 16_000..30_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(389).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", PORTS.start + number % (PORTS.end - PORTS.start));
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// A registry that ends with the test.
struct Registry {
    child: Child,
    address: String,
    data: PathBuf,
}

impl Registry {
    fn start(scratch: &Scratch, more: &str) -> Registry {
        let address = free_address();
        let data = scratch.path.join("registry");
        let config = scratch.write(
            &format!("registry-{}.yml", address.replace(':', "-")),
            &format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n{}",
                data.display(),
                more.replace("ADDRESS", &address)
            ),
        );
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry { child, address, data };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.address).is_err() {
            assert!(Instant::now() < until, "the registry does not start");
            std::thread::yield_now();
        }
        registry
    }

    fn plain(scratch: &Scratch) -> Registry {
        Registry::start(scratch, "http: {addr: 'ADDRESS'}\n")
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.data.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PLAIN: &str = "--tls-verify=false";

#[test]
fn what_was_pushed_is_pulled_with_the_same_id_and_files() {
    let Some(scratch) = Scratch::new("roundtrip", &[]) else { return };
    let registry = Registry::plain(&scratch);
    let id = scratch.base("one", 3);
    let name = registry.name("team/base:1");
    let digest = scratch.ok("one", &["push", "base", &name, PLAIN]);
    assert!(digest.starts_with("sha256:"), "{digest}");

    assert_eq!(scratch.ok("two", &["pull", &name, PLAIN]), format!("{id} true"));
    assert_eq!(scratch.ok("two", &["pull", &name, PLAIN]), format!("{id} false"), "nothing has changed");
    assert_eq!(scratch.ok("two", &["find", &format!("{}@{digest}", registry.name("team/base"))]), id);
    assert_eq!(scratch.ok("two", &["find", "base:1"]), id);
    assert_eq!(scratch.ok("two", &["find", &id[..6]]), id);
    assert!(scratch.fails("two", &["find", "base:2"]).contains("base:2: image not known"));
    let by_digest = format!("{}@{digest}", registry.name("team/base"));
    assert_eq!(scratch.ok("three", &["pull", &by_digest, PLAIN]), format!("{id} true"));
    for store in ["one", "two"] {
        let layers = fs::read_dir(scratch.path.join(store).join("root/layers")).unwrap();
        let files =
            layers.filter_map(|layer| fs::read_dir(layer.unwrap().path().join("fs/data")).ok()).flatten().count();
        assert_eq!(files, 3, "{store}");
    }
    assert_eq!(scratch.ok("two", &["pull", &registry.name("team/base"), "--all-tags", PLAIN]), format!("{id} false"));
    let unknown = scratch.fails("two", &["pull", &registry.name("team/nope"), PLAIN]);
    assert!(unknown.contains("manifest unknown"), "{unknown}");
}

#[test]
fn docker_manifests_keep_id_digest_and_health_check() {
    let Some(scratch) = Scratch::new("docker", &[]) else { return };
    let registry = Registry::plain(&scratch);
    scratch.base("one", 1);
    let upper = scratch.path.join("upper-0");
    let change = "--change=HEALTHCHECK --interval=7s CMD true";
    let id = scratch.ok("one", &["commit", "base", upper.to_str().unwrap(), "checked", "--docker", change]);
    let name = registry.name("checked:1");
    let digest = scratch.ok("one", &["push", "checked", &name, PLAIN]);
    assert_eq!(scratch.ok("two", &["pull", &name, PLAIN]), format!("{id} true"));
    let about = scratch.ok("two", &["inspect", "checked:1"]);
    assert!(about.contains(&digest) && about.contains("7000000000"), "{about}");
    assert!(about.contains("docker.distribution.manifest.v2"), "{about}");
}

#[test]
fn eight_pulls_of_one_image_at_once_all_succeed() {
    let Some(scratch) = Scratch::new("parallel", &[]) else { return };
    let registry = Registry::plain(&scratch);
    let id = scratch.base("one", 6);
    let name = registry.name("base");
    scratch.ok("one", &["push", "base", &name, PLAIN]);
    let pulls: Vec<Child> = (0..8)
        .map(|_| {
            let mut pull = scratch.tool("two", &["pull", &name, PLAIN, "--quiet"]);
            pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for pull in pulls {
        let output = pull.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(&id));
    }
    scratch.ok("two", &["rmi", "--all"]);
    assert_eq!(scratch.left("two"), [""; 0]);
}

#[test]
fn a_blob_with_other_content_is_refused_and_leaves_nothing() {
    let Some(scratch) = Scratch::new("corrupt", &[]) else { return };
    let registry = Registry::plain(&scratch);
    let id = scratch.base("one", 4);
    let name = registry.name("base");
    scratch.ok("one", &["push", "base", &name, PLAIN]);
    let raw = scratch.user("skopeo").args(["inspect", "--raw", PLAIN, &format!("docker://{name}")]).output().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&raw.stdout).unwrap();
    let path = registry.blob(manifest["layers"][2]["digest"].as_str().unwrap());
    let good = fs::read(&path).unwrap();
    for bad in [[&good[..1000], b"XXXX", &good[1004..]].concat(), good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(&path, &bad).unwrap();
        let error = scratch.fails("two", &["pull", &name, PLAIN]);
        assert!(error.contains("Error:"), "{error}");
        assert_eq!(scratch.ok("two", &["list"]), "");
        let left = scratch.left("two");
        assert!(!left.iter().any(|name| name.starts_with("staging/") || name.starts_with("trash/")), "{left:?}");
        scratch.ok("two", &["prune"]);
        assert_eq!(scratch.left("two"), [""; 0]);
    }
    fs::write(&path, &good).unwrap();
    let output = scratch.tool("two", &["pull", &name, PLAIN]).output().unwrap();
    assert!(text(&output.stdout).starts_with(&id), "{}", text(&output.stderr));
    scratch.ok("two", &["rmi", "--all"]);
    scratch.ok("two", &["prune"]);
    assert_eq!(scratch.left("two"), [""; 0]);
}

#[test]
fn a_worker_killed_anywhere_leaves_nothing_that_is_not_owned() {
    let Some(scratch) = Scratch::new("killed", &[]) else { return };
    let registry = Registry::plain(&scratch);
    let id = scratch.base("one", 6);
    let name = registry.name("base");
    scratch.ok("one", &["push", "base", &name, PLAIN]);
    for round in 0..12_u64 {
        let mut pull = scratch.tool("two", &["pull", &name, PLAIN, "--quiet"]);
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of death is what is tried out here; there is no event to wait for.
        std::thread::sleep(Duration::from_millis(15 * round));
        let mut victim = i32::try_from(pull.id()).unwrap();
        // The command itself, its worker, or the worker's skopeo.
        for _ in 0..round % 3 {
            let children = fs::read_to_string(format!("/proc/{victim}/task/{victim}/children")).unwrap_or_default();
            victim = children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(victim);
        }
        let _ = Command::new("kill").args(["-9", &victim.to_string()]).stderr(Stdio::null()).status();
        pull.wait().unwrap();
    }
    scratch.ok("two", &["rmi", "--all"]);
    scratch.ok("two", &["prune"]);
    assert_eq!(scratch.left("two"), [""; 0]);
    assert_eq!(scratch.ok("two", &["pull", &name, PLAIN]), format!("{id} true"));
}

#[test]
fn credentials_and_certificates_are_needed_where_the_registry_says_so() {
    let Some(scratch) = Scratch::new("login", &["openssl", "htpasswd"]) else { return };
    let dir = scratch.path.join("tls");
    fs::create_dir_all(&dir).unwrap();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2 && \
        openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost && \
        echo subjectAltName=IP:127.0.0.1 > ext && \
        openssl x509 -req -in s.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out s.crt -days 2 -extfile ext && \
        htpasswd -Bbn joe secret > htpasswd && mkdir certs && cp ca.crt certs && chmod -R a+rX .";
    let made = Command::new("sh").args(["-c", script]).current_dir(&dir).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let at = dir.display();
    let registry = Registry::start(
        &scratch,
        &format!(
            "http: {{addr: 'ADDRESS', tls: {{certificate: {at}/s.crt, key: {at}/s.key}}}}\n\
             auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n"
        ),
    );
    let id = scratch.base("one", 1);
    let (name, host) = (registry.name("base"), registry.address.as_str());
    let certs = format!("--cert-dir={at}/certs");
    let unknown_ca = scratch.fails("one", &["push", "base", &name, "--creds=joe:secret"]);
    assert!(unknown_ca.contains("certificate"), "{unknown_ca}");
    let nobody = scratch.fails("one", &["push", "base", &name, &certs]);
    assert!(nobody.contains("authentication required"), "{nobody}");
    scratch.ok("one", &["push", "base", &name, &certs, "--creds=joe:secret"]);
    assert!(scratch.fails("two", &["pull", &name, &certs, "--creds=joe:wrong"]).contains("unauthorized"));
    assert_eq!(scratch.ok("two", &["pull", &name, &certs, "--creds=joe:secret"]), format!("{id} true"));

    let bad = scratch.fails("two", &["login", host, &certs, "--username=joe", "--password=wrong"]);
    assert!(bad.contains("invalid username/password"), "{bad}");
    let said = scratch.ok("two", &["login", host, &certs, "--username=joe", "--password=secret"]);
    assert!(said.contains("Login Succeeded!"), "{said}");
    assert_eq!(scratch.ok("two", &["get-login", host]), "joe");
    assert_eq!(scratch.ok("three", &["pull", &name, &certs]), format!("{id} true"));
    // certs.d of the user does the same as the option.
    let certs_d = format!("home/.config/containers/certs.d/{host}/ca.crt");
    scratch.write(&certs_d, &fs::read_to_string(dir.join("ca.crt")).unwrap());
    assert_eq!(scratch.ok("four", &["pull", &name]), format!("{id} true"));
    scratch.ok("two", &["logout", host]);
    assert!(scratch.fails("two", &["get-login", host]).contains("not logged into"));
    assert!(scratch.fails("five", &["pull", &name]).contains("unauthorized"));
    let auth =
        fs::read_dir(scratch.path.join("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(!auth.iter().any(|name| text(name.as_encoded_bytes()).starts_with("creel-auth")), "{auth:?}");
}

#[test]
fn policy_json_decides_also_with_a_skopeo_whose_proxy_ignores_it() {
    let Some(scratch) = Scratch::new("policy", &[]) else { return };
    let registry = Registry::plain(&scratch);
    scratch.base("one", 1);
    let name = registry.name("base");
    scratch.ok("one", &["push", "base", &name, PLAIN]);
    let policy = |requirement: &str| {
        let text = format!(
            r#"{{"default": [{{"type": "insecureAcceptAnything"}}],
            "transports": {{"docker": {{"{name}": [{requirement}]}}}}}}"#
        );
        scratch.write("home/.config/containers/policy.json", &text);
    };
    policy(r#"{"type": "reject"}"#);
    assert!(scratch.fails("two", &["pull", &name, PLAIN]).contains("rejected"));
    policy(r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/dev/null"}"#);
    assert!(scratch.fails("two", &["pull", &name, PLAIN]).contains("rejected"));
    policy(r#"{"type": "insecureAcceptAnything"}"#);
    scratch.ok("two", &["pull", &name, PLAIN]);
    fs::remove_file(scratch.path.join("home/.config/containers/policy.json")).unwrap();
    scratch.ok("three", &["pull", &name, PLAIN]);
}

#[test]
fn archives_of_every_kind_bring_the_same_image_back() {
    let Some(scratch) = Scratch::new("archives", &["xz"]) else { return };
    let id = scratch.base("one", 2);
    scratch.ok("one", &["tag", "base", "reg.test/other:2"]);
    for (at, flags) in [
        &["--format=docker-archive"][..],
        &["--format=oci-archive"],
        &["--format=oci-archive", "--uncompressed"],
        &["--format=oci-dir"],
        &["--format=docker-dir"],
        &["--multi"],
    ]
    .iter()
    .enumerate()
    {
        let path = scratch.path.join(format!("saved-{at}"));
        let output = format!("--output={}", path.display());
        let mut arguments = vec!["save", "base", &output];
        arguments.extend(*flags);
        if flags == &["--multi"] {
            arguments.push("reg.test/other:2");
        }
        scratch.ok("one", &arguments);
        let store = format!("loaded-{at}");
        scratch.ok(&store, &["load", path.to_str().unwrap()]);
        assert_eq!(scratch.ok(&store, &["find", &id[..12]]), id, "{flags:?}");
        if flags == &["--multi"] {
            assert_eq!(scratch.ok(&store, &["find", "reg.test/other:2"]), id);
        }
        if path.is_file() {
            let packed = Command::new("xz").args(["-0", "-k"]).arg(&path).status().unwrap();
            assert!(packed.success());
            let packed = File::open(path.with_extension("xz")).unwrap();
            let store = format!("{store}-xz");
            let loaded = scratch.tool(&store, &["load", "-"]).stdin(packed).output().unwrap();
            assert!(loaded.status.success(), "{flags:?}: {}", text(&loaded.stderr));
            assert_eq!(scratch.ok(&store, &["find", &id[..12]]), id, "{flags:?}");
        }
    }
    let archive = scratch.path.join("saved-1");
    let half = scratch.write("half", "");
    let whole = fs::read(&archive).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    for bad in [&half, &scratch.write("noise", "this is no archive"), &scratch.path.join("absent")] {
        scratch.fails("broken", &["load", bad.to_str().unwrap()]);
        assert_eq!(scratch.ok("broken", &["list"]), "");
    }
}

#[test]
fn names_move_and_images_go_with_their_last_name() {
    let Some(scratch) = Scratch::new("names", &[]) else { return };
    let first = scratch.base("one", 1);
    scratch.ok("one", &["tag", "base", "a", "b:1"]);
    let upper = scratch.path.join("upper-0");
    let second = scratch.ok("one", &["commit", "base", upper.to_str().unwrap(), "base"]);
    assert_ne!(first, second);
    assert_eq!(scratch.ok("one", &["find", "base"]), second, "the name has moved");
    assert_eq!(scratch.ok("one", &["find", "a"]), first);
    assert!(scratch.fails("one", &["rmi", &first[..12]]).contains("more than one tag"));
    assert_eq!(scratch.ok("one", &["rmi", "a"]), "Untagged: localhost/a:latest");
    // A name that is also the beginning of its image's id is a name.
    scratch.ok("one", &["tag", "b:1", &first[..2]]);
    assert_eq!(scratch.ok("one", &["rmi", &first[..2]]), format!("Untagged: localhost/{}:latest", &first[..2]));
    scratch.ok("one", &["untag", "b:1"]);
    assert!(scratch.ok("one", &["prune"]).starts_with("[] "), "it is the parent of another");
    assert_eq!(
        scratch.ok("one", &["rmi", "base"]),
        format!("Untagged: localhost/base:latest\nDeleted: {second}\nDeleted: {first}")
    );
    assert_eq!(scratch.left("one"), [""; 0]);
    assert!(scratch.fails("one", &["rmi", "base"]).contains("base: image not known"));
    scratch.ok("one", &["rmi", "base", "--ignore"]);
}

#[test]
fn a_commit_keeps_the_base_or_squashes_it() {
    let Some(scratch) = Scratch::new("commit", &[]) else { return };
    scratch.base("one", 2);
    let upper = scratch.path.join("upper-1");
    let upper = upper.to_str().unwrap();
    let grown = scratch.ok("one", &["commit", "base", upper, "grown", "--change=ENV A=1", "--change=LABEL b=2"]);
    let about = scratch.ok("one", &["inspect", "grown"]);
    assert!(about.contains("A=1") && about.contains("\"b\": \"2\"") && about.contains("/bin/x"), "{about}");
    assert_eq!(scratch.ok("one", &["history", "grown"]).lines().count(), 3);
    assert!(scratch.fails("one", &["commit", "base", upper, "flat", "--squash"]).contains("squashing"));
    let flat = scratch.ok("one", &["commit", "base", upper, "flat", "--squash", "--tree"]);
    assert_ne!(flat, grown);
    assert_eq!(scratch.ok("one", &["history", "flat"]).lines().count(), 1);
    assert!(
        scratch.fails("one", &["commit", "base", upper, "bad", "--change=RUN x"]).contains("invalid instruction RUN")
    );
}

/// An image whose layer another image has brought: its own blob was never fetched.
#[test]
fn an_image_of_borrowed_layers_can_leave_again() {
    let Some(scratch) = Scratch::new("borrowed", &[]) else { return };
    let registry = Registry::plain(&scratch);
    let id = scratch.base("one", 2);
    let (name, again) = (registry.name("base"), registry.name("again"));
    scratch.ok("one", &["push", "base", &name, PLAIN]);
    // From the archive come layers without compression, from the registry a manifest that names compressed ones.
    let saved = scratch.path.join("saved");
    scratch.ok("one", &["save", "base", &format!("--output={}", saved.display())]);
    scratch.ok("two", &["load", saved.to_str().unwrap()]);
    scratch.ok("two", &["pull", &name, PLAIN]);
    scratch.ok("two", &["push", &name, &again, PLAIN]);
    assert_eq!(scratch.ok("three", &["pull", &again, PLAIN]), format!("{id} true"));
    let out = scratch.path.join("out");
    scratch.ok("two", &["save", "base", "--format=oci-archive", &format!("--output={}", out.display())]);
    scratch.ok("four", &["load", out.to_str().unwrap()]);
    assert_eq!(scratch.ok("four", &["find", "base"]), id);
}

#[test]
fn the_embedded_image_is_made_once_for_each_binary() {
    let Some(scratch) = Scratch::new("embedded", &[]) else { return };
    let id = scratch.ok("one", &["embedded"]);
    assert_eq!(scratch.ok("one", &["embedded"]), id);
    assert_eq!(scratch.ok("two", &["embedded"]), id, "the same binary gives the same id");
    assert_eq!(scratch.ok("one", &["find", "creel/hello"]), id);
    assert!(scratch.ok("one", &["inspect", "creel/hello"]).contains("8080/tcp"));
}
