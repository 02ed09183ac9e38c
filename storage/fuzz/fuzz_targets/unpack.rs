//! Arbitrary bytes as a layer. Run it in a user namespace, where it can chown and make whiteouts:
//! `unshare --map-root-user --map-auto cargo +nightly fuzz run unpack -- -max_len=65536`.
//!
//! Whatever the bytes are, the file beside the store stays as it is, staging is empty afterwards, and an accepted layer
//! can be archived, measured and removed again.

#![no_main]

use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use storage::{Dirs, Limits, Store, StoreOptions};

const CANARY: &[u8] = b"untouched";

fn store() -> &'static (Store, std::path::PathBuf) {
    static STORE: OnceLock<(Store, std::path::PathBuf)> = OnceLock::new();
    STORE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("creel-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory to work in");
        let canary = dir.join("canary");
        std::fs::write(&canary, CANARY).expect("a file to watch");
        let dirs = Dirs { root: dir.join("root"), runroot: dir.join("runroot"), tmp: dir.join("tmp") };
        (Store::open(dirs, StoreOptions::default()).expect("a store"), canary)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (store, canary) = store();
    let limits = Limits { max_bytes: 16 << 20, max_entries: 10_000, max_ratio: 100 };
    // The first byte chooses whether a decompressor is in front, and whether the checksums are put right: few mutations
    // get past them.
    let Some((first, archive)) = bytes.split_first() else { return };
    let mut archive = archive.to_vec();
    if first & 2 != 0 {
        archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar").for_each(fix_sum);
    }
    let archive = archive.as_slice();
    let result = if first & 1 == 0 {
        store.unpack_unsettled(None, None, None, &mut Cursor::new(archive), &limits)
    } else {
        storage::decompress_within(Box::new(Cursor::new(archive.to_vec())), &limits)
            .and_then(|mut reader| store.unpack_unsettled(None, None, None, &mut reader, &limits))
    };
    if let Ok(layer) = result {
        let files = store.layer_path(&layer.chain_id);
        // Trees deeper than what creel archives are an error, not a harm.
        let _ = store.diff_tar(&files, &mut std::io::sink());
        storage::tree_size(&files).expect("a layer can be measured");
        store.remove_layer(&layer.chain_id).expect("a layer can be removed");
        store.empty_trash().expect("the trash can be emptied");
    }
    assert_eq!(std::fs::read(canary).expect("the watched file"), CANARY);
    assert_eq!(entries(&store.path("staging")), 0);
    assert_eq!(entries(&store.path("layers")), 0);
});

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

fn fix_sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
