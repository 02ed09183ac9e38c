//! How the release is linked.

use std::env::var;

/// A release that ends at a panic never unwinds, so it needs no tables to unwind by: 1 MB. Neither Cargo nor rustc can
/// leave those of the standard library out, the linker can. It also makes one of functions that came out the same.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=release.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // There rustc links with lld, which knows these words.
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        let script = format!("{}/release.ld", var("CARGO_MANIFEST_DIR").unwrap_or_default());
        for argument in ["--no-eh-frame-hdr", "--icf=all", "-T", &script] {
            println!("cargo::rustc-link-arg-bins=-Wl,{argument}");
        }
    }
}
