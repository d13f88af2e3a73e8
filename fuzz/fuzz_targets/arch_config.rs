//! Any text as an architecture; one that is accepted also yields its number formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten_arch::{config::ArchConfig, format::Formats};

fuzz_target!(|text: &str| {
    match ArchConfig::from_toml(text, "fuzz") {
        Ok(config) => {
            let formats = Formats::new(&config);
            assert!(formats.all().iter().all(|f| !f.notation().is_empty()));
        }
        Err(e) => assert!(!e.to_string().contains('\n'), "{e:?}"),
    }
});
