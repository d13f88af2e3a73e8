//! A sentence encoder of a few hundred numbers that is made here, for tests, seeds and fuzz targets.
#![allow(dead_code)] // each user reads its own part

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use spatten_testkit::Rng;
use std::collections::BTreeMap;

const VOCABULARY: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##c"];

/// A model that is damaged before it is written.
#[derive(Clone)]
pub struct Model {
    pub config: Value,
    pub tokenizer: Value,
    pub tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

fn bytes(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F16 => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

impl Model {
    /// Two layers, two heads of dimension 2. Weights are multiples of 1/8 below 2: the same in F32, F16 and BF16.
    pub fn new(dtype: Dtype, prefix: &str) -> Self {
        let (hidden, wide, positions) = (4, 6, 10);
        let mut shapes: Vec<(String, Vec<usize>)> = vec![
            ("embeddings.word_embeddings.weight".into(), vec![VOCABULARY.len(), hidden]),
            ("embeddings.position_embeddings.weight".into(), vec![positions, hidden]),
            ("embeddings.token_type_embeddings.weight".into(), vec![2, hidden]),
        ];
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        for layer in ["encoder.layer.0", "encoder.layer.1"] {
            for (name, inputs, outputs) in [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", hidden, wide),
                ("output.dense", wide, hidden),
            ] {
                shapes.push((format!("{layer}.{name}.weight"), vec![outputs, inputs]));
                shapes.push((format!("{layer}.{name}.bias"), vec![outputs]));
            }
            norms.extend([format!("{layer}.attention.output.LayerNorm"), format!("{layer}.output.LayerNorm")]);
        }
        for norm in norms {
            shapes.push((format!("{norm}.weight"), vec![hidden]));
            shapes.push((format!("{norm}.bias"), vec![hidden]));
        }
        let mut rng = Rng::new(0x5eed_0001);
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let values: Vec<f32> =
                (0..shape.iter().product()).map(|_| rng.below(31) as f32 / 8.0 - 15.0 / 8.0).collect();
            (format!("{prefix}{name}"), (dtype, shape, bytes(dtype, &values)))
        });
        let token = |id: usize| json!({ "id": VOCABULARY[id], "ids": [id], "tokens": [VOCABULARY[id]] });
        let vocabulary: BTreeMap<&str, usize> = VOCABULARY.into_iter().zip(0..).collect();
        Self {
            config: json!({
                "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": hidden,
                "intermediate_size": wide, "layer_norm_eps": 1e-12, "max_position_embeddings": positions,
                "num_attention_heads": 2, "num_hidden_layers": 2, "type_vocab_size": 2,
                "vocab_size": VOCABULARY.len(),
            }),
            tokenizer: json!({
                "version": "1.0",
                "truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
                "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                             "pad_type_id": 0, "pad_token": "[PAD]" },
                "added_tokens": [],
                "normalizer": null,
                "pre_tokenizer": { "type": "BertPreTokenizer" },
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } },
                               { "SpecialToken": { "id": "[SEP]", "type_id": 0 } }],
                    "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
                    "special_tokens": { "[CLS]": token(2), "[SEP]": token(3) },
                },
                "decoder": null,
                "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                           "max_input_chars_per_word": 100, "vocab": vocabulary },
            }),
            tensors: tensors.collect(),
        }
    }

    /// `model.safetensors`
    pub fn weights(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).expect("shape and data belong together"))
        });
        safetensors::serialize(views, None).expect("few and small tensors")
    }
}
