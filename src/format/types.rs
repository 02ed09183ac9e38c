//! Go's names for what commands show. Podman's templates name them where a field is not there.

use super::{Kind, Value};
use crate::error::Failure;

/// A command, the fields that lead there, and the type.
const TYPES: &[(&str, &str, &str)] = &[
    ("auto-update", "", "main.autoUpdateOutput"),
    ("container inspect", "", "interface {}"),
    ("container inspect", ".Config", "*define.InspectContainerConfig"),
    ("container inspect", ".GraphDriver", "*define.DriverData"),
    ("container inspect", ".HostConfig", "*define.InspectContainerHostConfig"),
    ("container inspect", ".HostConfig.LogConfig", "*define.InspectLogConfig"),
    ("container inspect", ".HostConfig.RestartPolicy", "*define.InspectRestartPolicy"),
    ("container inspect", ".NetworkSettings", "*define.InspectNetworkSettings"),
    ("container inspect", ".State", "*define.InspectContainerState"),
    ("df", "", "*system.dfSummary"),
    ("events", "", "system.Event"),
    ("history", "", "images.historyReporter"),
    ("image inspect", "", "interface {}"),
    ("image inspect", ".Config", "*v1.ImageConfig"),
    ("image inspect", ".GraphDriver", "*define.DriverData"),
    ("image inspect", ".RootFS", "*inspect.RootFS"),
    ("images", "", "images.imageReporter"),
    ("info", "", "system.infoReport"),
    ("info", ".Host", "*define.HostInfo"),
    ("info", ".Host.OCIRuntime", "*define.OCIRuntimeInfo"),
    ("info", ".Host.Security", "define.SecurityInfo"),
    ("info", ".Plugins", "define.Plugins"),
    ("info", ".Store", "*define.StoreInfo"),
    ("info", ".Version", "define.Version"),
    ("network inspect", "", "interface {}"),
    ("network ls", "", "network.ListPrintReports"),
    ("pod inspect", "", "interface {}"),
    ("pod inspect", ".InfraConfig", "*define.InspectPodInfraConfig"),
    ("pod stats", "", "*types.PodStatsReport"),
    ("pod ps", "", "pods.ListPodReporter"),
    ("ps", "", "containers.psReporter"),
    ("search", "", "types.ImageSearchReport"),
    ("secret inspect", "", "*types.SecretInfoReport"),
    ("secret inspect", ".Spec", "types.SecretSpec"),
    ("secret inspect", ".Spec.Driver", "types.SecretDriverSpec"),
    ("secret ls", "", "*types.SecretListReport"),
    ("stats", "", "containers.containerStats"),
    ("version", "", "*define.Version"),
    ("volume inspect", "", "interface {}"),
    ("volume ls", "", "*types.VolumeListReport"),
];

/// Why a template cannot be shown, with the fields that there are.
pub fn unknown_field(command: &str, why: String, value: &Value) -> Failure {
    let Some(subject) = why.strip_suffix("type struct") else { return Failure::plain(why) };
    let path = path(subject);
    let kind =
        TYPES.iter().find(|(name, place, _)| *name == command && *place == path).map_or("struct", |(.., kind)| kind);
    let failure = Failure::plain(format!("{subject}type {kind}"));
    match value {
        Value::Struct(fields) if path.is_empty() => {
            let names =
                fields.iter().filter(|field| field.kind != Kind::JsonOnly).map(|field| format!(".{}", field.name));
            let mut names: Vec<String> = names.collect();
            names.dedup();
            failure.hint(format!("there are {}", names.join(" ")))
        }
        _ => failure,
    }
}

/// `.State` of `... at <.State.Nope.X>: can't evaluate field Nope in `.
fn path(why: &str) -> &str {
    let place = why.split_once("at <").and_then(|(_, rest)| rest.split_once('>'));
    let field = why.rsplit_once("evaluate field ").and_then(|(_, rest)| rest.split_once(' '));
    let (Some((place, _)), Some((field, _))) = (place, field) else { return "" };
    let missing = format!(".{field}");
    let starts = place.match_indices(&missing).map(|(start, _)| start);
    // Not within a longer name.
    let is_whole = |start: &usize| matches!(place[start + missing.len()..].chars().next(), None | Some('.' | ' '));
    starts.filter(is_whole).map(|start| &place[..start]).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_field_is_read_from_the_message() {
        let why = |place: &str, field: &str| {
            format!("template: x:1:2: executing \"x\" at <{place}>: can't evaluate field {field} in ")
        };
        let table =
            [(".Nope", "Nope", ""), (".State.Nope", "Nope", ".State"), (".A.Bc.B.D", "B", ".A.Bc"), ("len .", "x", "")];
        for (place, field, path_there) in table {
            assert_eq!(path(&why(place, field)), path_there, "{place}");
        }
    }
}
