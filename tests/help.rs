//! Help, man pages, suggestions, and the program under other names.

use crate::lab::{Lab, differs_on_purpose, has_program};

#[test]
fn help_has_a_heading_an_example_and_every_flag() {
    if differs_on_purpose("other texts") {
        return;
    }
    let lab = Lab::empty();
    let all = lab.ok("--help");
    for word in ["\nUsage:\n  creel [options] [command]\n", "  run ", "  volume ", "  doctor ", "--root DIR"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    let run = lab.ok("run --help");
    assert!(
        run.starts_with("Run a command in a new container\n\nUsage:\n  creel run [options] IMAGE [COMMAND [ARG...]]\n"),
        "{run}"
    );
    for word in ["Examples:", "Options:", "-p, --publish", "--memory"] {
        assert!(run.contains(word), "{word}: {run}");
    }
    // By subject for people.
    let mut terminal = lab.terminal("run --help");
    for word in ["Life:", "Network:", "Limits:", "Health:"] {
        terminal.expect(word);
    }
    assert_eq!(terminal.end(), 0);
    let mut terminal = lab.terminal("--help");
    terminal.expect("Every day:");
    terminal.expect("Groups of commands:");
    assert_eq!(terminal.end(), 0);
    assert!(run.lines().all(|line| line.chars().count() <= 100), "{run}");
    assert_eq!(lab.ok("help run"), run);
    assert_eq!(lab.ok("container run --help").lines().count(), run.lines().count());
    let narrow = lab.creel("ps --help").env("COLUMNS", "60").run().ok();
    assert!(narrow.lines().all(|line| line.chars().count() <= 70), "{narrow}");
    assert!(lab.ok("volume --help").contains("creel volume [command]"));
    // No colours but on a terminal.
    assert!(!all.contains('\u{1b}'));
    let mut terminal = lab.terminal("ps --help");
    terminal.expect("\u{1b}[1;33mUsage:\u{1b}[0m");
    assert_eq!(terminal.end(), 0);
}

/// Programs read the line under `Usage:` to learn what a command takes, and walk from group to group.
#[test]
fn usage_and_other_spellings_are_podman_s() {
    let lab = Lab::empty();
    let program = if differs_on_purpose("its own name in the same lines") { "podman" } else { "creel" };
    for (command, usage, aliases) in [
        ("inspect", "[options] {ARTIFACT|CONTAINER|IMAGE|POD|NETWORK|VOLUME} [...]", ""),
        ("diff", "[options] {CONTAINER|IMAGE} [{CONTAINER|IMAGE}]", ""),
        ("top", "[options] CONTAINER [FORMAT-DESCRIPTORS|ARGS...]", ""),
        ("tag", "IMAGE TARGET_NAME [TARGET_NAME...]", ""),
        ("untag", "IMAGE [IMAGE...]", ""),
        ("unmount", "[options] CONTAINER [CONTAINER...]", "unmount, umount"),
        ("container list", "[options]", "list, ls"),
        ("image list", "[options] [IMAGE]", "list, ls"),
        ("network rm", "[options] NETWORK [NETWORK...]", "rm, remove"),
        ("pod ps", "[options]", "ps, ls, list"),
        ("kube play", "[options] [KUBEFILE [KUBEFILE...]]|-", ""),
        ("kube generate", "[options] {CONTAINER...|POD...|VOLUME...}", ""),
        ("manifest add", "[options] LIST IMAGEORARTIFACT [IMAGEORARTIFACT...]", ""),
        ("quadlet print", "QUADLET", "print, cat"),
        ("system service", "[options] [URI]", ""),
        ("volume import", "VOLUME [SOURCE]", ""),
        ("volume unmount", "NAME", ""),
    ] {
        let help = lab.ok(&format!("{command} --help"));
        assert!(help.contains(&format!("\nUsage:\n  {program} {command} {usage}\n")), "{command}: {help}");
        let shown = match aliases {
            "" => !help.contains("\nAliases:"),
            aliases => help.contains(&format!("\nAliases:\n  {aliases}\n")),
        };
        assert!(shown, "{command}: {help}");
    }
    for (line, complaint) in [
        ("pod -Z", "Error: unknown shorthand flag: 'Z' in -Z\nSee 'NAME pod --help'"),
        ("pod --nope=1 x", "Error: unknown flag: --nope\nSee 'NAME pod --help'"),
        ("pod a1", "Error: unrecognized command `NAME pod a1`\nTry 'NAME pod --help' for more information"),
        ("volume unmount a b", "Error: accepts 1 arg(s), received 2"),
        (
            "build --cpu-shares x",
            "Error: invalid argument \"x\" for \"-c, --cpu-shares\" flag: strconv.ParseUint: parsing \"x\": invalid syntax\nSee 'NAME build --help'",
        ),
    ] {
        let error = lab.creel(line).run().fails(125);
        assert_eq!(error.trim_end(), complaint.replace("NAME", program), "{line}");
    }
}

#[test]
fn errors_are_red_on_a_terminal_unless_colours_are_unwanted() {
    if differs_on_purpose("other texts") {
        return;
    }
    let lab = Lab::empty();
    let mut terminal = lab.terminal("ps --nope");
    terminal.expect("\u{1b}[1;31mError:\u{1b}[0m unknown flag: --nope");
    assert_eq!(terminal.end(), 125);
    let program = crate::lab::program().display().to_string();
    let mut terminal = lab.terminal_of(&["env", "NO_COLOR=1", &program, "ps", "--nope"]);
    assert!(!terminal.expect("Error: unknown flag: --nope").contains('\u{1b}'));
    assert_eq!(terminal.end(), 125);
}

#[test]
fn man_pages_are_sound_and_complete() {
    if differs_on_purpose("packaged otherwise") || !has_program("man") {
        return;
    }
    let lab = Lab::empty();
    let dir = lab.folder("man/man1");
    lab.ok(&format!("man {}", dir.display()));
    for page in
        ["creel.1", "creel-run.1", "creel-container-run.1", "creel-volume.1", "creel-volume-ls.1", "creel-doctor.1"]
    {
        assert!(dir.join(page).exists(), "{page}");
    }
    let shown = lab.program(&format!("man -P cat -l {}", dir.join("creel-run.1").display())).run().ok();
    assert!(shown.contains("creel-run - Run a command in a new container"), "{shown}");
    assert!(shown.contains("--publish [[IP:]HOSTPORT") || shown.contains("--publish"), "{shown}");
    // groff complains about what it does not understand.
    for page in std::fs::read_dir(&dir).unwrap() {
        let page = page.unwrap().path();
        let text = std::fs::read_to_string(&page).unwrap();
        if text.starts_with(".so ") {
            let target = text.trim().trim_start_matches(".so man1/");
            assert!(dir.join(target).exists(), "{}: {target}", page.display());
            continue;
        }
        let checked = lab.program(&format!("man --warnings -E UTF-8 -l -Tutf8 -Z {}", page.display())).run();
        assert_eq!((checked.exit_code(), checked.err().as_str()), (0, ""), "{}", page.display());
    }
}

#[test]
fn a_slip_of_the_finger_gets_a_suggestion() {
    if differs_on_purpose("hints are creel's own") {
        return;
    }
    let lab = Lab::new();
    lab.ok("create --name webserver --network none box true");
    lab.ok("volume create datavolume");
    for (line, hint) in [
        ("inspect --type container webservr", "hint: there is a container webserver"),
        ("start webserve", "hint: there is a container webserver"),
        ("history bx", "hint: there is an image box"),
        ("volume inspect datavolmue", "hint: there is a volume datavolume"),
        ("ps --fromat json", "hint: there is --format"),
        ("run --rn box", "hint: there is --rm"),
        ("strat webserver", "\tstart\n"),
    ] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains(hint), "{line}: {error}");
    }
    assert!(!lab.creel("start nothing-like-it").run().fails(125).contains("hint:"));
}

#[test]
fn called_by_another_name_it_answers_to_it() {
    if differs_on_purpose("podman's own names") {
        return;
    }
    let lab = Lab::new();
    let bin = lab.folder("bin");
    for name in ["docker", "podman"] {
        std::os::unix::fs::symlink(crate::lab::program(), bin.join(name)).unwrap();
        let call = |line: &str| lab.program(&format!("{}/{name} {line}", bin.display())).run();
        let version = call("--version").ok();
        assert!(version.starts_with(&format!("{name} version 5.")), "{version}");
        assert!(call("version --format '{{.Client.Version}}'").ok().starts_with("5."));
        let error = call("ps --nope").fails(125);
        assert!(error.ends_with(&format!("Error: unknown flag: --nope\nSee '{name} ps --help'")), "{error}");
        let error = call("psx").fails(125);
        assert!(error.contains(&format!("unrecognized command `{name} psx`")), "{error}");
        assert!(error.ends_with(&format!("Try '{name} --help' for more information")), "{error}");
        assert!(call("run --help").ok().contains(&format!("\n  {name} run [options] IMAGE")));
        assert!(call("completion bash").ok().contains(&format!("complete -F __{name}_complete {name}")));
        assert_eq!(call("run --rm --network none box echo works").ok(), "works");
        // One notice, on standard error, and only for docker.
        let notice = "Emulate Docker CLI using creel. Create /etc/containers/nodocker to quiet msg.";
        assert_eq!(call("ps -q").err().contains(notice), name == "docker");
    }
    lab.ok("create --name c1 --label a=b --network none box true");
    let docker = |line: &str| lab.program(&format!("{}/docker {line}", bin.display())).run().ok();
    assert_eq!(docker("ps -a --no-trunc --format '{{.ID}}'"), lab.inspect("c1", "{{.Id}}"));
    assert_eq!(
        docker("ps -a --format '{{.Names}} {{.Image}} {{.State}} {{.Label \"a\"}}'"),
        "c1 localhost/box:latest created b"
    );
    assert_eq!(docker("inspect -f '{{.Name}} {{.State.Status}}' c1"), "c1 created");
    assert_eq!(docker("container ls -aq --no-trunc"), lab.inspect("c1", "{{.Id}}"));
    assert!(docker("image ls --format '{{.Repository}}:{{.Tag}}'").contains("localhost/box:latest"));
    assert_eq!(docker("volume ls -q"), "");
}

/// The words after a heading, up to the next empty line.
fn first_words(help: &str, heading: &str) -> Vec<String> {
    let after = help.lines().skip_while(|line| *line != heading).skip(1);
    let lines = after.take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| {
            line.strip_prefix("  ")?.split(' ').next().filter(|word| !word.is_empty()).map(str::to_owned)
        })
        .collect()
}

#[test]
fn a_program_can_walk_the_help_of_every_command() {
    let lab = Lab::empty();
    let commands = first_words(&lab.ok("--help"), "Available Commands:");
    for name in ["run", "container", "volume", "version"] {
        assert!(commands.iter().any(|command| command == name), "{name}: {commands:?}");
    }
    for group in ["container", "volume", "network", "secret", "system"] {
        let members = first_words(&lab.ok(&format!("{group} --help")), "Available Commands:");
        assert!(members.len() >= 4, "{group}: {members:?}");
        for member in members {
            if group == "system" && ["connection", "service"].contains(&member.as_str()) {
                continue;
            }
            let help = lab.ok(&format!("{group} {member} --help"));
            let usage = help.lines().skip_while(|line| *line != "Usage:").nth(1).unwrap_or_default();
            assert!(usage.contains(&format!(" {group} {member}")), "{help}");
        }
    }
    for (command, arguments) in [
        ("stop", "CONTAINER [CONTAINER...]"),
        ("export", "CONTAINER"),
        ("stats", "[CONTAINER...]"),
        ("login", "[REGISTRY]"),
        ("build", "[CONTEXT]"),
        ("cp", "[CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH"),
        ("volume create", "[NAME]"),
        ("search", "TERM"),
    ] {
        let help = lab.ok(&format!("{command} --help"));
        assert!(help.lines().any(|line| line.ends_with(&format!(" {command} [options] {arguments}"))), "{help}");
    }
    assert_eq!(lab.ok("help run extra"), lab.ok("run --help"));
}
