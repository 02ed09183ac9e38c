//! Taking the compression off a layer, with an eye on bombs.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::layers::{Limits, RATIO_SETTING};

/// The ratio of a bomb is looked at from here on: small layers of zeros are no harm.
const RATIO_FREE: u64 = 1 << 30;

/// The uncompressed bytes of a layer: gzip, zstd or none, told by the first bytes; with the default [`Limits`].
pub fn decompress(reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    decompress_within(reader, &Limits::default())
}

/// As [`decompress`]; more than `max_ratio` bytes out for each byte in is an error of the reader that
/// comes out of [`crate::Store::unpack`] as [`Error::Limit`].
pub fn decompress_within(reader: Box<dyn Read + Send>, limits: &Limits) -> Result<Box<dyn Read + Send>> {
    let consumed = Arc::new(AtomicU64::new(0));
    let mut input = Counted { inner: reader, count: consumed.clone() };
    let mut magic = [0u8; 6];
    let mut filled = 0;
    while filled < magic.len() {
        match input.read(&mut magic[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("cannot read", std::path::Path::new("the layer's stream"), error)),
        }
    }
    let magic = &magic[..filled];
    let whole = io::Cursor::new(magic.to_vec()).chain(input);
    let output: Box<dyn Read + Send> = match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(128 << 10, whole))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(
            zstd::stream::read::Decoder::new(whole)
                .map_err(|error| Error::io("cannot set up", std::path::Path::new("zstd"), error))?,
        ),
        b"\xfd7zXZ\0" => return Err(refused("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(refused("bzip2")),
        _ => return Ok(Box::new(whole)),
    };
    Ok(Box::new(Watched { inner: output, consumed, produced: 0, max_ratio: limits.max_ratio }))
}

fn refused(format: &str) -> Error {
    Error::Unsupported {
        what: format!("a layer compressed with {format}"),
        why: "the OCI's layers are gzip, zstd or plain".to_owned(),
    }
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

struct Watched {
    inner: Box<dyn Read + Send>,
    consumed: Arc<AtomicU64>,
    produced: u64,
    max_ratio: u64,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.produced += count as u64;
        if self.produced > RATIO_FREE && self.max_ratio > 0 {
            let allowed = self.consumed.load(Ordering::Relaxed).saturating_mul(self.max_ratio);
            if self.produced > allowed {
                let what = "the compression ratio of a layer";
                return Err(Error::Limit { what, limit: self.max_ratio, setting: RATIO_SETTING }.into());
            }
        }
        Ok(count)
    }
}
