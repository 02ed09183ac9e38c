//! `unshare`

use crate::lab::{Lab, user};

#[test]
fn a_command_runs_as_root_of_the_user_namespace() {
    let lab = Lab::empty();
    assert_eq!(lab.ok("unshare id -u"), "0");
    let map = lab.ok("unshare cat /proc/self/uid_map");
    let words: Vec<String> = map.split_whitespace().map(str::to_owned).collect();
    assert_eq!(words[..3], ["0".to_owned(), user().uid.to_string(), "1".to_owned()], "{map}");
    lab.creel("unshare sh -c 'exit 9'").run().code(9);
    assert_eq!(lab.creel("unshare cat").input("typed").run().ok(), "typed");
    lab.creel("unshare no-such-program").run().fails(127);
}

#[test]
fn files_of_other_users_can_be_handled_there() {
    let lab = Lab::new();
    let data = lab.folder("data");
    lab.ok(&format!(
        "run --rm --network none -v {}:/data box sh -c 'touch /data/f; chown 1000 /data/f; chmod 600 /data/f'",
        data.display()
    ));
    assert_eq!(lab.ok(&format!("unshare stat -c %u {}/f", data.display())), "1000");
    lab.ok(&format!("unshare rm {}/f", data.display()));
    assert!(!data.join("f").exists());
}

#[test]
fn flags_behind_the_command_belong_to_it() {
    let lab = Lab::empty();
    assert_eq!(lab.ok("unshare echo --rm -x"), "--rm -x");
}

#[test]
fn the_network_of_containers_can_be_entered() {
    let lab = Lab::new();
    if !crate::lab::is_podman() {
        let refused = lab.creel("unshare --rootless-netns true").run().fails(125);
        assert!(refused.contains("nothing is connected"), "{refused}");
    }
    lab.ok("network create --subnet 10.77.3.0/24 lan");
    lab.ok("run -d --name one --network lan box idle");
    let routes = lab.ok("unshare --rootless-netns cat /proc/net/route");
    // 10.77.3.0, the least significant byte first.
    assert!(routes.contains("00034D0A"), "{routes}");
    assert_eq!(lab.ok("unshare --rootless-netns id -u"), "0");
    if !crate::lab::is_podman() {
        // Podman has all networks in one namespace.
        lab.ok("network create other");
        lab.ok("run -d --name two --network other box idle");
        let refused = lab.creel("unshare --rootless-netns true").run().fails(125);
        assert!(refused.contains("2 are in use: lan, other"), "{refused}");
    }
}
