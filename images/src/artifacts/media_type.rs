//! What kind of content a file begins with: the patterns of the WHATWG's "MIME Sniffing" that Go's `DetectContentType` has.

/// How many bytes are looked at.
pub(super) const LENGTH: usize = 512;

const TEXT: &str = "text/plain; charset=utf-8";

/// Tags that make it HTML, after white space and in any case.
const HTML: [&[u8]; 17] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
];

/// Beginnings. `?` fits every byte.
const PATTERNS: [(&[u8], &str); 33] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF??", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE??", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF?", TEXT),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"RIFF????WEBPVP", "image/webp"),
    (b"\x89PNG\r\n\x1A\n", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"FORM????AIFF", "audio/aiff"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"RIFF????AVI ", "video/avi"),
    (b"RIFF????WAVE", "audio/wave"),
    (b"????ftypmp4", "video/mp4"),
    (b"????ftypisom", "video/mp4"),
    (b"\x1A\x45\xDF\xA3", "video/webm"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1A\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1A\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00\x61\x73\x6D", "application/wasm"),
    (b"????????????????????????????????????LP", "application/vnd.ms-fontobject"),
];

/// The media type of a file by its first [`LENGTH`] bytes.
pub(super) fn of(start: &[u8]) -> &'static str {
    let space = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\x0C' | b'\r' | b' ');
    let text = &start[start.iter().take_while(|byte| space(byte)).count()..];
    let tag = |tag: &&[u8]| {
        let ends = matches!(text.get(tag.len()), Some(b' ' | b'>'));
        text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag)) && ends
    };
    if HTML.iter().any(tag) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    let fits = |pattern: &[u8]| {
        start.len() >= pattern.len() && pattern.iter().zip(start).all(|(want, byte)| *want == b'?' || want == byte)
    };
    if let Some((_, kind)) = PATTERNS.iter().find(|(pattern, _)| fits(pattern)) {
        return kind;
    }
    let binary = |byte: &u8| matches!(byte, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    if text.iter().any(binary) { "application/octet-stream" } else { TEXT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        let cases: [(&[u8], &str); 12] = [
            (b"", TEXT),
            (b"{\"a\": 1}", TEXT),
            ("gr\u{fc}\u{df}e".as_bytes(), TEXT),
            (b" \n<!doctype html>", "text/html; charset=utf-8"),
            (b"<html", TEXT),
            (b"<?xml version", "text/xml; charset=utf-8"),
            (b"%PDF-1.7", "application/pdf"),
            (b"\x89PNG\r\n\x1A\n....", "image/png"),
            (b"\x1F\x8B\x08\x00", "application/x-gzip"),
            (b"\x00asm\x01", "application/wasm"),
            (b"\x7FELF\x02\x01\x01\x00", "application/octet-stream"),
            (b"RIFF1234WAVEfmt", "audio/wave"),
        ];
        for (start, kind) in cases {
            assert_eq!(of(start), kind, "{start:?}");
        }
    }
}
