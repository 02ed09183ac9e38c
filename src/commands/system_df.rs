use std::collections::{BTreeMap, HashSet};

use containers::{Container, MountKind, Source};
use images::Image;
use images::artifacts::{self, Artifact};
use jiff::Timestamp;
use storage::{Digest, Store, Usage};

use super::image_inspect::repository_and_tag;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value, human, table};
use crate::{object, output, state};

/// Show what images, containers and volumes take up on disk
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show each image, container and volume
    #[arg(short, long)]
    verbose: bool,
    words: Vec<String>,
}

const HEADINGS: Headings = &[];

/// What was measured and who uses what.
struct Survey {
    usage: Usage,
    images: Vec<Image>,
    artifacts: Vec<Artifact>,
    /// Blobs that artifacts need and no image does.
    of_artifacts: HashSet<Digest>,
    containers: Vec<Container>,
    /// How many containers stand on an image.
    users: BTreeMap<String, usize>,
    /// How many containers mount a volume.
    links: BTreeMap<String, usize>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "system df")?;
    if args.verbose && args.format.is_some() {
        return Err(Failure::plain("cannot combine --format and --verbose flags"));
    }
    let engine = context.engine()?;
    let containers = containers::list(&engine)?;
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    let mut links: BTreeMap<String, usize> = BTreeMap::new();
    for container in &containers {
        if let Source::Image { id, .. } = &container.spec().source {
            *users.entry(id.clone()).or_default() += 1;
        }
        for mount in &container.spec().mounts {
            if let MountKind::Volume { name: Some(name), .. } = &mount.kind {
                *links.entry(name.clone()).or_default() += 1;
            }
        }
    }
    let images = images::list(&engine.store)?;
    let mut of_artifacts = images::reachable(&engine.store)?.artifacts;
    for image in &images {
        let (_, blobs) = parts(&engine.store, image)?;
        of_artifacts.retain(|blob| !blobs.contains(blob));
    }
    let survey = Survey {
        usage: engine.store.usage()?,
        images,
        artifacts: artifacts::list(&engine.store)?,
        of_artifacts,
        containers,
        users,
        links,
    };
    if args.verbose {
        return verbose(&engine.store, &survey);
    }
    let mut rows = vec![images_row(&engine.store, &survey)?, containers_row(&survey), volumes_row(&survey)];
    // Podman's three rows, unless there is something that it does not count.
    rows.extend((!survey.artifacts.is_empty()).then(|| artifacts_row(&survey)));
    match args.format.as_deref() {
        Some("json") => {
            // One object a line, as Podman has it.
            let lines: Vec<String> = rows.iter().map(|row| format!("    {}", row.json())).collect();
            output::line(format!("[\n{}\n]", lines.join(",\n")))?;
        }
        format => {
            let usual = "table {{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
            let layout = format.filter(|format| *format != "table").unwrap_or(usual);
            let text = Format::parse("df", layout)?.list(rows, HEADINGS, true, 4)?;
            output::print(&text)?;
        }
    }
    Ok(ExitCode::Success)
}

fn row(kind: &str, total: usize, active: usize, size: u64, reclaimable: u64) -> Value {
    let percent = if size == 0 { 0.0 } else { reclaimable as f64 / size as f64 * 100.0 };
    object! {
        "Type": kind,
        "Total": total,
        "Active": active,
        "RawSize": size,
        "RawReclaimable": reclaimable,
        "TotalCount": total,
        "Size": human::size4(size),
        "Reclaimable": format!("{} ({percent:.0}%)", human::size4(reclaimable)),
    }
}

/// Layers and blobs of an image.
fn parts(store: &Store, image: &Image) -> Result<(HashSet<Digest>, HashSet<Digest>), Failure> {
    let mut blobs: HashSet<Digest> = HashSet::from([image.digest.clone()]);
    blobs.extend(format!("sha256:{}", image.id).parse::<Digest>().ok());
    for layer in image.manifest.layers() {
        blobs.extend(layer.digest().to_string().parse::<Digest>().ok());
    }
    for layer in &image.layers {
        blobs.extend(store.layer(layer)?.and_then(|layer| layer.blob));
    }
    Ok((image.layers.iter().cloned().collect(), blobs))
}

fn images_row(store: &Store, survey: &Survey) -> Result<Value, Failure> {
    let usage = &survey.usage;
    let known = |id: &String| survey.images.iter().any(|image| image.id == *id);
    let records = usage.images.iter().filter(|(id, _)| known(id)).map(|(_, tree)| tree);
    let own_blobs = || usage.blobs.iter().filter(|(digest, _)| !survey.of_artifacts.contains(digest));
    let trees = own_blobs().map(|(_, tree)| tree);
    let size = usage.layers.values().chain(trees).chain(records).map(|tree| tree.disk).sum();
    let (mut layers, mut blobs) = (HashSet::new(), HashSet::new());
    let mut active = 0;
    for image in survey.images.iter().filter(|image| survey.users.contains_key(&image.id)) {
        active += image.names.len().max(1);
        let (own_layers, own_blobs) = parts(store, image)?;
        layers.extend(own_layers);
        blobs.extend(own_blobs);
    }
    // What no image with a container needs.
    let unused_layers = usage.layers.iter().filter(|(digest, _)| !layers.contains(digest)).map(|(_, tree)| tree.disk);
    let unused_blobs = own_blobs().filter(|(digest, _)| !blobs.contains(digest)).map(|(_, tree)| tree.disk);
    let reclaimable = unused_layers.chain(unused_blobs).sum();
    // As Podman counts: the rows of the verbose table.
    let rows = survey.images.iter().map(|image| image.names.len().max(1)).sum();
    Ok(row("Images", rows, active, size, reclaimable))
}

fn containers_row(survey: &Survey) -> Value {
    let size_of =
        |container: &&Container| survey.usage.containers.get(container.id().as_str()).map_or(0, |tree| tree.disk);
    let size = survey.usage.containers.values().map(|tree| tree.disk).sum();
    let active = survey.containers.iter().filter(|container| containers::running(container)).count();
    let idle = survey.containers.iter().filter(|container| !containers::running(container));
    let reclaimable = idle.map(|container| size_of(&container)).sum();
    row("Containers", survey.containers.len(), active, size, reclaimable)
}

fn volumes_row(survey: &Survey) -> Value {
    let volumes = &survey.usage.volumes;
    let size = volumes.values().map(|tree| tree.disk).sum();
    let unused = volumes.iter().filter(|(name, _)| !survey.links.contains_key(*name));
    let reclaimable = unused.map(|(_, tree)| tree.disk).sum();
    let active = volumes.keys().filter(|name| survey.links.contains_key(*name)).count();
    row("Local Volumes", volumes.len(), active, size, reclaimable)
}

/// All of it can be had back: a container looks its artifacts up when it starts.
fn artifacts_row(survey: &Survey) -> Value {
    let blobs = survey.usage.blobs.iter().filter(|(digest, _)| survey.of_artifacts.contains(digest));
    let size = blobs.map(|(_, tree)| tree.disk).sum();
    row("Artifacts", survey.artifacts.len(), 0, size, size)
}

fn verbose(store: &Store, survey: &Survey) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let mut holders: BTreeMap<Digest, usize> = BTreeMap::new();
    for layer in survey.images.iter().flat_map(|image| image.layers.iter().collect::<HashSet<_>>()) {
        *holders.entry(layer.clone()).or_default() += 1;
    }
    let mut text = String::from("REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n");
    for image in &survey.images {
        let (layers, blobs) = parts(store, image)?;
        let disk = |layer: &Digest| survey.usage.layers.get(layer).map_or(0, |tree| tree.disk);
        let blob_bytes: u64 = blobs.iter().filter_map(|blob| survey.usage.blobs.get(blob)).map(|tree| tree.disk).sum();
        let all: u64 = layers.iter().map(disk).sum::<u64>() + blob_bytes;
        let shared: u64 =
            layers.iter().filter(|layer| holders.get(layer).is_some_and(|count| *count > 1)).map(disk).sum();
        let names: Vec<(&str, &str)> = match image.names.is_empty() {
            true => vec![("<none>", "<none>")],
            false => image.names.iter().map(|name| repository_and_tag(name)).collect(),
        };
        for (repository, tag) in names {
            text.push_str(&format!(
                "{repository}\t{tag}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                image.short_id(),
                human::since(image.created, now),
                human::size4(all),
                human::size4(shared),
                human::size4(all - shared),
                survey.users.get(&image.id).copied().unwrap_or(0)
            ));
        }
    }
    output::print(&format!("Images space usage:\n\n{}\n", fitted(&text)))?;

    let mut text = String::from("CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
    for container in &survey.containers {
        let volumes =
            container.spec().mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Volume { .. })).count();
        let size = survey.usage.containers.get(container.id().as_str()).map_or(0, |tree| tree.disk);
        let image = state::image(container).1;
        text.push_str(&format!(
            "{}\t{}\t{}\t{volumes}\t{}\t{}\t{}\t{}\n",
            container.id().short(),
            image.get(..12).unwrap_or(image),
            state::command(container).join(" "),
            human::size4(size),
            human::since(container.record.created, now),
            state::word(container),
            container.name()
        ));
    }
    output::print(&format!("Containers space usage:\n\n{}\n", fitted(&text)))?;

    let mut text = String::from("VOLUME NAME\tLINKS\tSIZE\n");
    for (name, tree) in &survey.usage.volumes {
        let links = survey.links.get(name).copied().unwrap_or(0);
        text.push_str(&format!("{name}\t{links}\t{}\n", human::size4(tree.disk)));
    }
    output::print(&format!("Local Volumes space usage:\n\n{}", fitted(&text)))?;
    Ok(ExitCode::Success)
}

/// Lined up, in the width of the terminal where it is one.
fn fitted(text: &str) -> String {
    match output::room(false, None) {
        Some(room) => table::align_within(text, true, room),
        None => table::align(text),
    }
}
