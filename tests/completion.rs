//! `completion`, in the shells themselves.

use crate::lab::{Lab, differs_on_purpose, has_program};

/// A running container `web`, a created one `old`, a volume `data`.
fn busy_lab() -> Lab {
    let lab = Lab::new();
    lab.ok("run -d --name web --network none box sleep 1000");
    lab.ok("create --name old --network none box true");
    lab.ok("volume create data");
    lab
}

/// What would be offered for the line, whose last word is being typed.
fn offered(lab: &Lab, line: &str) -> Vec<String> {
    let mut words = vec!["__complete"];
    words.extend(line.split(' '));
    let out = lab.creel_words(&words).run().ok();
    let lines = out.lines().filter(|line| !line.starts_with(':'));
    lines.map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn names_are_offered_by_what_can_be_done_with_them() {
    if differs_on_purpose("creel offers more: short names, v1: behind -v, no name twice") {
        return;
    }
    let lab = busy_lab();
    assert_eq!(offered(&lab, "stop "), ["web"]);
    assert_eq!(offered(&lab, "exec -it "), ["web"]);
    assert_eq!(offered(&lab, "start "), ["old"]);
    assert_eq!(offered(&lab, "rm "), ["web", "old"]);
    assert_eq!(offered(&lab, "rm web "), ["old"]);
    // It takes one container.
    assert_eq!(offered(&lab, "export web "), [""; 0]);
    assert_eq!(offered(&lab, "kube generate "), ["web", "old", "data"]);
    assert_eq!(
        offered(&lab, "events --filter event=re"),
        ["refresh", "remove", "rename", "restart"].map(|e| format!("event={e}"))
    );
    assert_eq!(offered(&lab, "container logs w"), ["web"]);
    assert_eq!(offered(&lab, "run --rm bo"), ["box:latest"]);
    assert_eq!(offered(&lab, "rmi localhost/"), ["localhost/box:latest"]);
    assert_eq!(offered(&lab, "volume rm "), ["data"]);
    assert_eq!(offered(&lab, "run -v da"), ["data:"]);
    assert_eq!(offered(&lab, "run --network container:"), ["container:web", "container:old"]);
    assert_eq!(offered(&lab, "cp ol"), ["old:"]);
    let id = lab.inspect("web", "{{.Id}}");
    assert_eq!(offered(&lab, &format!("stop {}", &id[..3])), [&id[..12]]);
    // A store elsewhere has its own names.
    assert_eq!(offered(&lab, &format!("--root {} rm ", lab.path("other").display())), Vec::<String>::new());
    // Nothing is ever said of errors.
    let nothing = lab.creel_words(&["__complete", "nonsense", ""]).run();
    assert_eq!(nothing.ok(), ":4");
}

/// The protocol of cobra: Podman's completion scripts ask any program that is called `podman`.
#[test]
fn the_answer_is_one_that_podman_s_scripts_read() {
    let lab = Lab::empty();
    lab.ok("volume create data");
    lab.ok("network create net1");
    for (line, candidates, directive) in [
        ("volume inspect ", "data", 4),
        ("volume mount d", "data", 4),
        ("network rm n", "net1", 4),
        ("inspect d", "data", 4),
        ("kube play ", "", 0),
        ("run --pid ", "host private container: ns:", 6),
        ("run --restart ", "always no on-failure unless-stopped", 4),
        ("commit --change ENT", "ENTRYPOINT", 2),
        ("ps --filter restart", "restart-policy=", 6),
        ("ps --format ", "json", 4),
        ("ps --format {{.PodN", "{{.PodName}}", 6),
        ("ps --format {{.Namespaces.U", "{{.Namespaces.UTS}} {{.Namespaces.User}}", 6),
        ("inspect --format {{.NetworkSettings.Gat", "{{.NetworkSettings.Gateway}}", 6),
        ("info --format {{.Host.Sec", "{{.Host.Security.", 6),
        ("inspect --type ", "all artifact container image network pod volume", 4),
        ("artifact add -", "--annotation --append -a --file-type --replace --type", 4),
    ] {
        let mut words = vec!["__completeNoDesc"];
        words.extend(line.split(' '));
        let answer = lab.creel_words(&words).run();
        let out = answer.ok();
        let (offered, last) = out.rsplit_once('\n').unwrap_or(("", &out));
        assert_eq!(
            (offered.replace('\n', " ").as_str(), last),
            (candidates, format!(":{directive}").as_str()),
            "{line}"
        );
        assert!(answer.err().starts_with("Completion ended with directive: ShellCompDirective"), "{line}: {answer}");
    }
}

#[test]
fn every_field_that_is_offered_is_there() {
    if differs_on_purpose("offers methods of Go's types, too") {
        return;
    }
    let lab = busy_lab();
    lab.ok("create --name checked --health-cmd true --network none box true");
    lab.ok("pod create --name group");
    lab.ok("network create net1");
    lab.shell("echo x | $CREEL secret create key -").run().ok();
    for (command, of) in [
        ("ps", "--all"),
        ("images", "box"),
        ("pod ps", ""),
        ("volume ls", ""),
        ("network ls", ""),
        ("secret ls", ""),
        ("stats", "--no-stream web"),
        ("history", "box"),
        ("info", ""),
        ("version", ""),
        ("system df", ""),
        ("events", "--stream=false --filter container=web"),
        ("inspect", "checked"),
        ("image inspect", "box"),
        ("volume inspect", "data"),
        ("network inspect", "net1"),
        ("pod inspect", "group"),
        ("secret inspect", "key"),
    ] {
        let mut within = vec![String::new()];
        while let Some(parent) = within.pop() {
            let mut asked: Vec<&str> = std::iter::once("__completeNoDesc").chain(command.split(' ')).collect();
            let open = format!("{{{{.{parent}");
            asked.extend(["--format", open.as_str()]);
            let offered = lab.creel_words(&asked).run().ok();
            let mut template = String::new();
            for field in offered.lines().filter(|line| line.starts_with(&open)) {
                match field.strip_suffix('.') {
                    Some(_) => within.push(field["{{.".len()..].to_owned()),
                    // A function of the label's name.
                    None if field == "{{.Label}}" => {}
                    None => template.push_str(field),
                }
            }
            assert!(!parent.is_empty() || offered.lines().count() > 1, "{command}: {offered}");
            let mut words: Vec<&str> = command.split(' ').chain(["--format", &template]).collect();
            words.extend(of.split_ascii_whitespace());
            lab.creel_words(&words).run().ok();
        }
    }
}

#[test]
fn an_answer_takes_no_time() {
    if differs_on_purpose("a program that starts more slowly") {
        return;
    }
    let lab = busy_lab();
    // Of the processor: what else the machine does is nobody's fault here. User and system, in seconds.
    let took = lab.shell(
        "TIMEFORMAT='%3U %3S'; for i in 1 2 3 4 5 6 7 8 9 10; do time $CREEL __complete rm '' > /dev/null 2>&1; done",
    );
    let took = took.run();
    let seconds = |line: &str| line.split(' ').map(|part| part.parse::<f64>().unwrap()).sum::<f64>();
    let fastest = took.err().lines().map(seconds).min_by(f64::total_cmp).unwrap();
    // Without optimisation.
    assert!(fastest < 0.03, "{took}");
}

#[test]
fn bash_completes_commands_flags_and_names() {
    if differs_on_purpose("other texts") || !has_program("bash") {
        return;
    }
    let lab = busy_lab();
    let mut shell = lab.terminal_of(&["bash", "--norc", "--noprofile", "-i"]);
    shell.type_in("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1='$ '; source <(creel completion bash); echo re'ady'\n");
    shell.expect("ready\r\n");
    for (typed, completed) in [
        ("creel sto\t", "creel stop "),
        ("creel stop w\t", "creel stop web "),
        ("creel run --env-f\t", "creel run --env-file "),
        ("creel run --restart=unl\t", "creel run --restart=unless-stopped "),
        ("creel run -v da\t/d", "creel run -v data:/d"),
        ("creel rmi localhost/box:la\t", "creel rmi localhost/box:latest "),
        ("creel --log-level warn start o\t", "creel --log-level warn start old "),
        ("creel load -i /etc/hostn\t", "creel load -i /etc/hostname "),
    ] {
        // The line is echoed whole and as it stands by what comes after Ctrl-A.
        shell.type_in(&format!("{typed}\x01echo '[\x05]'\n"));
        shell.expect(&format!("[{completed}]\r\n"));
    }
    shell.type_in("exit\n");
    assert_eq!(shell.end(), 0);
}

#[test]
fn zsh_completes_commands_flags_and_names() {
    if differs_on_purpose("other texts") || !has_program("zsh") {
        return;
    }
    let lab = busy_lab();
    let mut shell = lab.terminal_of(&["zsh", "-f", "-i"]);
    shell.type_in("PS1='$ '; unsetopt zle_bracketed_paste list_beep; autoload -U compinit; compinit -u -D; ");
    shell.type_in("source <(creel completion zsh); bindkey -e; echo re'ady'\n");
    shell.expect("ready\r\n");
    // The space behind a whole word is taken back by the next key.
    for (typed, completed) in [
        ("creel sto\t", "creel stop"),
        ("creel stop w\t", "creel stop web"),
        ("creel run --env-f\t", "creel run --env-file"),
        ("creel run --restart=unl\t", "creel run --restart=unless-stopped"),
        ("creel rmi localhost/box:la\t", "creel rmi localhost/box:latest"),
        ("creel load -i /etc/hostn\t", "creel load -i /etc/hostname"),
    ] {
        shell.type_in(&format!("{typed}\x01echo '[\x05]'\n"));
        shell.expect(&format!("[{completed}]\r\n"));
    }
    shell.type_in("exit\n");
    assert_eq!(shell.end(), 0);
}

#[test]
fn fish_completes_commands_flags_and_names() {
    if differs_on_purpose("other texts") || !has_program("fish") {
        return;
    }
    let lab = busy_lab();
    let dir = crate::lab::program().parent().unwrap().display().to_string();
    let asked = |line: &str| {
        let script = format!("set -x PATH {dir} $PATH; creel completion fish | source; complete -C '{line}'");
        lab.program(&format!("fish --no-config -c \"{script}\"")).run().ok()
    };
    assert_eq!(asked("creel stop w"), "web\tlocalhost/box:latest");
    assert!(asked("creel sto").starts_with("stop\t"));
    assert_eq!(asked("creel volume rm "), "data");
    assert!(asked("creel run --env-fi").starts_with("--env-file\t"));
    assert!(asked("creel load -i /etc/hostn").contains("/etc/hostname"));
}

#[test]
fn every_shell_has_a_script() {
    let lab = Lab::empty();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(lab.ok(&format!("completion {shell}")).lines().count() > 5, "{shell}");
    }
    let file = lab.path("completion.bash");
    lab.ok(&format!("completion -f {} bash", file.display()));
    assert!(std::fs::read_to_string(file).unwrap().contains("complete "));
    lab.creel("completion tcsh").run().fails(125);
}
