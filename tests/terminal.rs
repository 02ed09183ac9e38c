//! `-t`: the command has a terminal, and ours is its window.

use crate::lab::Lab;

#[test]
fn the_command_has_a_terminal_of_our_size() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --rm --network none box sh");
    terminal.type_in("tty; stty size; echo TERM=$TERM; test -t 0 && test -t 1 && test -t 2 && echo 'all'three\n");
    terminal.expect("/dev/pts/0");
    terminal.expect("24 80");
    terminal.expect("TERM=xterm");
    terminal.expect("allthree");
    terminal.type_in("exit 5\n");
    assert_eq!(terminal.end(), 5);
}

#[test]
fn the_terminal_has_its_size_before_the_command_looks() {
    let lab = Lab::new();
    lab.ok("create -it --network none --name shut box stty size");
    lab.ok("create -it --network none --name open box stty size");
    lab.ok("init open");
    for line in ["run -it --rm --network none box stty size", "start -ai shut", "start -ai open"] {
        let mut terminal = lab.terminal(line);
        terminal.expect("24 80");
        assert_eq!(terminal.end(), 0, "{line}");
    }
}

#[test]
fn a_new_size_is_passed_on() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --rm --network none box sh -c 'trap \"stty size; exit 0\" WINCH; echo ready; while :; do sleep 0.05; done'");
    terminal.expect("ready");
    terminal.resize(33, 99);
    terminal.expect("33 99");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn control_c_reaches_the_command() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --rm --network none box sh");
    terminal.type_in("trap 'echo inter''rupted' INT; echo 're'ady\n");
    terminal.expect("ready");
    // From a program in the foreground: a shell that has not started it yet would wait for its end first.
    terminal.type_in("sh -c 'echo slee''ping; exec sleep 1000'\n");
    terminal.expect("sleeping");
    terminal.type_in("\u{3}");
    terminal.expect("interrupted");
    terminal.type_in("exit 3\n");
    assert_eq!(terminal.end(), 3);
}

#[test]
fn the_end_of_input_reaches_the_command() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --rm --network none box cat");
    terminal.type_in("echoed\n");
    terminal.expect("echoed\r\nechoed");
    terminal.type_in("\u{4}");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn our_own_terminal_is_as_before_when_the_command_is_over() {
    let lab = Lab::new();
    let terminal = lab.terminal("run -it --rm --network none box true");
    let before = terminal.first_settings();
    assert!(before.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON));
    assert_eq!(terminal.end_with_settings(), (0, before));
}

#[test]
fn a_terminal_without_input_is_possible() {
    let lab = Lab::new();
    assert_eq!(lab.creel("run -t --rm --network none box sh -c 'test -t 1 && echo yes'").run().ok().trim_end(), "yes");
    lab.ok("run -dt --name one --network none box sh -c 'tty; idle'");
    lab.log_holds("one", "/dev/pts/0");
}

#[test]
fn detach_keys_leave_the_container_running() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --name one --network none box sh");
    terminal.type_in("echo 're'ady\n");
    terminal.expect("ready");
    terminal.press("\u{10}\u{11}");
    assert_eq!(terminal.end(), 0);
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn much_output_arrives_whole() {
    let lab = Lab::new();
    let mut terminal = lab.terminal("run -it --rm --network none box sh -c 'seq 1 20000; echo end-of-it'");
    let text = terminal.expect("end-of-it");
    assert_eq!(text.lines().filter(|line| line.trim_end().parse::<u32>().is_ok()).count(), 20000);
    assert_eq!(terminal.end(), 0);
}
