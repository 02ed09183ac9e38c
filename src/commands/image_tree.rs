use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::output;

/// Show the layers of an image
#[derive(clap::Args)]
pub struct Args {
    /// Show what is built on it
    #[arg(long)]
    whatrequires: bool,
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.images, 1)?;
    let store = context.store()?;
    let image = images::get(&store, &args.images[0])?;
    let mut text = format!("Image ID: {}\n", image.short_id());
    text.push_str(&format!("Tags:     [{}]\n", image.names.join(" ")));
    text.push_str(&format!("Size:     {}\n", human::size4(image.size)));
    let layers = if args.whatrequires { images::dependents(&store, &image)? } else { images::tree(&store, &image)? };
    if layers.is_empty() {
        text.push_str("No Image Layers\n");
    } else {
        text.push_str("Image Layers\n");
    }
    for (index, layer) in layers.iter().enumerate() {
        let branch = if index + 1 == layers.len() { "└──" } else { "├──" };
        let id = &layer.chain_id.hex()[..12];
        text.push_str(&format!("{branch} ID: {id} Size: {:>7}", human::size4(layer.size)));
        if !layer.top_of.is_empty() {
            text.push_str(&format!(" Top Layer of: [{}]", layer.top_of.join(" ")));
        }
        text.push('\n');
    }
    output::print(&(text + "\n"))?;
    Ok(ExitCode::Success)
}
