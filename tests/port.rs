//! `port`

use crate::lab::{Lab, free_port};

#[test]
fn port_lists_all_or_answers_for_one() {
    let lab = Lab::new();
    let (first, second) = (free_port(), free_port());
    let id = lab.ok(&format!("run -d --name one -p 127.0.0.1:{first}:80 -p {second}:53/udp box idle"));
    let all = lab.ok("port one");
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("53/udp -> 0.0.0.0:{second}"), format!("80/tcp -> 127.0.0.1:{first}")]);
    assert_eq!(lab.ok("port one 80"), format!("127.0.0.1:{first}"));
    assert_eq!(lab.ok("port one 53/udp"), format!("0.0.0.0:{second}"));
    lab.creel("port one 81").run().fails(125);
    assert!(lab.ok("port --all").contains(&id[..12]));
    lab.creel("port nosuch").run().fails(125);
}

#[test]
fn a_container_that_does_not_run_has_no_ports() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("create --name one -p 127.0.0.1:{port}:80/udp -p 127.0.0.1:{port}:81 box idle"));
    assert_eq!(lab.ok("port one"), "");
    assert_eq!(lab.ok("port one 99"), "");
    lab.ok("start one");
    let expected = format!("81/tcp -> 127.0.0.1:{port}\n80/udp -> 127.0.0.1:{port}");
    assert_eq!(lab.ok("port one"), expected);
    let text = lab.creel("port one 80").run().fails(125);
    assert!(text.contains("failed to find published port \"80\""), "{text}");
    lab.ok("run -d --name bare --network none box idle");
    assert_eq!(lab.ok("port bare 80"), "");
}
