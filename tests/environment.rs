//! What the first process finds: variables, folder, host name, limits, kernel settings.

use crate::lab::{Lab, is_podman};

#[test]
fn the_environment_is_the_image_s_and_a_few_of_ours() {
    let lab = Lab::new();
    let text =
        lab.creel("run --rm --network none --name envy -h envy box env").env("SECRET_OF_THE_CALLER", "1").run().ok();
    for line in [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ORIGIN=image",
        "container=podman",
        "HOSTNAME=envy",
        "HOME=/root",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    assert!(!text.contains("SECRET_OF_THE_CALLER") && !text.contains("XDG_"), "{text}");
    assert!(!text.contains("TERM="), "{text}");
}

#[test]
fn variables_are_set_copied_and_matched() {
    let lab = Lab::new();
    let run = |flags: &str| {
        let line = format!("run --rm --network none {flags} box env");
        lab.creel(&line).env("COPIED", "from caller").env("PRE_A", "1").env("PRE_B", "2").run().ok()
    };
    let text = run("-e A=1,2 -e EMPTY= -e COPIED -e NOT_SET -e ORIGIN=flag -e 'PRE_*' -e 'SPACE=a b=c'");
    for line in ["A=1,2", "EMPTY=", "COPIED=from caller", "ORIGIN=flag", "PRE_A=1", "PRE_B=2", "SPACE=a b=c"] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    assert!(!text.contains("NOT_SET"), "{text}");
    assert!(run("--env-host").contains("COPIED=from caller"));
    assert!(!run("--unsetenv ORIGIN").contains("ORIGIN"));
}

#[test]
fn env_files_are_read_and_flags_win() {
    let lab = Lab::new();
    lab.write("vars", "# remark\nA=file\nB=\"quoted\"\nCOPIED\n\nC=x # y\n");
    let text = lab.creel("run --rm --network none --env-file vars -e A=flag box env").env("COPIED", "yes").run().ok();
    for line in ["A=flag", "B=\"quoted\"", "COPIED=yes", "C=x # y"] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
}

#[test]
fn proxy_variables_come_from_the_caller_unless_refused() {
    let lab = Lab::new();
    let run = |flag: &str| {
        lab.creel(&format!("run --rm --network none {flag} box env")).env("http_proxy", "http://p:1").run().ok()
    };
    assert!(run("").contains("http_proxy=http://p:1"));
    assert!(!run("--http-proxy=false").contains("http_proxy"));
}

#[test]
fn home_follows_the_user() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none -u alice box sh -c 'echo $HOME'"), "/home/alice");
    assert_eq!(lab.ok("run --rm --network none -u 4321 box sh -c 'echo $HOME'"), "/");
    assert_eq!(lab.ok("run --rm --network none -e HOME=/x box sh -c 'echo $HOME'"), "/x");
}

#[test]
fn workdir_must_exist_unless_the_image_names_it() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none -w /content box cat one"), "one");
    let error = lab.creel("run --rm --network none -w /not/there box pwd").run().fails(126);
    assert!(error.contains("/not/there"), "{error}");
    let draft = crate::lab::image::box_with(serde_json::json!({ "WorkingDir": "/made/for/us" }));
    let archive = lab.write("w.tar", draft.docker_archive(&["localhost/w:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(lab.ok("run --rm --network none w pwd"), "/made/for/us");
    assert_eq!(lab.ok("run --rm --network none box pwd"), "/");
    lab.creel("run --rm --network none -w relative box pwd").run().fails(126);
}

#[test]
fn the_host_name_is_the_short_id_or_what_was_asked() {
    let lab = Lab::new();
    let id = lab.ok("run -d --name one --network none box idle");
    assert_eq!(lab.ok("exec one hostname"), &id[..12]);
    assert_eq!(lab.ok("exec one cat /etc/hostname"), &id[..12]);
    let text =
        lab.ok("run --rm --network none -h named.example box sh -c 'hostname; cat /etc/hostname; echo $HOSTNAME'");
    assert_eq!(text, "named.example\nnamed.example\nnamed.example");
}

#[test]
fn ulimits_are_applied() {
    let lab = Lab::new();
    assert_eq!(
        lab.ok("run --rm --network none --ulimit nofile=100:200 box sh -c 'ulimit -Sn; ulimit -Hn'"),
        "100\n200"
    );
    lab.ok("run -d --name limited --network none --ulimit nofile=100:200 box idle");
    assert_eq!(lab.ok("exec limited sh -c 'ulimit -Sn; ulimit -Hn'"), "100\n200");
    assert_eq!(lab.ok("run --rm --network none --ulimit core=0 box sh -c 'ulimit -c'"), "0");
    assert_eq!(lab.ok("run --rm --network none --ulimit fsize=12288 box sh -c 'ulimit -f'"), "24");
    lab.creel("run --rm --network none --ulimit nonsense=1 box true").run().fails(125);
}

#[test]
fn sysctls_of_own_namespaces_are_set_and_others_refused() {
    let lab = Lab::new();
    let text = lab.ok("run --rm --network none --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4096 box sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax'");
    assert_eq!(text, "1\n4096");
    assert_ne!(lab.creel("run --rm --network none --sysctl vm.swappiness=1 box true").run().exit_code(), 0);
    assert_eq!(lab.ok("run --rm --network none box cat /proc/sys/net/ipv4/ping_group_range"), "0\t0");
}

#[test]
fn dev_shm_has_the_size_asked_for() {
    let lab = Lab::new();
    let size = |flags: &str| {
        lab.ok(&format!("run --rm --network none {flags} box sh -c \"df -k /dev/shm | awk 'END {{ print $2 }}'\""))
    };
    // 65536k, with a k of 1000 or of 1024.
    assert!(["64000", "65536"].contains(&size("").as_str()));
    assert_eq!(size("--shm-size 1m"), "1024");
    assert_eq!(lab.ok("run --rm --network none box sh -c 'echo x > /dev/shm/f; cat /dev/shm/f'"), "x");
}

#[test]
fn umask_is_022_or_what_was_asked() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none box sh -c umask"), "0022");
    assert_eq!(lab.ok("run --rm --network none --umask 0077 box sh -c umask"), "0077");
}

#[test]
fn the_usual_devices_are_there() {
    let lab = Lab::new();
    let text = lab.ok("run --rm --network none box sh -c 'for d in null zero full random urandom tty; do [ -c /dev/$d ] && echo $d; done; for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; head -c 4 /dev/zero | wc -c; echo x > /dev/null'");
    assert_eq!(
        text,
        "null\nzero\nfull\nrandom\nurandom\ntty\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n4"
    );
}

#[test]
fn a_host_device_can_be_passed_in() {
    let lab = Lab::new();
    assert_eq!(
        lab.ok("run --rm --network none --device /dev/fuse box sh -c '[ -c /dev/fuse ] && echo there'"),
        "there"
    );
    assert_eq!(lab.ok("run --rm --network none --device /dev/null:/dev/nowhere box sh -c 'echo x > /dev/nowhere; [ -c /dev/nowhere ] && echo there'"), "there");
    lab.creel("run --rm --network none --device /dev/no-such-device box true").run().fails(125);
}

#[test]
fn containerenv_marks_the_inside() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none box cat /run/.containerenv"), "");
    let text = lab.ok("run --rm --network none --privileged --name marked box cat /run/.containerenv");
    assert!(text.contains("name=\"marked\"") && text.contains("rootless=1"), "{text}");
}

#[test]
fn oom_score_and_personality_of_the_time_zone() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none --oom-score-adj 500 box cat /proc/self/oom_score_adj"), "500");
    if std::path::Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        assert_eq!(lab.ok("run --rm --network none --tz Asia/Tokyo box date +%z"), "+0900");
    } else if !is_podman() {
        crate::lab::skip("no time zones on this machine");
    }
}

#[test]
fn a_secret_is_a_file_or_a_variable() {
    let lab = Lab::new();
    lab.creel("secret create word -").input("sesame").run().ok();
    assert_eq!(lab.ok("run --rm --network none --secret word box cat /run/secrets/word"), "sesame");
    assert_eq!(lab.ok("run --rm --network none --secret word,type=env,target=W box sh -c 'echo $W'"), "sesame");
    let text =
        lab.ok("run --rm --network none --secret word,target=/etc/w,mode=0400,uid=1000 box stat -c '%a %u' /etc/w");
    assert_eq!(text, "400 1000");
    lab.creel("run --rm --network none --secret nosuch box true").run().fails(125);
}

#[test]
fn names_in_files_keep_their_blanks() {
    let lab = Lab::new();
    let vars = lab.write("vars", " A=1\nB = 2\n# no\n");
    let seen = lab.ok(&format!("run --rm --network none --env-file {} box env", vars.display()));
    assert!(seen.lines().any(|line| line == "A=1") && seen.lines().any(|line| line == "B = 2"), "{seen}");
    let labels = lab.write("labels", "alone\na=1\n b=2\n");
    lab.ok(&format!("create --name one --network none --label-file {} box true", labels.display()));
    let labels = &lab.json("inspect one")[0]["Config"]["Labels"];
    assert!(labels["a"] == "1" && labels["b"] == "2" && labels.get("alone").is_none(), "{labels}");
    let bad = lab.write("bad", "a b=1\n");
    let text = lab.creel(&format!("create --label-file {} box true", bad.display())).run().fails(125);
    assert!(text.contains("has white spaces, poorly formatted name"), "{text}");
}

#[test]
fn hosts_of_the_user_come_first() {
    let lab = Lab::new();
    let hosts = lab.ok("run --rm --network none --name one --hostname here --add-host a:1.2.3.4 --add-host b;c:1.2.3.5 box cat /etc/hosts");
    assert!(hosts.starts_with("1.2.3.4\ta\n1.2.3.5\tb c\n"), "{hosts}");
    assert!(hosts.ends_with("127.0.0.1\there one"), "{hosts}");
}

#[test]
fn no_limit_of_files_is_as_many_as_the_caller_has() {
    let lab = Lab::new();
    let most = lab.shell("ulimit -Hn").run().ok();
    assert_eq!(lab.ok("run --rm --network none --ulimit nofile=-1:-1 box sh -c 'ulimit -n'"), most);
}
