//! `quadlet`, and the generator that systemd calls

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::lab::{Lab, differs_on_purpose};

/// The generator, as systemd calls it: by a name of its own, with the user's directories alone.
struct Generator {
    lab: Lab,
    quadlets: PathBuf,
    program: PathBuf,
}

impl Generator {
    fn new() -> Self {
        let lab = Lab::empty();
        let quadlets = lab.path("quadlets");
        fs::create_dir_all(&quadlets).unwrap();
        let program = lab.path("creel-user-generator");
        symlink(crate::lab::program(), &program).unwrap();
        Self { lab, quadlets, program }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.quadlets.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(words).env("QUADLET_UNIT_DIRS", &self.quadlets).env_remove("XDG_RUNTIME_DIR");
        command.output().unwrap()
    }

    /// What a dry run prints, and what it says.
    fn dry(&self) -> (String, String, bool) {
        let output = self.run(&["-dryrun", "-no-kmsg-log"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr), output.status.success())
    }
}

/// The value of a line `KEY=...` of the service; the last one.
fn line<'a>(text: &'a str, service: &str, key: &str) -> &'a str {
    let (_, after) = text.split_once(&format!("---{service}---\n")).unwrap_or_else(|| panic!("no {service} in {text}"));
    let unit = after.split("\n---").next().unwrap();
    let found = unit.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {key}= in {unit}"))
}

#[test]
fn a_container_becomes_a_service() {
    if differs_on_purpose("Podman's generator is another program") {
        return;
    }
    let generator = Generator::new();
    generator.write(
        "web.container",
        "[Unit]\nDescription=The web\n[Container]\nImage=quay.io/a/b\nExec=sh -c \"echo $X\"\nEnvironment=B=2 \"A=x y\"\n\
         Volume=data.volume:/data\nVolume=./here:/here\nNetwork=net.network:ip=10.0.0.2\nReadOnly=true\nNotify=healthy\nHealthCmd=true\n\
         [Service]\nRestart=always\n[Install]\nWantedBy=default.target\n",
    );
    generator.write("data.volume", "[Volume]\nVolumeName=mine\n");
    generator.write("net.network", "[Network]\nSubnet=10.0.0.0/24\n");
    let (text, said, success) = generator.dry();
    assert!(success, "{said}");
    let start = line(&text, "web.service", "ExecStart");
    let here = generator.quadlets.join("here");
    let here = here.display();
    let expected = format!(
        " run --name systemd-%N --replace --rm --cgroups=split --network systemd-net:ip=10.0.0.2 --sdnotify=healthy -d --read-only \
         -v mine:/data -v {here}:/here --env \"A=x\\x20y\" --env B=2 --health-cmd true quay.io/a/b sh -c \"echo\\x20$X\""
    );
    assert_eq!(start.split_once(' ').map(|(_, words)| format!(" {words}")), Some(expected));
    assert_eq!(line(&text, "web.service", "Type"), "notify");
    assert_eq!(line(&text, "web.service", "Restart"), "always");
    assert_eq!(line(&text, "web.service", "Requires"), "data-volume.service");
    assert_eq!(line(&text, "web.service", "RequiresMountsFor"), here.to_string());
    assert!(text.contains("[X-Container]\nImage=quay.io/a/b\n"), "{text}");
    assert!(line(&text, "data-volume.service", "ExecStart").ends_with(" volume create --ignore mine"));
    assert!(
        line(&text, "net-network.service", "ExecStart")
            .ends_with(" network create --ignore --subnet 10.0.0.0/24 systemd-net")
    );
}

#[test]
fn a_pod_starts_its_containers_and_they_end_with_it() {
    if differs_on_purpose("Podman's generator is another program") {
        return;
    }
    let generator = Generator::new();
    generator.write("p.pod", "[Pod]\nPublishPort=80:80\n");
    generator.write("one.container", "[Container]\nImage=quay.io/a/b\nPod=p.pod\n");
    generator.write("two.container", "[Container]\nImage=quay.io/a/b\nPod=p.pod\nStartWithPod=false\n");
    let (text, said, success) = generator.dry();
    assert!(success, "{said}");
    assert_eq!(line(&text, "p-pod.service", "Wants"), "one.service");
    assert_eq!(line(&text, "p-pod.service", "PIDFile"), "%t/%N.pid");
    assert!(line(&text, "p-pod.service", "ExecStartPre").ends_with(
        " pod create --infra-conmon-pidfile=%t/%N.pid --replace --exit-policy stop --publish 80:80 --infra-name systemd-p-infra --name systemd-p"
    ));
    for member in ["one.service", "two.service"] {
        assert_eq!(line(&text, member, "BindsTo"), "p-pod.service");
        assert!(line(&text, member, "ExecStart").ends_with(" --pod systemd-p quay.io/a/b"));
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_harms_nobody_else() {
    if differs_on_purpose("Podman's generator is another program") {
        return;
    }
    let generator = Generator::new();
    generator.write("good.container", "[Container]\nImage=quay.io/a/b\n");
    generator.write("typo.container", "[Container]\n# a picture\nImag=quay.io/a/b\n");
    generator.write("broken.container", "[Container]\nImage\n");
    generator.write("lost.container", "[Container]\nImage=quay.io/a/b\nVolume=no.volume:/x\n");
    generator.write("dropped.container", "[Container]\nImage=quay.io/a/b\n");
    generator.write("dropped.container.d/1.conf", "[Container]\nLable=x\n");
    let directory = generator.quadlets.display().to_string();
    let (text, said, success) = generator.dry();
    assert!(!success);
    for expected in [
        format!(
            "converting \"typo.container\": unsupported key 'Imag' in group 'Container' in {directory}/typo.container:3 (did you mean Image=?)"
        ),
        format!(
            "error loading \"{directory}/broken.container\", file contains line 2: “Image” which is not a key-value pair, group, or comment"
        ),
        "converting \"lost.container\": requested Quadlet source no.volume was not found".to_owned(),
        format!("in {directory}/dropped.container.d/1.conf:2 (did you mean Label=?)"),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert_eq!(text.matches("\nSourcePath=").count(), 1, "{text}");

    // Written as for systemd: the good one, and for the others services that say what is wrong.
    let directories = ["normal", "early", "late"].map(|name| generator.lab.path(name));
    let words: Vec<_> = directories.iter().map(|directory| directory.to_str().unwrap()).collect();
    assert!(!generator.run(&words).status.success());
    let names = |directory: &PathBuf| {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&directories[0]), ["good.service"]);
    assert_eq!(
        names(&directories[2]),
        ["broken.service", "creel-user-wait-network-online.service", "dropped.service", "lost.service", "typo.service"]
    );
    let refusal = fs::read_to_string(directories[2].join("typo.service")).unwrap();
    assert!(refusal.contains(" quadlet check typo.container\n"), "{refusal}");
}

#[test]
fn install_becomes_links_and_drop_ins_count_in_their_order() {
    if differs_on_purpose("Podman's generator is another program") {
        return;
    }
    let generator = Generator::new();
    generator.write("a-b.container", "[Container]\nImage=quay.io/a/b\nLabel=x=base\n");
    generator.write("a-.container.d/1.conf", "[Container]\nLabel=x=general\nLabel=y=general\n");
    generator.write("a-b.container.d/1.conf", "[Container]\nLabel=x=special\n");
    generator.write("container.d/2.conf", "[Install]\nWantedBy=default.target\nAlias=other.service\n");
    generator.write("t@.container", "[Container]\nImage=quay.io/a/b\nExec=echo %i\n[Install]\nDefaultInstance=one\n");
    let out = generator.lab.path("out");
    let output = generator.run(&["-v", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let unit = fs::read_to_string(out.join("a-b.service")).unwrap();
    assert!(unit.contains(" --label x=special quay.io/a/b\n"), "{unit}");
    let target = |path: &str| fs::read_link(out.join(path)).unwrap().display().to_string();
    assert_eq!(target("default.target.wants/a-b.service"), "../a-b.service");
    assert_eq!(target("default.target.wants/t@one.service"), "../t@.service");
    assert!(fs::read_to_string(out.join("t@.service")).unwrap().contains(" --name systemd-%p_%i "));
    assert!(out.join("other.service").is_symlink());
}

#[test]
fn the_generator_has_podmans_flags() {
    if differs_on_purpose("Podman's generator is another program") {
        return;
    }
    let generator = Generator::new();
    let said = |words: &[&str]| {
        let output = generator.run(words);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = said(&["-bogus"]);
    assert_eq!(code, Some(2));
    assert!(text.starts_with("flag provided but not defined: -bogus\nUsage of "), "{text}");
    let (code, text) = said(&["--user"]);
    assert_eq!(code, Some(1));
    assert!(text.contains(": missing output directory argument\n"), "{text}");
    let (code, text) = said(&["--dryrun"]);
    assert_eq!(code, Some(0));
    assert!(text.contains(&format!(": No files parsed from [{}]\n", generator.quadlets.display())), "{text}");
}

#[test]
fn quadlets_are_installed_listed_shown_and_removed() {
    if differs_on_purpose("Podman needs a systemd for it") {
        return;
    }
    let lab = Lab::empty();
    let place = lab.path("quadlets");
    let quadlet =
        |line: &str| lab.creel(&format!("quadlet {line}")).env("QUADLET_UNIT_DIRS", place.to_str().unwrap()).run();
    lab.write("a.container", "[Container]\n# mine\nImage=quay.io/a/b\n");
    lab.write("a.conf", "x\n");
    lab.write("many.quadlets", "# FileName=m\n[Container]\nImage=x\n---\n# FileName=n\n[Volume]\n");
    lab.write("notes.txt", "x\n");
    let shown = |name: &str| place.join(name).display().to_string();
    assert_eq!(
        quadlet("install --reload-systemd=false a.container a.conf").ok(),
        format!("{}\n{}", shown("a.container"), shown("a.conf"))
    );
    let again = quadlet("install --reload-systemd=false a.container").fails(125);
    assert!(again.contains("a Quadlet with name a.container already exists, refusing to overwrite"), "{again}");
    quadlet("install --reload-systemd=false --replace a.container a.conf").ok();
    assert_eq!(
        quadlet("install --reload-systemd=false many.quadlets").ok(),
        format!("{}\n{}", shown("m.container"), shown("n.volume"))
    );
    let other = quadlet("install --reload-systemd=false notes.txt").fails(125);
    assert!(other.contains("\".txt\" is not a supported Quadlet file type"), "{other}");
    let listed = quadlet("list --format '{{.Name}} {{.UnitName}} {{.App}}' --filter name=n").ok();
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            &["NAME", "UNIT", "NAME", "APPLICATION"][..],
            &["a.container", "a.service", ".a.container.app"],
            &["m.container", "m.service", ".many.app"],
            &["n.volume", "n-volume.service", ".many.app"],
        ]
    );
    assert_eq!(quadlet("print a.container").ok(), "[Container]\n# mine\nImage=quay.io/a/b");
    assert_eq!(
        quadlet("print no.container").fails(125).lines().next(),
        Some("Error: could not locate quadlet \"no.container\" in any supported quadlet directory: no such quadlet")
    );
    // One of an application takes the others with it.
    assert_eq!(quadlet("rm --reload-systemd=false n.volume").ok(), "n.volume");
    assert_eq!(quadlet("rm --reload-systemd=false --all").ok(), "a.container");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    assert_eq!(quadlet("rm --ignore a.container").ok(), "a.container");
    assert!(quadlet("rm a.container").fails(125).contains("some quadlets could not be removed"));
}

#[test]
fn units_of_systemd_are_made_of_quadlets() {
    crate::limits::in_machine(
        "units_of_systemd_are_made_of_quadlets",
        r#"
        sudo mkdir -p /etc/systemd/user-generators; sudo ln -sf $creel /etc/systemd/user-generators/creel-user-generator
        folder=~/.config/creel/systemd; mkdir -p $folder
        run='sh -c "trap \"exit 0\" TERM; echo hello from %n; sleep 1000 & wait"'
        quadlet() { printf '%b' "$2" > $folder/$1; }
        quadlet healthy.container "[Container]\nImage=$image\nNetwork=none\nHealthCmd=true\nHealthInterval=200ms\nNotify=healthy\n[Install]\nWantedBy=default.target\n[Service]\nRestart=on-failure\n"
        echo "Exec=$run" | sed -i "/^Image=/r /dev/stdin" $folder/healthy.container
        quadlet p.pod "[Pod]\n"
        for n in 1 2; do quadlet m$n.container "[Container]\nPod=p.pod\nImage=$image\n"; echo "Exec=$run" >> $folder/m$n.container; done
        quadlet data.volume "[Volume]\n"; quadlet net.network "[Network]\n"
        quadlet user.container "[Container]\nVolume=data.volume:/data\nNetwork=net.network\nImage=$image\n"; echo "Exec=$run" >> $folder/user.container
        quadlet typo.container "[Container]\nImag=x\n"
        systemctl --user daemon-reload
        systemctl --user start healthy user p-pod
        [ "$($creel inspect --format '{{.State.Health.Status}}' systemd-healthy)" = healthy ]
        systemctl --user is-active healthy user p-pod m1 m2 data-volume net-network
        $creel volume exists systemd-data; $creel network exists systemd-net
        [ "$($creel ps -q --filter pod=systemd-p | wc -l)" -ge 2 ]
        # What it says is in the journal, below its unit.
        for i in $(seq 50); do journalctl --user -q -u healthy -o cat | grep -q 'hello from healthy.service' && break; sleep 0.2; done
        journalctl --user -q -u healthy -o cat | grep 'hello from healthy.service'
        # A start of what has a mistake says which.
        ! systemctl --user start typo
        for i in $(seq 50); do journalctl --user -q -u typo -o cat | grep -q "did you mean Image=" && break; sleep 0.2; done
        journalctl --user -q -u typo -o cat | grep "typo.container:2 (did you mean Image=?)"
        # systemd starts it again when its monitor is killed.
        before=$(systemctl --user show -P MainPID healthy); kill -9 $before
        for i in $(seq 100); do [ "$(systemctl --user show -P NRestarts healthy)" = 1 ] && systemctl --user is-active -q healthy && break; sleep 0.2; done
        [ "$(systemctl --user show -P NRestarts healthy)" = 1 ]; systemctl --user is-active healthy
        systemctl --user restart user
        systemctl --user stop healthy user p-pod
        [ -z "$($creel ps -aq)" ]; [ -z "$($creel pod ps -q)" ]"#,
    );
}
