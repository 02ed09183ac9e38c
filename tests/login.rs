//! `login`, `logout`, and pulling with a password.

use rustix::termios::LocalModes;

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, eventually};

#[test]
fn a_guarded_registry_opens_after_login_and_closes_after_logout() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let (server, name) = (format!("127.0.0.1:{}", registry.port), registry.name("box"));
    let pull = || lab.creel(&format!("pull -q --retry 0 --tls-verify=false {name}")).run();
    let error = pull().fails(125);
    assert!(error.contains("unauthorized") || error.contains("authentication required"), "{error}");
    let outcome =
        lab.creel(&format!("login --tls-verify=false -u alice --password-stdin {server}")).input("open sesame\n").run();
    assert_eq!(outcome.ok(), "Login Succeeded!");
    assert_eq!(lab.ok(&format!("login --get-login {server}")), "alice");
    pull().ok();
    let file = lab.runtime().join("containers/auth.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().contains(&server));
    assert_eq!(lab.ok(&format!("logout {server}")), format!("Removed login credentials for {server}"));
    pull().fails(125);
    lab.creel(&format!("login --get-login {server}")).run().fails(125);
}

#[test]
fn a_wrong_password_is_refused_and_not_kept() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    let server = format!("127.0.0.1:{}", registry.port);
    lab.creel(&format!("login --tls-verify=false -u alice -p wrong {server}")).run().fails(125);
    lab.creel(&format!("login --get-login {server}")).run().fails(125);
    lab.creel(&format!("login --tls-verify=false -u alice -p 'open sesame' {server}")).run().ok();
    lab.ok("logout --all");
    lab.creel(&format!("login --get-login {server}")).run().fails(125);
}

#[test]
fn credentials_can_be_given_for_one_command() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let name = registry.name("box");
    lab.ok(&format!("pull -q --tls-verify=false --creds 'alice:open sesame' {name}"));
    lab.ok(&format!("push -q --tls-verify=false --creds 'alice:open sesame' {name} {}", registry.name("copy")));
    lab.ok("rmi -a -f");
    let server = format!("127.0.0.1:{}", registry.port);
    lab.ok(&format!("login --authfile auth.json --tls-verify=false -u alice -p 'open sesame' {server}"));
    lab.ok(&format!("pull -q --tls-verify=false --authfile auth.json {}", registry.name("copy")));
    lab.creel(&format!("pull -q --retry 0 --tls-verify=false {name}")).run().fails(125);
}

#[test]
fn what_credentials_do_not_say_is_asked_for() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let name = registry.name("box");
    let asked = lab.creel(&format!("pull -q --tls-verify=false --creds alice {name}")).run();
    let error = asked.fails(125);
    assert!(error.contains("could not read password from terminal: inappropriate ioctl for device"), "{error}");
    for (credentials, name_first) in [("alice", false), (":", true)] {
        let mut terminal = lab.terminal(&format!("pull -q --tls-verify=false --creds {credentials} {name}"));
        if name_first {
            terminal.expect("Username: ");
            terminal.type_in("alice\n");
        }
        terminal.expect("Password: ");
        eventually("nothing is shown", || !terminal.settings().contains(LocalModes::ECHO));
        terminal.type_in("open sesame\n");
        let (code, after) = terminal.end_with_settings();
        assert!(code == 0 && after.contains(LocalModes::ECHO), "{credentials}: {code}");
    }
}

#[test]
fn a_login_of_docker_is_understood() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    // base64 of alice:open sesame
    lab.write(
        ".docker/config.json",
        format!(r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"YWxpY2U6b3BlbiBzZXNhbWU="}}}}}}"#, registry.port),
    );
    lab.ok(&format!("pull -q --tls-verify=false {}", registry.name("box")));
}

#[test]
fn the_password_comes_from_a_secret() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    let server = format!("127.0.0.1:{}", registry.port);
    lab.creel("secret create door -").input("open sesame").run().ok();
    lab.creel("secret create wrong -").input("closed").run().ok();
    let login = |flags: &str| lab.creel(&format!("login --tls-verify=false {flags} {server}")).run();
    assert_eq!(login("--secret door -u alice").ok(), "Login Succeeded!");
    assert_eq!(lab.ok(&format!("login --get-login {server}")), "alice");
    lab.ok(&format!("logout {server}"));
    for wrong in ["--secret wrong -u alice", "--secret nosuch -u alice", "--secret door -u alice -p x"] {
        login(wrong).fails(125);
    }
    lab.creel(&format!("login --get-login {server}")).run().fails(125);
}

#[test]
fn credentials_are_kept_in_the_file_that_was_named_or_by_a_helper() {
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    registry.put(box_draft(), "box:latest", Compression::Gzip);
    let server = format!("127.0.0.1:{}", registry.port);
    let login = "login --tls-verify=false -u alice -p 'open sesame'";
    lab.ok(&format!("{login} --compat-auth-file docker.json {server}"));
    assert!(lab.read("docker.json").contains(&server));
    lab.creel(&format!("login --authfile a --compat-auth-file b --get-login {server}")).run().fails(125);
    lab.creel(&format!("login --authfile nosuch.json --get-login {server}")).run().fails(125);
    let named = lab.creel(&format!("login --get-login {server}")).env("REGISTRY_AUTH_FILE", "docker.json").run();
    assert_eq!(named.ok(), "alice");
    lab.ok(&format!("logout --compat-auth-file docker.json {server}"));
    assert!(!lab.read("docker.json").contains(&server));

    // A helper answers for this registry alone.
    let helper = "#!/bin/sh\nread server\n[ \"$1\" = get ] || exit 1\n\
                  echo \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"alice\\\",\\\"Secret\\\":\\\"open sesame\\\"}\"\n";
    lab.executable("bin/docker-credential-own", helper);
    lab.write("helpers.json", format!(r#"{{"credHelpers":{{"{server}":"own"}}}}"#));
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", lab.path("bin").display());
    let pull = |path: &str| {
        let line = format!("pull -q --retry 0 --tls-verify=false --authfile helpers.json {}", registry.name("box"));
        lab.creel(&line).env("PATH", path).run()
    };
    pull("/usr/bin:/bin:/usr/sbin:/sbin").fails(125);
    assert_eq!(pull(&path).ok(), box_draft().id());
}
