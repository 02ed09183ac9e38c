//! `history`

use crate::lab::Lab;

#[test]
fn the_newest_step_comes_first() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box touch /x");
    lab.ok("commit -q -f docker -m 'a remark' one derived");
    let text = lab.ok("history derived");
    let lines: Vec<&str> = text.lines().collect();
    for heading in ["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"] {
        assert!(lines[0].contains(heading), "{text}");
    }
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[2].contains("layer 1"), "{text}");
    assert_eq!(lab.ok("history --format {{.CreatedBy}} box"), "layer 1");
    assert_eq!(lab.ok("history -q box"), &crate::lab::image::box_draft().id()[..12]);
    assert_eq!(lab.ok("history -q --no-trunc box"), crate::lab::image::box_draft().id());
    lab.creel("history nosuch").run().fails(125);
}
