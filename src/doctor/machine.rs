//! How the distribution calls a package, and how it installs one.

use std::fs;

/// The command that installs what brings `program`.
pub(super) fn install(program: &str) -> String {
    command(&fs::read_to_string("/etc/os-release").unwrap_or_default(), program)
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    Debian,
    Fedora,
    Suse,
    Arch,
    Alpine,
    Other,
}

/// `ID` and `ID_LIKE` of os-release(5).
fn family(release: &str) -> Family {
    let values = release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    let words = values.flat_map(|value| value.trim_matches(['"', '\'']).split_ascii_whitespace());
    let known = words.filter_map(|word| match word {
        "debian" | "ubuntu" => Some(Family::Debian),
        "fedora" | "rhel" | "centos" => Some(Family::Fedora),
        "suse" | "opensuse" | "sles" => Some(Family::Suse),
        "arch" => Some(Family::Arch),
        "alpine" => Some(Family::Alpine),
        _ => None,
    });
    known.into_iter().next().unwrap_or(Family::Other)
}

fn command(release: &str, program: &str) -> String {
    let family = family(release);
    let package = match (program, family) {
        ("newuidmap" | "newgidmap", Family::Debian) => "uidmap",
        ("newuidmap" | "newgidmap", Family::Fedora) => "shadow-utils",
        ("newuidmap" | "newgidmap", Family::Alpine) => "shadow-uidmap",
        ("newuidmap" | "newgidmap", _) => "shadow",
        ("pasta", _) => "passt",
        (program, _) => program,
    };
    match family {
        Family::Debian => format!("sudo apt-get install {package}"),
        Family::Fedora => format!("sudo dnf install {package}"),
        Family::Suse => format!("sudo zypper install {package}"),
        Family::Arch => format!("sudo pacman -S {package}"),
        Family::Alpine => format!("sudo apk add {package}"),
        Family::Other => format!("install the package {package}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_distributions_names() {
        let table = [
            ("ID=debian\n", "newuidmap", "sudo apt-get install uidmap"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "pasta", "sudo apt-get install passt"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "newuidmap", "sudo dnf install shadow-utils"),
            ("ID=alpine\n", "newgidmap", "sudo apk add shadow-uidmap"),
            ("ID=arch\n", "skopeo", "sudo pacman -S skopeo"),
            ("", "skopeo", "install the package skopeo"),
        ];
        for (release, program, expected) in table {
            assert_eq!(command(release, program), expected);
        }
    }
}
