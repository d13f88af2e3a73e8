//! Any bytes as tokenizer.json beside a good model. Panics of the tokenizers crate are answered as errors; others are findings.
#![no_main]

#[path = "../../tests/common/tiny_model.rs"]
mod tiny_model;

use libfuzzer_sys::fuzz_target;
use safetensors::tensor::Dtype;
use spatten::model::{Encoder, panics_are_answered};
use std::path::Path;
use std::sync::LazyLock;
use tiny_model::Model;

/// config.json and model.safetensors; and the fuzzer's hook, which aborts at every panic, asked only about those that count.
static GOOD: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panics_are_answered() {
            abort(panic);
        }
    }));
    let model = Model::new(Dtype::F32, "");
    (model.config.to_string().into_bytes(), model.weights())
});

fuzz_target!(|bytes: &[u8]| {
    let (config, weights) = &*GOOD;
    let encoder = match Encoder::from_parts(config, weights, bytes, Path::new("fuzz")) {
        Ok(encoder) => encoder,
        Err(e) => return check(&e.to_string()),
    };
    for text in ["", "a b ac", "a b c a b c a b c a b c", "\u{1F600}\0 e\u{301}"] {
        match encoder.tokenize(text) {
            Ok(tokens) => assert!(tokens.ids.len() <= encoder.max_tokens() && tokens.ids.iter().all(|id| *id < 7)),
            Err(e) => check(&e.to_string()),
        }
    }
});

fn check(message: &str) {
    assert!(!message.chars().any(char::is_control) && message.len() < 1000, "{message:?}");
}
