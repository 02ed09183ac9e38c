use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::transfer::{Access, Form, Manner, Signing};

/// Send an image to a registry or another place
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    form: Form,
    /// Compress the layers of a directory
    #[arg(long)]
    compress: bool,
    /// Layers to encrypt, by their number; negative ones count from the top
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = number::i32)]
    encrypt_layer: Vec<i32>,
    /// Key to encrypt the image with
    #[arg(long, value_name = "KEY")]
    encryption_key: Vec<String>,
    /// Type of the manifest: oci, v2s2 or v2s1
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    #[arg(value_name = "IMAGE [DESTINATION]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    crate::arguments::between(&args.words, 1, 2)?;
    let mut options = args.access.for_push()?;
    args.manner.of_push(context, &mut options)?;
    args.signing.apply(&mut options);
    args.form.apply(context, &mut options)?;
    options.compress = args.compress;
    options.encrypt_layers = args.encrypt_layer;
    options.encryption_keys = args.encryption_key;
    options.format = args.format;
    let engine = context.engine()?;
    images::push(&engine.store, &args.words[0], args.words.get(1).map(String::as_str), &options)?;
    Ok(ExitCode::Success)
}
