//! Reading a tar archive from a stream that may be hostile: headers by the `tar` crate's layout, everything else here,
//! because names and attributes must be bounded before they are read. Formats: v7, ustar, pax (POSIX.1-2001), GNU with
//! long names and sparse files, and the three pax forms of sparse files that GNU tar writes (tar(5), "Sparse Formats").
//! A pax header holds for the entry after it; global ones are passed over, as Go's reader and libarchive do.
//!
//! Nothing here touches a file system.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::error::{Error, Result};

const BLOCK: usize = 512;
/// Most bytes of one extended header or long name: what Go's reader, the field's reference, allows.
const EXTENSION_MAX: u64 = 1 << 20;
/// Most pieces of one sparse file.
const PIECES_MAX: usize = 1 << 17;

/// One member of the archive. Its data, if it has any, is read from the [`Archive`] before the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Length of the file; for a sparse one more than its data.
    pub size: u64,
    /// The pieces `(offset, length)` of a sparse file that have data, in order.
    pub pieces: Option<Vec<(u64, u64)>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    /// Character or block device.
    Device,
    /// A type that no layer has a use for.
    Unknown(u8),
}

/// A stream of entries.
pub(crate) struct Archive<R> {
    input: R,
    /// Bytes of the current entry's data not yet read, and of the padding after it.
    data: u64,
    padding: u64,
}

/// The records of a pax header that matter; later ones win.
#[derive(Debug, Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse_major: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_numbers: Vec<u64>,
    sparse: bool,
}

impl<R: BufRead> Archive<R> {
    pub(crate) fn new(input: R) -> Archive<R> {
        Archive { input, data: 0, padding: 0 }
    }

    /// The next entry, or `None` at the end. What was not read of the one before is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        self.skip_data()?;
        let mut pax = Pax::default();
        let mut long_name = None;
        let mut long_link = None;
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|byte| *byte == 0) {
                // The end is two zero blocks; GNU tar takes one for it too.
                return Ok(None);
            }
            let header = tar::Header::from_byte_slice(&block);
            check_sum(header)?;
            let raw_size = number(&header.as_old().size, "size")?;
            let size = u64::try_from(raw_size).map_err(|_| malformed(header, "its size is negative"))?;
            match header.entry_type().as_byte() {
                // The last of several is the one that holds: added up, they would have no bound.
                b'x' => pax = parse_pax(&self.extension(size)?)?,
                b'g' => {
                    (self.data, self.padding) = (size, padding_of(size));
                    self.skip_data()?;
                }
                b'L' => long_name = Some(until_nul(self.extension(size)?)),
                b'K' => long_link = Some(until_nul(self.extension(size)?)),
                _ => return self.entry(header, size, pax, long_name, long_link).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        header_size: u64,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let path = pax.path.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax
            .link
            .or(long_link)
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()))
            .unwrap_or_default();
        let type_byte = header.entry_type().as_byte();
        let kind = match type_byte {
            // A name with a slash at its end was v7's way to say directory.
            0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => Kind::Unknown(other),
        };
        let unsigned = |field: &[u8], what| -> Result<u64> {
            u64::try_from(number(field, what)?).map_err(|_| malformed(header, "a number in its header is negative"))
        };
        let old = header.as_old();
        let mut entry = Entry {
            path,
            link,
            kind,
            mode: u32::try_from(unsigned(&old.mode, "mode")? & 0o7777).unwrap_or_default(),
            uid: pax.uid.map_or_else(|| unsigned(&old.uid, "uid"), Ok)?,
            gid: pax.gid.map_or_else(|| unsigned(&old.gid, "gid"), Ok)?,
            mtime: pax.mtime.map_or_else(|| Ok((number(&old.mtime, "mtime")?, 0)), Ok)?,
            xattrs: pax.xattrs.into_iter().collect(),
            size: 0,
            pieces: None,
        };
        if !matches!(kind, Kind::File | Kind::Unknown(_)) {
            // Links, directories, devices: whatever the size field says, no data follows (as Go's reader has it).
            return Ok(entry);
        }
        entry.size = pax.size.unwrap_or(header_size);
        self.data = entry.size;
        self.padding = padding_of(entry.size);
        if type_byte == b'S' {
            let gnu = header.as_gnu().ok_or_else(|| malformed(header, "a sparse file without a GNU header"))?;
            let mut pieces = Vec::new();
            for piece in &gnu.sparse {
                push_piece(&mut pieces, &piece.offset, &piece.numbytes)?;
            }
            let mut extended = gnu.is_extended();
            while extended {
                let block = self.block()?.ok_or_else(truncated)?;
                // 21 pairs of 12 + 12 bytes, then the flag.
                for pair in block[..504].chunks_exact(24) {
                    push_piece(&mut pieces, &pair[..12], &pair[12..])?;
                }
                extended = block[504] != 0;
            }
            entry.size = unsigned(&gnu.realsize, "real size")?;
            entry.pieces = Some(pieces);
        } else if pax.sparse {
            if let Some(name) = pax.sparse_name {
                entry.path = name;
            }
            let numbers = if pax.sparse_major == Some(1) { self.sparse_map()? } else { pax.sparse_numbers };
            entry.size = pax.sparse_size.ok_or_else(|| malformed(header, "a sparse file without its size"))?;
            entry.pieces = Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
        }
        if let Some(pieces) = &entry.pieces {
            let mut end = 0u64;
            let mut sum = 0u64;
            for (offset, length) in pieces {
                let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= entry.size);
                end = next.ok_or_else(|| malformed(header, "the pieces of a sparse file overlap or exceed it"))?;
                sum += length;
            }
            if sum != self.data {
                return Err(malformed(header, "the pieces of a sparse file are not its data"));
            }
        }
        Ok(entry)
    }

    /// Some more of the current entry's data, at most `max` bytes; `None` when there is no more.
    pub(crate) fn data(&mut self, max: u64) -> Result<Option<&[u8]>> {
        if self.data == 0 || max == 0 {
            return Ok(None);
        }
        let buffer = self.input.fill_buf().map_err(from_input)?;
        if buffer.is_empty() {
            return Err(truncated());
        }
        let count = usize::try_from(self.data.min(max)).unwrap_or(usize::MAX).min(buffer.len());
        Ok(Some(&buffer[..count]))
    }

    /// Says that `count` bytes that [`Archive::data`] showed were used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.data -= count as u64;
    }

    fn skip_data(&mut self) -> Result<()> {
        let mut rest = self.data.saturating_add(self.padding);
        (self.data, self.padding) = (0, 0);
        while rest > 0 {
            let available = self.input.fill_buf().map_err(from_input)?.len();
            if available == 0 {
                return Err(truncated());
            }
            let count = usize::try_from(rest).unwrap_or(usize::MAX).min(available);
            self.input.consume(count);
            rest -= count as u64;
        }
        Ok(())
    }

    /// One block, or `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = self.input.fill_buf().map_err(from_input)?;
            if buffer.is_empty() {
                return if filled == 0 { Ok(None) } else { Err(truncated()) };
            }
            let count = buffer.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&buffer[..count]);
            self.input.consume(count);
            filled += count;
        }
        Ok(Some(block))
    }

    /// The data of an extended header.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTENSION_MAX {
            return Err(bad("", "an extended header of more than 1 MiB"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        (self.data, self.padding) = (size, padding_of(size));
        while let Some(some) = self.data(u64::MAX)? {
            bytes.extend_from_slice(some);
            let count = some.len();
            self.consume(count);
        }
        self.skip_data()?;
        Ok(bytes)
    }

    /// The map of pax sparse format 1.0: decimal numbers, one a line, before the data and padded to a block.
    fn sparse_map(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut expected = None;
        let mut current: Option<u64> = None;
        loop {
            if self.data < BLOCK as u64 {
                return Err(bad("", "the map of a sparse file is longer than the file"));
            }
            let block = self.block()?.ok_or_else(truncated)?;
            self.data -= BLOCK as u64;
            for byte in block {
                match byte {
                    b'0'..=b'9' => {
                        let digit = u64::from(byte - b'0');
                        let next = current.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(digit));
                        current = Some(next.ok_or_else(|| bad("", "an absurd number in a sparse map"))?);
                    }
                    b'\n' => {
                        let number = current.take().ok_or_else(|| bad("", "an empty line in a sparse map"))?;
                        match expected {
                            None if number > PIECES_MAX as u64 => {
                                return Err(bad("", "a sparse file of too many pieces"));
                            }
                            None => expected = Some(usize::try_from(number * 2).unwrap_or_default()),
                            Some(_) => numbers.push(number),
                        }
                        if expected == Some(numbers.len()) {
                            // The rest of this block is padding. That of the data stays as it was: blocks are whole.
                            return Ok(numbers);
                        }
                    }
                    _ => return Err(bad("", "a sparse map that is not made of numbers")),
                }
            }
        }
    }
}

fn push_piece(pieces: &mut Vec<(u64, u64)>, offset: &[u8], length: &[u8]) -> Result<()> {
    if offset[0] == 0 || length[0] == 0 {
        return Ok(());
    }
    if pieces.len() >= PIECES_MAX {
        return Err(bad("", "a sparse file of too many pieces"));
    }
    let both = (number(offset, "sparse offset")?, number(length, "sparse length")?);
    match (u64::try_from(both.0), u64::try_from(both.1)) {
        (Ok(offset), Ok(length)) => pieces.push((offset, length)),
        _ => return Err(bad("", "a negative number in a sparse map")),
    }
    Ok(())
}

/// The numeric field of a header: octal digits, or base 256 with the top bit set (GNU, star). Empty is zero.
fn number(field: &[u8], what: &str) -> Result<i64> {
    let absurd = || bad("", &format!("the {what} in a header is no number"));
    if field[0] & 0x80 != 0 {
        // Two's complement of all bits but the marker.
        let negative = field[0] & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (index, byte) in field.iter().enumerate() {
            let byte = if index == 0 { (byte & 0x7f) | if negative { 0x80 } else { 0 } } else { *byte };
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).map_err(|_| absurd());
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let mut value: i64 = 0;
    for byte in &text[..end] {
        if !matches!(byte, b'0'..=b'7') {
            return Err(absurd());
        }
        value = value.checked_mul(8).and_then(|value| value.checked_add(i64::from(byte - b'0'))).ok_or_else(absurd)?;
    }
    Ok(value)
}

/// The sum over the header with its own field as spaces; some old tars summed signed bytes.
fn check_sum(header: &tar::Header) -> Result<()> {
    let bytes = header.as_bytes();
    let stored = number(&header.as_old().cksum, "checksum")?;
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (index, byte) in bytes.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    if stored == unsigned || stored == signed { Ok(()) } else { Err(malformed(header, "its checksum is wrong")) }
}

/// `LENGTH KEY=VALUE\n`, the length counting all of it.
fn parse_pax(mut bytes: &[u8]) -> Result<Pax> {
    let mut pax = Pax::default();
    while !bytes.is_empty() && bytes[0] != 0 {
        let wrong = || bad("", "a pax header that does not parse");
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length = decimal(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or_else(wrong)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(wrong());
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        take_pax(&record[..equals], &record[equals + 1..], &mut pax)?;
        bytes = &bytes[length..];
    }
    Ok(pax)
}

fn take_pax(key: &[u8], value: &[u8], pax: &mut Pax) -> Result<()> {
    let wrong = || bad("", &format!("the pax value of {} is absurd", String::from_utf8_lossy(key)));
    let number = || decimal(value).ok_or_else(wrong);
    // An empty value takes back what came before it.
    let empty = value.is_empty();
    match key {
        b"path" => pax.path = (!empty).then(|| value.to_owned()),
        b"linkpath" => pax.link = (!empty).then(|| value.to_owned()),
        b"size" => pax.size = if empty { None } else { Some(number()?) },
        b"uid" => pax.uid = if empty { None } else { Some(number()?) },
        b"gid" => pax.gid = if empty { None } else { Some(number()?) },
        b"mtime" => pax.mtime = if empty { None } else { Some(time(value).ok_or_else(wrong)?) },
        b"GNU.sparse.major" => {
            pax.sparse = true;
            pax.sparse_major = Some(number()?);
        }
        b"GNU.sparse.name" => pax.sparse_name = Some(value.to_owned()),
        b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
            pax.sparse = true;
            pax.sparse_size = Some(number()?);
        }
        b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
            // 0.0: the two keys alternate.
            pax.sparse = true;
            pax.sparse_numbers.push(number()?);
        }
        b"GNU.sparse.map" => {
            pax.sparse = true;
            pax.sparse_numbers = value
                .split(|byte| *byte == b',')
                .filter(|word| !word.is_empty())
                .map(|word| decimal(word).ok_or_else(wrong))
                .collect::<Result<_>>()?;
        }
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.")
                && !name.is_empty()
            {
                pax.xattrs.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    if pax.sparse_numbers.len() > 2 * PIECES_MAX {
        return Err(bad("", "a sparse file of too many pieces"));
    }
    Ok(())
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `[-]SECONDS[.FRACTION]`.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let mut nanoseconds = 0u32;
    for index in 0..9 {
        let digit = fraction.as_bytes().get(index).copied().unwrap_or(b'0');
        nanoseconds = nanoseconds * 10 + char::from(digit).to_digit(10)?;
    }
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn padding_of(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

pub(crate) fn bad(entry: &str, why: &str) -> Error {
    Error::BadArchive { entry: entry.to_owned(), why: why.to_owned() }
}

fn malformed(header: &tar::Header, why: &str) -> Error {
    bad(&String::from_utf8_lossy(&header.path_bytes()), why)
}

fn truncated() -> Error {
    bad("", "the archive ends in the middle of an entry")
}

/// An error of the stream itself: ours comes out as it was, another is about the input.
fn from_input(error: io::Error) -> Error {
    Error::io("cannot read", std::path::Path::new("the layer's stream"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        fill(&mut header);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
        let mut archive = Archive::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = archive.next()? {
            let mut data = Vec::new();
            while let Some(some) = archive.data(7)? {
                data.extend_from_slice(some);
                let count = some.len();
                archive.consume(count);
            }
            entries.push((entry, data));
        }
        Ok(entries)
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = 3 + key.len() + value.len();
            let mut length = rest + 1;
            while length.to_string().len() + rest != length {
                length += 1;
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut bytes = block(|header| {
            header.set_entry_type(tar::EntryType::XHeader);
            header.set_size(body.len() as u64);
        });
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn file(name: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = block(|header| {
            header.set_path(name).unwrap();
            header.set_size(data.len() as u64);
        });
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    #[test]
    fn pax_overrides_the_header() {
        let mut bytes = pax(&[
            ("path", b"a\xff name"),
            ("mtime", b"-1.25"),
            ("uid", b"4000000000"),
            ("SCHILY.xattr.user.x", b"a=b\nc"),
            ("comment", b""),
        ]);
        bytes.extend(file("short", b"hello"));
        let (entry, data) = read(&bytes).unwrap().remove(0);
        assert_eq!(entry.path, b"a\xff name");
        assert_eq!(entry.mtime, (-2, 750_000_000));
        assert_eq!(entry.uid, 4_000_000_000);
        assert_eq!(entry.xattrs, vec![(b"user.x".to_vec(), b"a=b\nc".to_vec())]);
        assert_eq!(data, b"hello");
    }

    #[test]
    fn only_the_last_pax_header_before_an_entry_holds() {
        let mut bytes = pax(&[("path", b"everywhere"), ("SCHILY.xattr.user.global", b"1")]);
        bytes[156] = b'g';
        let sum: u64 = (0..BLOCK).map(|at| u64::from(if (148..156).contains(&at) { b' ' } else { bytes[at] })).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        for name in ["user.first", "user.second"] {
            bytes.extend(pax(&[(&format!("SCHILY.xattr.{name}"), b"1")]));
        }
        bytes.extend(file("one", b""));
        bytes.extend(file("two", b""));
        let entries = read(&bytes).unwrap();
        assert_eq!(entries[0].0.path, b"one");
        assert_eq!(entries[0].0.xattrs, vec![(b"user.second".to_vec(), b"1".to_vec())]);
        assert_eq!((entries[1].0.path.as_slice(), entries[1].0.xattrs.len()), (b"two".as_slice(), 0));
    }

    #[test]
    fn numbers_in_both_spellings() {
        for (field, expected) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"0000689\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field, "x").ok(), expected, "{field:?}");
        }
    }

    #[test]
    fn sparse_files_of_pax_one() {
        let mut bytes = pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", b"1000000"),
        ]);
        let mut data = b"2\n512\n3\n999999\n1\n".to_vec();
        data.resize(BLOCK, 0);
        data.extend_from_slice(b"abcd");
        bytes.extend(file("GNUSparseFile.0/sparse", &data));
        bytes.extend(file("after", b"x"));
        let entries = read(&bytes).unwrap();
        assert_eq!(entries[0].0.path, b"sparse");
        assert_eq!(entries[0].0.pieces, Some(vec![(512, 3), (999_999, 1)]));
        assert_eq!((entries[0].0.size, entries[0].1.as_slice()), (1_000_000, b"abcd".as_slice()));
        assert_eq!(entries[1].0.path, b"after");
    }

    #[test]
    fn malformed_archives_are_named() {
        let huge = block(|header| {
            header.set_entry_type(tar::EntryType::GNULongName);
            header.set_size(1 << 40);
        });
        let mut wrong_sum = file("f", b"");
        wrong_sum[0] = b'g';
        let mut overlap = pax(&[("GNU.sparse.map", b"0,4,2,4"), ("GNU.sparse.size", b"100")]);
        overlap.extend(file("f", b"12345678"));
        for bytes in [huge, wrong_sum, overlap, file("f", b"hello")[..520].to_vec(), file("f", b"")[..100].to_vec()] {
            assert!(matches!(read(&bytes), Err(Error::BadArchive { .. })));
        }
    }
}
