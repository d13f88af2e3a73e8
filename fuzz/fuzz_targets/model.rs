//! Any bytes as config.json and model.safetensors of a model, together and each beside a good other one; the tokenizer is
//! good. A model that loads is also run.
#![no_main]

#[path = "../../tests/common/tiny_model.rs"]
mod tiny_model;

use libfuzzer_sys::fuzz_target;
use safetensors::tensor::Dtype;
use spatten::model::{DenseAttention, Encoder};
use std::path::Path;
use std::sync::LazyLock;
use tiny_model::Model;

struct Parts {
    config: Vec<u8>,
    weights: Vec<u8>,
    tokenizer: Vec<u8>,
}

static GOOD: LazyLock<Parts> = LazyLock::new(|| {
    let model = Model::new(Dtype::F32, "");
    let [config, tokenizer] = [&model.config, &model.tokenizer].map(|json| json.to_string().into_bytes());
    Parts { config, weights: model.weights(), tokenizer }
});

// Length of config.json in two bytes, config.json, model.safetensors.
fuzz_target!(|bytes: &[u8]| {
    let Some((len, rest)) = bytes.split_first_chunk() else { return };
    let (config, weights) = rest.split_at(rest.len().min(u16::from_le_bytes(*len).into()));
    check(config, weights);
    check(config, &GOOD.weights);
    check(&GOOD.config, weights);
    // Header up to the first 0 byte, with the right length before it; data behind it.
    let end = weights.iter().position(|&b| b == 0).unwrap_or(weights.len());
    let data = weights.get(end + 1..).unwrap_or_default();
    check(config, &[&(end as u64).to_le_bytes(), &weights[..end], data].concat());
});

fn check(config: &[u8], weights: &[u8]) {
    match Encoder::from_parts(config, weights, &GOOD.tokenizer, Path::new("fuzz")) {
        Ok(encoder) => {
            let tokens = encoder.tokenize("a").expect("the tokenizer knows it");
            let embedding = encoder.embed(&tokens.ids, &mut DenseAttention::new(3, encoder.heads()));
            assert_eq!(embedding.rows.dim(), (3, encoder.hidden()));
            // Always: weights are finite f32, and each of the few products between two normalisations multiplies the
            // size by at most 1e39 times the width, so that even squares stay far below 1e308.
            assert!(embedding.rows.iter().chain(&embedding.vector).all(|x| x.is_finite()), "{embedding:?}");
        }
        Err(e) => {
            let message = e.to_string();
            assert!(!message.chars().any(char::is_control) && message.len() < 1000, "{message:?}");
        }
    }
}
