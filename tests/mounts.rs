//! Volumes, binds, tmpfs, read-only roots.

use crate::lab::{Lab, is_podman};

#[test]
fn a_host_folder_is_bound_and_both_sides_see_it() {
    let lab = Lab::new();
    lab.write("data/in", "from outside\n");
    assert_eq!(
        lab.ok("run --rm --network none -v ./data:/data box sh -c 'cat /data/in; echo from inside > /data/out'"),
        "from outside"
    );
    assert_eq!(lab.read("data/out"), "from inside\n");
    let absolute = lab.path("data");
    assert_eq!(
        lab.ok(&format!("run --rm --network none -v {}:/data box cat /data/out", absolute.display())),
        "from inside"
    );
}

#[test]
fn a_single_file_can_be_bound() {
    let lab = Lab::new();
    lab.write("settings", "one\n");
    assert_eq!(
        lab.ok("run --rm --network none -v ./settings:/etc/deep/down/settings box cat /etc/deep/down/settings"),
        "one"
    );
}

#[test]
fn a_read_only_bind_refuses_writes_for_root_too() {
    let lab = Lab::new();
    lab.write("data/in", "");
    let outcome = lab.creel("run --rm --network none -v ./data:/data:ro box touch /data/out").run();
    assert!(outcome.fails(1).contains("Read-only file system"), "{outcome}");
    let outcome =
        lab.creel("run --rm --network none --mount type=bind,src=./data,dst=/data,ro box touch /data/out").run();
    assert!(outcome.fails(1).contains("Read-only file system"), "{outcome}");
    assert!(!lab.path("data/out").exists());
}

#[test]
fn a_missing_host_path_is_an_error_and_is_not_made() {
    let lab = Lab::new();
    let error = lab.creel("run --rm --network none -v ./absent:/data box true").run().fails(125);
    assert!(error.contains("absent") && error.contains("no such file or directory"), "{error}");
    assert!(!lab.path("absent").exists());
}

#[test]
fn a_named_volume_is_made_on_demand_and_keeps_its_content() {
    let lab = Lab::new();
    lab.ok("run --rm --network none -v store:/store box sh -c 'echo kept > /store/f'");
    assert_eq!(lab.ok("run --rm --network none -v store:/elsewhere box cat /elsewhere/f"), "kept");
    assert_eq!(lab.ok("volume ls -q"), "store");
}

#[test]
fn a_fresh_volume_gets_the_image_s_content_once() {
    let lab = Lab::new();
    assert_eq!(
        lab.ok("run --rm --network none -v store:/content box sh -c 'ls /content; rm /content/one'"),
        "one\nsub"
    );
    assert_eq!(lab.ok("run --rm --network none -v store:/content box ls /content"), "sub");
    assert_eq!(lab.ok("run --rm --network none -v bare:/content:nocopy box ls /content"), "");
}

#[test]
fn a_volume_of_the_image_is_made_by_itself() {
    let lab = Lab::new();
    let draft = crate::lab::image::box_with(serde_json::json!({ "Volumes": { "/content": {} } }));
    let archive = lab.write("v.tar", draft.docker_archive(&["localhost/v:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(lab.ok("run --name one --network none v sh -c 'ls /content; touch /content/new'"), "one\nsub");
    assert_eq!(lab.ok("volume ls -q").len(), 64);
    assert!(!lab.ok("diff one").contains("new"));
    lab.ok("rm -v one");
    assert_eq!(lab.ok("volume ls -q"), "");
    assert_eq!(
        lab.ok("run --rm --network none --image-volume ignore v sh -c 'touch /content/x && ls /content/x'"),
        "/content/x"
    );
}

#[test]
fn mount_type_volume_has_the_same_means() {
    let lab = Lab::new();
    lab.ok("run --rm --network none --mount type=volume,source=store,target=/store box sh -c 'mkdir /store/sub; echo deep > /store/sub/f'");
    assert_eq!(lab.ok("run --rm --network none --mount src=store,dst=/s,ro=true box cat /s/sub/f"), "deep");
    assert_eq!(lab.ok("run --rm --network none --mount type=volume,src=store,dst=/s,subpath=sub box cat /s/f"), "deep");
    let outcome =
        lab.creel("run --rm --network none --mount type=volume,src=store,dst=/s,readonly box touch /s/x").run();
    assert!(outcome.fails(1).contains("Read-only"), "{outcome}");
    for bad in ["type=volume,source=x", "type=nonsense,dst=/x", "type=bind,dst=/x", "type=volume,dst=/x,colour=blue"] {
        lab.creel(&format!("run --rm --network none --mount {bad} box true")).run().fails(125);
    }
}

#[test]
fn tmpfs_is_in_memory_and_has_the_usual_options() {
    let lab = Lab::new();
    let line = lab.ok("run --rm --network none --tmpfs /scratch box grep ' /scratch ' /proc/mounts");
    for option in ["tmpfs", "rw", "nosuid", "nodev"] {
        assert!(line.contains(option), "{line}");
    }
    let line =
        lab.ok("run --rm --network none --tmpfs /scratch:size=1m,mode=0700,noexec box grep ' /scratch ' /proc/mounts");
    assert!(line.contains("size=1024k") && line.contains("mode=700") && line.contains("noexec"), "{line}");
    let line = lab.ok("run --rm --network none --mount type=tmpfs,dst=/scratch,tmpfs-size=2m,tmpfs-mode=1770 box grep ' /scratch ' /proc/mounts");
    assert!(line.contains("size=2048k") && line.contains("mode=1770"), "{line}");
    assert_eq!(lab.ok("run --rm --network none --tmpfs /content box ls /content"), "one\nsub");
    assert_eq!(lab.ok("run --rm --network none --mount type=tmpfs,dst=/content,notmpcopyup box ls /content"), "");
}

#[test]
fn a_read_only_root_keeps_its_temporary_folders() {
    let lab = Lab::new();
    lab.creel("run --rm --network none --read-only box touch /etc/x").run().fails(1);
    assert_eq!(lab.ok("run --rm --network none --read-only box sh -c 'for d in /tmp /var/tmp /run /dev/shm; do touch $d/x && echo $d; done'"), "/tmp\n/var/tmp\n/run\n/dev/shm");
    lab.creel("run --rm --network none --read-only --read-only-tmpfs=false box touch /tmp/x").run().fails(1);
    lab.ok("run --rm --network none --read-only -v scratch:/scratch box touch /scratch/x");
}

#[test]
fn two_mounts_at_one_place_are_refused() {
    let lab = Lab::new();
    lab.folder("data");
    let error = lab.creel("run --rm --network none -v ./data:/x -v other:/x box true").run().fails(125);
    assert!(error.contains("/x") && error.contains("duplicate mount destination"), "{error}");
    lab.creel("run --rm --network none -v ./data:relative box true").run().fails(125);
}

#[test]
fn mounts_nest_in_whatever_order_they_are_given() {
    let lab = Lab::new();
    lab.write("outer/file", "outer\n");
    lab.write("inner/file", "inner\n");
    let text = lab.ok("run --rm --network none -v ./inner:/a/b -v ./outer:/a --tmpfs /a/b/c box sh -c 'cat /a/file /a/b/file; grep -c \" /a/b/c \" /proc/mounts'");
    assert_eq!(text, "outer\ninner\n1");
}

#[test]
fn a_symbolic_link_in_the_image_cannot_lead_a_mount_out() {
    let lab = Lab::new();
    lab.write("data/in", "");
    let draft = {
        let mut draft = crate::lab::image::box_draft().clone();
        let layer = crate::lab::archive::Archive::new()
            .symlink("escape", "../../../../../../tmp")
            .symlink("inside", "/content");
        draft.layers.push(layer.bytes());
        draft
    };
    let archive = lab.write("l.tar", draft.docker_archive(&["localhost/links:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(lab.ok("run --rm --network none -v ./data:/escape/x links ls /tmp/x"), "in");
    assert_eq!(lab.ok("run --rm --network none -v ./data:/inside/x links ls /content/x"), "in");
}

#[test]
fn volumes_from_takes_the_mounts_of_another_container() {
    let lab = Lab::new();
    lab.write("data/in", "shared\n");
    lab.ok("create --name giver -v ./data:/data -v named:/named --network none box true");
    assert_eq!(
        lab.ok("run --rm --network none --volumes-from giver box sh -c 'cat /data/in; touch /named/x'"),
        "shared"
    );
    lab.creel("run --rm --network none --volumes-from giver:ro box touch /data/y").run().fails(1);
    lab.creel("run --rm --network none --volumes-from nosuch box true").run().fails(125);
}

#[test]
fn chown_option_hands_a_bind_to_the_user() {
    let lab = Lab::new();
    lab.write("data/in", "");
    assert_eq!(
        lab.ok("run --rm --network none -u alice -v ./data:/data:U box stat -c %u /data /data/in"),
        "1000\n1000"
    );
}

#[test]
fn options_of_a_bind_reach_the_kernel() {
    let lab = Lab::new();
    lab.executable("data/tool", "#!/bin/sh\necho ran\n");
    assert_eq!(lab.ok("run --rm --network none -v ./data:/data box /data/tool"), "ran");
    lab.creel("run --rm --network none -v ./data:/data:noexec box /data/tool").run().fails(126);
    let line = lab.ok("run --rm --network none -v ./data:/data:nosuid,nodev,noexec,z box grep ' /data ' /proc/mounts");
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(line.contains(option), "{line}");
    }
    lab.creel("run --rm --network none -v ./data:/data:nonsense box true").run().fails(125);
}

#[test]
fn an_overlay_bind_keeps_the_host_folder_as_it_is() {
    let lab = Lab::new();
    lab.write("data/in", "before\n");
    assert_eq!(
        lab.ok(
            "run --rm --network none -v ./data:/data:O box sh -c 'echo after > /data/in; touch /data/new; cat /data/in'"
        ),
        "after"
    );
    assert_eq!(lab.read("data/in"), "before\n");
    assert!(!lab.path("data/new").exists());
}

#[test]
fn volumes_can_be_made_listed_looked_at_and_removed() {
    let lab = Lab::empty();
    assert_eq!(lab.ok("volume create one -l a=b"), "one");
    lab.creel("volume create one").run().fails(125);
    lab.ok("volume create --ignore one");
    let made = lab.ok("volume create");
    assert_eq!(made.len(), 64);
    assert_eq!(lab.ok("volume ls -q --filter label=a=b"), "one");
    let place = lab.ok("volume inspect --format {{.Mountpoint}} one");
    assert!(std::path::Path::new(&place).is_dir(), "{place}");
    assert_eq!(lab.ok("volume inspect --format '{{.Driver}} {{.Scope}} {{index .Labels \"a\"}}' one"), "local local b");
    assert_eq!(lab.ok("volume rm one"), "one");
    let error = lab.creel("volume rm one").run().fails(1);
    assert!(error.contains("no volume with name \"one\" found: no such volume"), "{error}");
    lab.ok(if is_podman() { "volume prune -f" } else { "volume prune --all -f" });
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn a_volume_in_use_is_not_removed_without_force() {
    let lab = Lab::new();
    lab.ok("create --name user -v one:/one --network none box true");
    lab.creel("volume rm one").run().fails(2);
    lab.ok("volume rm -f one");
    assert_eq!(lab.creel("container exists user").run().exit_code(), 1);
}

#[test]
fn every_mount_of_the_host_stays_out_of_the_container() {
    let lab = Lab::new();
    let mounts = lab.ok("run --rm --network none box cat /proc/self/mountinfo");
    // The root, the kernel's own, the three files and the masks: nothing that belongs to the host.
    for line in mounts.lines() {
        let target = line.split(' ').nth(4).unwrap();
        let known =
            target == "/" || ["/proc", "/sys", "/dev", "/etc/", "/run/"].iter().any(|start| target.starts_with(start));
        assert!(known, "{line}");
    }
}

#[test]
fn an_image_can_be_mounted() {
    let lab = Lab::new();
    assert!(lab.ok("run --rm --network none --mount type=image,src=box,dst=/m box ls /m").contains("bin"));
    lab.creel("run --rm --network none --mount type=image,src=box,dst=/m box touch /m/x").run().fails(1);
    let write = "run --rm --network none --mount type=image,src=box,dst=/m,rw=true box sh -c 'echo x > /m/x; cat /m/x'";
    assert_eq!(lab.ok(write), "x");
    lab.creel("run --rm --network none --mount type=image,src=box,dst=/m box ls /m/x").run().fails(1);
    let part = "run --rm --network none --mount type=image,src=box,dst=/m,subpath=/bin box ls /m";
    assert!(lab.ok(part).contains("sh"));
    if !is_podman() {
        let text = lab.creel("create --mount type=image,src=nope,dst=/m box true").run().fails(125);
        assert!(text.contains("image not known"), "{text}");
    }
}

#[test]
fn a_glob_mounts_what_fits() {
    let lab = Lab::new();
    for file in ["d/one.txt", "d/two.txt", "d/three"] {
        lab.write(file, file);
    }
    let dir = lab.home().join("d").display().to_string();
    let mount = format!("type=glob,src={dir}/*.txt,dst=/m,ro");
    assert_eq!(lab.ok(&format!("run --rm --network none --mount {mount} box ls /m")), "one.txt\ntwo.txt");
    let same = lab.ok(&format!("run --rm --network none --mount type=glob,src={dir}/t* box ls {dir}"));
    assert_eq!(same, "three\ntwo.txt");
}

#[test]
fn an_overlay_over_a_directory_can_keep_its_writes() {
    let lab = Lab::new();
    for file in ["low/f", "up/.keep", "work/.keep"] {
        lab.write(file, "x");
    }
    let home = lab.home().display().to_string();
    std::fs::remove_file(lab.home().join("work/.keep")).unwrap();
    let mount = format!("{home}/low:/m:O,upperdir={home}/up,workdir={home}/work");
    lab.ok(&format!("run --rm --network none -v {mount} box sh -c 'echo new > /m/new'"));
    assert!(lab.home().join("up/new").exists() && !lab.home().join("low/new").exists());
    let text = lab.creel(&format!("create -v {home}/low:/m:O,upperdir={home}/up box")).run().fails(125);
    assert!(text.contains("must set both `upperdir` and `workdir`"), "{text}");
}

#[test]
fn a_link_is_mounted_as_a_link_when_asked() {
    let lab = Lab::new();
    lab.write("d/f", "x");
    // Podman wants the link to lead somewhere.
    std::os::unix::fs::symlink("d/f", lab.home().join("link")).unwrap();
    let link = lab.home().join("link").display().to_string();
    let mount = format!("type=bind,src={link},dst=/m,no-dereference");
    assert_eq!(lab.ok(&format!("run --rm --network none --mount {mount} box readlink /m")), "d/f");
}

#[test]
fn no_link_leads_out_of_a_subpath() {
    let lab = Lab::new();
    lab.ok("volume create v");
    lab.write("outside/secret", "x");
    let outside = lab.home().join("outside").display().to_string();
    lab.ok(&format!("run --rm --network none -v v:/v box sh -c 'mkdir /v/in; echo y > /v/in/f; ln -s {outside} /v/out; ln -s in /v/link'"));
    let mount =
        |part: &str| format!("run --rm --network none --mount type=volume,src=v,dst=/m,subpath={part} box ls /m");
    assert_eq!(lab.ok(&mount("in")), "f");
    assert_eq!(lab.ok(&mount("link")), "f");
    assert_ne!(lab.creel(&mount("out")).run().exit_code(), 0);
    assert_ne!(lab.creel(&mount("nope")).run().exit_code(), 0);
}

#[test]
fn mounts_of_another_container_are_taken_over() {
    let lab = Lab::new();
    lab.write("d/f", "x");
    let dir = lab.home().join("d").display().to_string();
    lab.ok(&format!("create --name from -v {dir}:/d -v v:/v --tmpfs /t box true"));
    let all = lab.ok("run --rm --network none --volumes-from from:ro box grep -E ' /(d|v|t) ' /proc/self/mountinfo");
    assert_eq!(all.lines().count(), 2, "{all}");
    assert!(all.lines().all(|line| line.split(' ').nth(5).unwrap().starts_with("ro")), "{all}");
    for (options, expected) in
        [("from:foo", "can only use z,ro,rw options"), ("from:ro,rw", "more than once"), ("nope", "for volumes-from")]
    {
        let text = lab.creel(&format!("create --volumes-from {options} box")).run().fails(125);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_tmpfs_is_as_its_options_say() {
    let lab = Lab::new();
    let stat = |flags: &str, path: &str| {
        lab.ok(&format!(
            "run --rm --network none {flags} box sh -c 'stat -c \"%a %u\" {path}; grep \" {path} \" /proc/mounts'"
        ))
    };
    // Where the image has nothing everybody may write, as into any tmpfs.
    assert!(stat("--tmpfs /new", "/new").starts_with("1777 0\n"));
    assert!(stat("--tmpfs /new:mode=700", "/new").starts_with("700 0\n"));
    assert!(stat("--mount type=tmpfs,dst=/new,U --user 7", "/new").starts_with("1777 7\n"));
    let text = stat("--mount type=tmpfs,dst=/bin,ro", "/bin");
    assert!(text.starts_with("755 0\n") && text.contains(" ro,"), "{text}");
    lab.ok("run --name again --network none --tmpfs /new box true");
    lab.ok("start -a again");
    assert_eq!(lab.ok("run --rm --network none --user 7 --tmpfs /new box sh -c 'echo x > /new/f; cat /new/f'"), "x");
}

/// What the kernel says of a mount: its flags, without when times are noted.
fn flags(lab: &Lab, options: &str, path: &str) -> String {
    let text = lab.ok(&format!("run --rm --network none {options} box cat /proc/self/mountinfo"));
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = text.lines().map(fields).find(|fields| fields[4] == path);
    let found = found.unwrap_or_else(|| panic!("{path} is not mounted: {text}"));
    found[5].split(',').filter(|flag| !flag.ends_with("atime")).collect::<Vec<_>>().join(",")
}

#[test]
fn what_a_mount_allows_is_what_podman_s_allows() {
    let lab = Lab::new();
    lab.folder("host");
    for (options, path, expected) in [
        ("-v named:/m", "/m", "rw,nosuid,nodev"),
        ("-v named:/m:dev,suid,exec", "/m", "rw"),
        ("-v named:/m:ro,noexec", "/m", "ro,nosuid,nodev,noexec"),
        ("-v /m", "/m", "rw,nosuid,nodev"),
        ("-v ./host:/m", "/m", "rw"),
        ("--tmpfs /m", "/m", "rw,nosuid,nodev"),
        ("--tmpfs /m:dev,suid", "/m", "rw"),
        ("", "/dev", "rw,nosuid"),
        ("", "/dev/shm", "rw,nosuid,nodev,noexec"),
        ("", "/etc/hosts", "rw"),
        ("--read-only", "/dev", "rw,nosuid"),
        ("--read-only", "/dev/shm", "rw,nosuid,nodev,noexec"),
        ("--read-only", "/etc/hosts", "ro,nosuid,nodev,noexec"),
        ("--read-only", "/etc/hostname", "ro,nosuid,nodev,noexec"),
        ("--read-only", "/run/.containerenv", "ro,nosuid,nodev,noexec"),
        ("--read-only --read-only-tmpfs=false", "/dev", "ro,nosuid"),
        ("--read-only --read-only-tmpfs=false", "/dev/shm", "ro,nosuid,nodev,noexec"),
    ] {
        assert_eq!(flags(&lab, options, path), expected, "{options} {path}");
    }
    let closed = "run --rm --network none --read-only --read-only-tmpfs=false";
    lab.ok(&format!("{closed} box sh -c 'echo x >/dev/null'"));
    lab.creel(&format!("{closed} box touch /dev/x")).run().fails(1);
    lab.ok("create --name shown -v named:/m:ro,z box true");
    assert_eq!(lab.inspect("shown", "{{range .Mounts}}{{.Mode}} {{.Options}}{{end}}"), "z [nosuid nodev rbind]");
    assert_eq!(lab.inspect("shown", "{{.HostConfig.Binds}}"), "[named:/m:ro,z,rprivate,nosuid,nodev,rbind]");
}

#[test]
fn a_mount_said_twice_is_one() {
    let lab = Lab::new();
    lab.write("d/f", "x");
    let dir = lab.home().join("d").display().to_string();
    assert_eq!(lab.ok(&format!("run --rm --network none -v {dir}:/m -v {dir}:/m box cat /m/f")), "x");
    lab.ok("run --rm --network none --tmpfs /t --tmpfs /t box true");
    for other in [format!("-v {dir}:/m -v {dir}:/m:ro"), "--tmpfs /t:size=1m --tmpfs /t:size=2m".to_owned()] {
        let text = lab.creel(&format!("run --rm --network none {other} box true")).run().fails(125);
        assert!(text.contains("duplicate mount destination"), "{other}: {text}");
    }
}

#[test]
fn a_volume_over_etc_does_not_hide_names_and_hosts() {
    let lab = Lab::new();
    lab.write("etc/f", "x");
    let dir = lab.home().join("etc").display().to_string();
    let seen = lab.ok(&format!(
        "run --rm --network none --hostname here -v {dir}:/etc box sh -c 'cat /etc/hostname /etc/hosts /etc/f'"
    ));
    assert!(seen.starts_with("here\n") && seen.contains("localhost") && seen.ends_with('x'), "{seen}");
}

#[test]
fn a_read_only_container_without_temporary_folders_writes_nowhere() {
    let lab = Lab::new();
    let script = "for f in /dev/shm/x /tmp/x /run/x /etc/hosts; do if echo > $f; then echo $f is writable; fi; done";
    let flags = "--rm --network none --read-only --read-only-tmpfs=false";
    assert_eq!(
        lab.creel_words(
            &[&["run"], flags.split(' ').collect::<Vec<_>>().as_slice(), &["box", "sh", "-c", script]].concat()
        )
        .run()
        .out(),
        ""
    );
}

#[test]
fn mtab_is_there_and_is_no_change() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --name one --network none box readlink /etc/mtab"), "/proc/mounts");
    assert!(!lab.ok("diff one").contains("mtab"));
}
