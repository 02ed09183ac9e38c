//! `secret`

use crate::lab::{Lab, is_podman};

#[test]
fn a_secret_is_kept_listed_and_removed() {
    let lab = Lab::empty();
    lab.write("word", "sesame");
    let id = lab.ok("secret create -l k=v one word");
    assert_eq!(id.len(), 25, "{id}");
    lab.creel("secret create two -").input("other").run().ok();
    assert_eq!(lab.creel("secret create --env three WORD").env("WORD", "from env").run().ok().len(), 25);
    let mut names: Vec<String> = lab.ok("secret ls --format {{.Name}}").lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(lab.ok("secret inspect --format {{.Spec.Name}} one"), "one");
    assert!(!lab.ok("secret inspect one").contains("sesame"));
    assert_eq!(lab.ok("secret inspect --showsecret --format {{.SecretData}} one"), "sesame");
    lab.creel("secret create one word").run().fails(125);
    lab.ok("secret create --replace one word");
    lab.ok("secret exists one");
    assert_eq!(lab.ok("secret rm two").len(), 25);
    lab.creel("secret rm two").run().fails(125);
    assert_eq!(lab.creel("secret exists two").run().exit_code(), 1);
    lab.ok("secret rm --all");
    assert_eq!(lab.ok("secret ls -q"), "");
    lab.ok("secret create x word");
    let text = lab.creel("secret ls --filter nope=x").run().fails(125);
    assert!(text.contains("invalid filter \"nope\""), "{text}");
}

#[test]
fn secrets_are_told_of_in_podman_s_words() {
    let lab = Lab::empty();
    lab.creel("secret create one -").input("x").run().ok();
    assert!(lab.ok("secret inspect one").starts_with("[\n    {\n        \"ID\": "));
    assert_eq!(lab.ok("secret ls -q --filter 'name=['"), "");
    let said = lab.creel("secret inspect nope one never").run().fails(125);
    let expected = [
        "error inspecting secret: no secret with name or id \"never\": no such secret",
        "Error: inspecting secret: no secret with name or id \"nope\": no such secret",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>()[..2], expected);
    let said = lab.creel("secret ls --filter name").run().fails(125);
    assert!(said.contains("filter input must be in the form of filter=value: name is invalid"), "{said}");
}

#[test]
fn the_content_is_not_readable_by_others() {
    let lab = Lab::empty();
    lab.creel("secret create one -").input("sesame-of-the-test").run().ok();
    for path in crate::lab::files(&lab.home()) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if String::from_utf8_lossy(&bytes).contains("sesame-of-the-test")
            || String::from_utf8_lossy(&bytes).contains("c2VzYW1lLW9mLXRoZS10ZXN0")
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        }
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused() {
    let lab = Lab::empty();
    lab.write("word", "sesame");
    lab.write("empty", "");
    lab.write("big", "x".repeat(512_000));
    let table = [
        ("secret create a/b word", "invalid secret name"),
        ("secret create a=b word", "invalid secret name"),
        ("secret create x empty", "secret data must be larger than 0 and less than 512000 bytes"),
        ("secret create x big", "secret data must be larger than 0 and less than 512000 bytes"),
        ("secret create x /nonexist", "open /nonexist: no such file or directory"),
        ("secret create --env x NO_SUCH_VARIABLE", "environment variable NO_SUCH_VARIABLE is not set"),
        ("secret create --driver nope x word", "invalid driver"),
        ("secret create --ignore --replace x word", "cannot use --ignore and --replace flags together"),
        ("secret create x", "accepts 2 arg(s), received 1"),
        ("secret rm", "requires one argument, or the --all flag"),
        ("secret inspect nope", "no secret with name or id \"nope\": no such secret"),
        ("secret ls --filter nope", "filter input must be in the form of filter=value: nope is invalid"),
    ];
    for (line, expected) in table {
        let text = lab.creel(line).run().fails(125);
        assert!(text.contains(expected), "{line}: {text}");
    }
    assert_eq!(lab.ok("secret ls -q"), "");
}

#[test]
fn a_secret_leaves_no_trace_in_inspect_commit_and_export() {
    let lab = Lab::new();
    lab.creel("secret create word -").input("sesame-of-the-test").run().ok();
    lab.ok(
        "run --name c --network none --secret word --secret word,type=env,target=W box sh -c 'env; ls /run/secrets'",
    );
    assert!(!lab.ok("inspect c").contains("sesame-of-the-test"));
    lab.ok("commit -q c made");
    assert!(!lab.ok("inspect made").contains("sesame-of-the-test"));
    let text = lab.ok("run --rm --network none made sh -c 'env; ls -A /run/secrets; cat /run/secrets/* || true'");
    assert!(!text.contains("word") && !text.contains("sesame"), "{text}");
    lab.ok("rm c");
}

#[test]
fn a_container_keeps_its_secret_when_that_is_removed() {
    let lab = Lab::new();
    lab.creel("secret create word -").input("sesame").run().ok();
    lab.ok("create --name c --network none --secret word box cat /run/secrets/word");
    lab.ok("secret rm word");
    assert_eq!(lab.ok("start -a c"), "sesame");
    lab.creel("secret create word -").input("other").run().ok();
    assert_eq!(lab.ok("start -a c"), "sesame");
}

#[test]
fn an_update_reaches_running_containers() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    lab.creel("secret create word -").input("one").run().ok();
    lab.ok("run -d --name c --network none --secret word --secret word,target=/own/word --secret word,target=a/b box sleep 1000");
    let id = lab.ok("secret inspect --format {{.ID}} word");
    assert_eq!(lab.creel("secret update word -").input("a longer one").run().ok(), id);
    for path in ["/run/secrets/word", "/own/word", "/run/secrets/a/b"] {
        assert_eq!(lab.ok(&format!("exec c cat {path}")), "a longer one", "{path}");
    }
    lab.creel("secret update -s KILL word -").input("2").run().ok();
    assert_eq!(lab.ok("wait c"), "137");
    lab.creel("secret update nope -").input("x").run().fails(125);
}

#[test]
fn options_of_a_secret_are_checked_before_anything_is_made() {
    let lab = Lab::new();
    lab.creel("secret create word -").input("x").run().ok();
    let table = [
        ("word,type=foo", "type foo is invalid: parsing secret"),
        ("word,mode=9", "mode 9 invalid: parsing secret"),
        ("word,uid=x", "UID x invalid: parsing secret"),
        ("word,type=env,mode=0400", "UID, GID, Mode options cannot be set with secret type env: parsing secret"),
        ("nope", "no secret with name or id \"nope\": no such secret"),
    ];
    for (option, expected) in table {
        let text = lab.creel(&format!("run --name c --secret {option} box true")).run().fails(125);
        assert!(text.contains(expected), "{option}: {text}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn commands_of_the_user_keep_a_secret() {
    let lab = Lab::new();
    lab.write("word", "sesame");
    let vault = lab.home().join("vault");
    let option =
        |name: &str, command: &str| format!("--driver-opts \"{name}={command} {}/vault-$SECRET_ID\"", vault.display());
    let options: Vec<String> = [("list", "ls"), ("lookup", "cat"), ("store", "cat >"), ("delete", "rm")]
        .map(|(name, command)| option(name, command))
        .into();
    let options = options.join(" ").replace('$', "\\$");
    lab.shell(&format!("mkdir vault; creel secret create -d shell {options} one word")).run().ok();
    assert_eq!(lab.shell("cat vault/*").run().ok(), "sesame");
    assert_eq!(
        lab.ok("secret inspect --showsecret --format '{{.Spec.Driver.Name}} {{.SecretData}}' one"),
        "shell sesame"
    );
    assert_eq!(lab.ok("run --rm --network none --secret one box cat /run/secrets/one"), "sesame");
    assert_eq!(lab.ok("run --rm --network none --secret one,type=env,target=WORD box sh -c 'echo $WORD'"), "sesame");
    lab.ok("secret rm one");
    assert_eq!(lab.shell("ls vault").run().ok(), "");
    let refused = "secret create -d shell --driver-opts list=true,lookup=true,store=false,delete=true two word";
    assert!(lab.creel(refused).run().fails(125).contains("creating secret two"));
    assert_eq!(lab.creel("secret exists two").run().exit_code(), 1);
    lab.creel("secret create -d shell --driver-opts list=true three word").run().fails(125);
}
