//! What is asked of skopeo's proxy: its settings, one blob, what its errors mean.

use std::time::Duration;

use containers_image_proxy::{BlobStreamSource, ImageProxy, ImageProxyConfig, OpenedImage};
use storage::Digest;
use tokio::io::AsyncReadExt;

use super::{bad, platform_arguments};
use crate::archive::Descriptor;
use crate::error::{Error, Result};
use crate::pull::PullOptions;
use crate::reference::Reference;
use crate::skopeo;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Silence after which skopeo is asked whether it has given up.
const SILENCE: Duration = Duration::from_secs(2);

/// Silence after which we give up.
const STALL: Duration = Duration::from_secs(120);

pub(super) fn configuration(reference: &Reference, options: &PullOptions) -> Result<ImageProxyConfig> {
    let mut config = ImageProxyConfig::default();
    // What there is to check was checked by `trust`, as old skopeos would not.
    let mut command = skopeo::command_with_policy(&options.places);
    platform_arguments(&mut command, options);
    config.skopeo_cmd = Some(command);
    config.certificate_directory = options.cert_dir.clone();
    config.insecure_skip_tls_verification = options.tls_verify.map(|verify| !verify);
    if !options.decryption_keys.is_empty() {
        config.decryption_keys = Some(options.decryption_keys.clone());
    }
    match &options.creds {
        Some(creds) => {
            let text = skopeo::authfile(reference.domain().unwrap_or_default(), creds);
            config.auth_data = Some(sys::memory::file("auth", text.as_bytes()).map_err(Error::file("memfd"))?);
        }
        None => config.authfile = options.authfile.clone().or_else(|| options.places.auth_file.clone()),
    }
    Ok(config)
}

pub(super) fn proxy_error(name: &str, error: containers_image_proxy::Error) -> Error {
    use containers_image_proxy::Error as Proxy;
    match error {
        Proxy::SkopeoSpawnError(error) => skopeo::spawn_error(error),
        Proxy::ProxyTooOld { requested_version, found_version } => {
            Error::SkopeoTooOld { found: found_version.into(), wanted: requested_version.into() }
        }
        Proxy::RequestInitiationFailure { error, .. } => skopeo::translate(name, &error),
        Proxy::RetryableRequestFailure { error, .. } => Error::Unreachable { message: error.into() },
        Proxy::Other(message) if message.contains("unknown command") => {
            Error::SkopeoTooOld { found: "none".to_owned(), wanted: "0.2.3".to_owned() }
        }
        Proxy::Other(message) if message.contains("unexpectedly exited") && message.contains("signal") => {
            Error::Unreachable { message: "skopeo was killed".to_owned() }
        }
        other => skopeo::translate(name, &other.to_string()),
    }
}

/// A small blob, checked.
pub(super) async fn document(
    proxy: &ImageProxy,
    image: &OpenedImage,
    descriptor: &Descriptor,
    name: &str,
) -> Result<Vec<u8>> {
    if descriptor.size > 16 << 20 {
        return Err(bad(name, format!("its configuration has {} bytes", descriptor.size)));
    }
    let mut bytes = Vec::new();
    pump(proxy, image, descriptor, name, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    let found = Digest::of(&bytes);
    match found == descriptor.digest {
        true => Ok(bytes),
        false => Err(Error::DigestMismatch {
            what: format!("configuration of {name}"),
            expected: descriptor.digest.to_string(),
            found: found.to_string(),
        }),
    }
}

/// Reads one blob from skopeo, to its end or to the error that skopeo names.
///
/// skopeo's GetBlob (before 1.19) closes its pipe only when asked by FinishPipe, and answers nothing else until the blob
/// is through. So it is asked when all bytes are here, or when none have come for a while, as it may have given up.
pub(super) async fn pump(
    proxy: &ImageProxy,
    image: &OpenedImage,
    descriptor: &Descriptor,
    name: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let digest: containers_image_proxy::oci_spec::image::Digest =
        descriptor.digest.to_string().parse().map_err(|error| bad(name, format!("{}: {error}", descriptor.digest)))?;
    let failed = |error| proxy_error(name, error);
    let lost = |message| Error::Unreachable { message };
    let stream = proxy.get_blob_stream(image, &digest, descriptor.size).await.map_err(failed)?;
    let mut drive = stream.source() == BlobStreamSource::GetRawBlob || descriptor.size == 0;
    let (mut reader, mut driver) = stream.into_parts();
    let mut driven = false;
    let mut bytes = 0;
    let mut silent = Duration::ZERO;
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        tokio::select! {
            count = reader.read_buf(&mut chunk) => {
                let count = count.map_err(|error| lost(error.to_string()))?;
                if count == 0 {
                    break;
                }
                silent = Duration::ZERO;
                bytes += count as u64;
                if bytes > descriptor.size {
                    let reason = format!("blob {digest} is longer than the {} bytes its manifest says", descriptor.size);
                    return Err(bad(name, reason));
                }
                take(&chunk)?;
                drive |= bytes == descriptor.size;
            }
            result = &mut driver, if drive && !driven => {
                driven = true;
                result.map_err(failed)?;
            }
            () = tokio::time::sleep(SILENCE) => {
                drive = true;
                silent += SILENCE;
                if silent >= STALL {
                    return Err(lost(format!("timed out: nothing came for {} s", STALL.as_secs())));
                }
            }
        }
    }
    if !driven {
        driver.await.map_err(failed)?;
    }
    match bytes == descriptor.size {
        true => Ok(()),
        false => Err(lost(format!("blob {digest} broke off: EOF after {bytes} of {} bytes", descriptor.size))),
    }
}
