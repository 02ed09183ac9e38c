//! `--device`, by path and by the vendors' names, `--gpus`, and limits of devices.

use crate::lab::{Lab, differs_on_purpose, is_podman};

#[test]
fn a_device_has_the_name_it_is_given() {
    let lab = Lab::new();
    assert_eq!(
        lab.ok("run --rm --network none --device /dev/null:/dev/nothing box sh -c 'echo x > /dev/nothing; echo ok'"),
        "ok"
    );
    if std::path::Path::new("/dev/net/tun").exists() {
        assert_eq!(lab.ok("run --rm --network none --device /dev/net box ls /dev/net"), "tun");
        assert_eq!(lab.ok("run --rm --network none --device /dev/net:/dev/other box ls /dev/other"), "tun");
    } else {
        crate::lab::skip("no /dev/net/tun on this machine");
    }
}

#[test]
fn what_is_no_device_is_refused() {
    let lab = Lab::new();
    let table = [
        ("--device /dev/nope", "stat /dev/nope: no such file or directory"),
        ("--device /etc/passwd", "/etc/passwd is not a valid device: not a device node"),
        ("--device /usr", "no devices found in /usr: invalid argument"),
        (
            "--device-cgroup-rule foo",
            "invalid device cgroup rule requires type, major:Minor, and access rules: \"foo\"",
        ),
        ("--device-cgroup-rule 'c 1:x rwm'", "strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("--device-cgroup-rule 'c 1:3 q'", "invalid device access in device-access-add: q"),
        ("--device-cgroup-rule 'c 1:3 rwm'", "device cgroup rules are not supported in rootless mode"),
        ("--blkio-weight-device /dev/null:5", "invalid weight for device: /dev/null:5"),
        ("--blkio-weight-device /dev/nope:100", "failed to inspect '/dev/nope' in --blkio-weight-device"),
        ("--device-read-bps /dev/nope:1mb", "could not parse device /dev/nope: no such file or directory"),
        ("--device-write-iops /dev/null:-1", "invalid rate for device: /dev/null:-1"),
    ];
    for (flags, expected) in table {
        let text = lab.creel(&format!("create {flags} box true")).run().fails(125);
        assert!(text.contains(expected), "{flags}: {text}");
    }
    if !is_podman() {
        for flags in ["--device vendor.com/class=name", "--gpus all"] {
            let text = lab.creel(&format!("create {flags} box true")).run().fails(125);
            assert!(text.contains("setting up CDI devices: unresolvable CDI devices"), "{flags}: {text}");
        }
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_vendor_s_file_says_what_a_device_is() {
    if differs_on_purpose("a vendor's node may have another name on the host") {
        return;
    }
    let lab = Lab::new();
    lab.write("lib/libvendor.so", "library");
    let home = lab.home().display().to_string();
    lab.write(
        "cdi/vendor.yaml",
        format!(
            "cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    deviceNodes:\n    - path: /dev/gpu0\n      \
             hostPath: /dev/null\ncontainerEdits:\n  env:\n  - GPU=yes\n  mounts:\n  - hostPath: {home}/lib\n    containerPath: /vendor\n    \
             options: [ro, nosuid, nodev, bind]\n"
        ),
    );
    for flag in ["--device nvidia.com/gpu=all", "--gpus all"] {
        let run = format!(
            "--cdi-spec-dir {home}/cdi run --rm --network none {flag} box sh -c 'echo $GPU; cat /vendor/libvendor.so; echo; ls /dev/gpu0'"
        );
        assert_eq!(lab.ok(&run), "yes\nlibrary\n/dev/gpu0");
    }
}
