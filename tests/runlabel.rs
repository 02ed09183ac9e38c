//! `container runlabel`

use crate::lab::{Lab, differs_on_purpose};

fn labelled(lab: &Lab, labels: &[&str]) {
    let changes: Vec<String> = labels.iter().map(|label| format!("LABEL {label}")).collect();
    let mut words = vec!["commit", "-q"];
    changes.iter().for_each(|change| words.extend(["-c", change]));
    lab.ok("create --name base --network none box");
    words.extend(["base", "labelled"]);
    lab.creel_words(&words).run().ok();
    lab.ok("rm base");
}

#[test]
fn the_command_of_a_label_is_shown() {
    let lab = Lab::new();
    labelled(&lab, &[r#"RUN="podman run --name NAME -e A=IMAGE IMAGE \$OPT1 ls 'a b'""#, r#"bad="echo 'a""#]);
    assert_eq!(
        lab.ok("container runlabel --display RUN labelled"),
        "command: podman run --name labelled -e A=localhost/labelled:latest localhost/labelled:latest ls a b"
    );
    assert_eq!(
        lab.ok("container runlabel --display --opt1 one -n web run localhost/labelled:latest more"),
        "command: podman run --name web -e A=localhost/labelled:latest localhost/labelled:latest one ls a b more"
    );
    let missing = lab.creel("container runlabel --display nope labelled").run().fails(125);
    assert!(missing.contains("cannot find the value of label: nope in image: labelled"), "{missing}");
    lab.creel("container runlabel --display bad labelled").run().fails(125);
    let few = lab.creel("container runlabel RUN").run().fails(125);
    assert!(few.contains("requires at least 2 arg(s), only received 1"), "{few}");
}

#[test]
fn the_command_of_a_label_is_run() {
    let lab = Lab::new();
    let run = r#"run="podman run -d --network none --name NAME IMAGE sleep 1000""#;
    labelled(&lab, &[run, r#"say="echo hello NAME""#, r#"fail="sh -c 'exit 3'""#, r#"away="./no/such IMAGE""#]);
    assert_eq!(lab.ok("container runlabel say labelled 'a  b'"), "hello labelled a  b");
    lab.ok("container runlabel run labelled");
    assert_eq!(lab.inspect("labelled", "{{.State.Status}} {{.ImageName}}"), "running localhost/labelled:latest");
    let taken = lab.creel("container runlabel run labelled").run().fails(125);
    assert!(taken.contains("already in use"), "{taken}");
    assert!(taken.contains("failed: exit status 125"), "{taken}");
    let before = lab.inspect("labelled", "{{.Id}}");
    lab.ok("container runlabel --replace run labelled");
    assert_ne!(lab.inspect("labelled", "{{.Id}}"), before);
    let failed = lab.creel("container runlabel fail labelled").run().fails(125);
    assert!(failed.contains("`sh -c exit 3` failed: exit status 3"), "{failed}");
    let away = lab.creel("container runlabel away labelled").run().fails(125);
    assert!(away.contains("no such file or directory"), "{away}");
    if !differs_on_purpose("Podman shuts the command's standard output, so that the command fails") {
        assert_eq!(lab.ok("container runlabel --quiet say labelled"), "");
    }
}
