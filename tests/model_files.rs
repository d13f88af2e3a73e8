//! Model folders that are damaged or of another kind: one clear line each, and no panic. Runs on a model of a few
//! hundred numbers that is made here, so it needs nothing from outside.

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use spatten::model::{DenseAttention, Encoder, ModelError};
use spatten_testkit::{Checks, Rng};
use std::collections::BTreeMap;
use std::path::Path;

const VOCABULARY: [&str; 7] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##c"];

/// A model that tests damage before they write it.
#[derive(Clone)]
struct Model {
    config: Value,
    tokenizer: Value,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
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
    fn new(dtype: Dtype, prefix: &str) -> Self {
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

    fn write(&self, folder: &Path) {
        let views = self.tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).expect("shape and data belong together"))
        });
        std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
        std::fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(folder.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
    }

    fn load(&self) -> Result<Encoder, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        Encoder::load(folder.path())
    }
}

/// Counts that this is refused with one line that has all of these.
#[track_caller]
fn refused(checks: &mut Checks, result: Result<Encoder, ModelError>, has: &[&str]) {
    let message = result.err().map(|error| error.to_string()).unwrap_or("loaded".into());
    let right = has.iter().all(|part| message.contains(part)) && !message.contains('\n') && message.len() < 600;
    checks.that(right, || format!("{message:?}, expected one line with {has:?}"));
}

#[test]
fn types_and_prefixes_give_the_same_embedding() {
    let mut checks = Checks::new("model_types");
    let embed = |dtype, prefix| {
        let encoder = Model::new(dtype, prefix).load().unwrap();
        let tokens = encoder.tokenize("a bc zzz").unwrap();
        (encoder.embed(&tokens.ids, &mut DenseAttention::new(tokens.ids.len(), 2)).vector, tokens)
    };
    let (expected, tokens) = embed(Dtype::F32, "");
    // Neither padded to 8 nor cut at 4 as the file says.
    checks.eq(tokens.ids, vec![2, 4, 5, 6, 1, 3], || "ids".into());
    checks.near(expected.dot(&expected), 1.0, 1e-12, || "length".into());
    for (dtype, prefix) in [(Dtype::F16, ""), (Dtype::BF16, ""), (Dtype::F32, "bert."), (Dtype::F16, "bert.")] {
        checks.eq(&embed(dtype, prefix).0, &expected, || format!("{dtype} {prefix}"));
    }
    checks.finish(2 + 4);
}

#[test]
fn fewer_positions_than_the_usual_length_cut_earlier() {
    let mut checks = Checks::new("model_positions");
    let encoder = Model::new(Dtype::F32, "").load().unwrap();
    checks.eq(encoder.max_tokens(), 10, || "longest".into());
    for (words, len, truncated) in [(8, 10, false), (9, 10, true), (1000, 10, true)] {
        let tokens = encoder.tokenize(&"a ".repeat(words)).unwrap();
        checks.eq((tokens.ids.len(), tokens.truncated), (len, truncated), || format!("{words} words"));
    }
    checks.finish(1 + 3);
}

#[test]
fn folders_that_hold_no_model_say_what_is_missing() {
    let mut checks = Checks::new("model_folders");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    refused(&mut checks, Encoder::load(&at.join("nowhere")), &["nowhere: no such folder", "expected a model folder"]);
    refused(&mut checks, Encoder::load(at), &["no config.json"]);
    Model::new(Dtype::F32, "").write(at);
    refused(&mut checks, Encoder::load(&at.join("config.json")), &["config.json: a file"]);
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::rename(at.join(name), at.join("aside")).unwrap();
        refused(&mut checks, Encoder::load(at), &[&format!("no {name}")]);
        std::fs::create_dir(at.join(name)).unwrap();
        refused(&mut checks, Encoder::load(at), &[&format!("{name}: ")]);
        std::fs::remove_dir(at.join(name)).unwrap();
        std::fs::rename(at.join("aside"), at.join(name)).unwrap();
    }
    Encoder::load(at).unwrap();
    checks.finish(3 + 3 * 2);
}

#[test]
fn files_cut_anywhere_are_refused() {
    let mut checks = Checks::new("model_cut");
    let folder = tempfile::tempdir().unwrap();
    Model::new(Dtype::F32, "").write(folder.path());
    let mut expected = 0;
    for (name, step) in [("model.safetensors", 97), ("config.json", 11), ("tokenizer.json", 41)] {
        let file = folder.path().join(name);
        let whole = std::fs::read(&file).unwrap();
        for len in (0..whole.len()).step_by(step) {
            std::fs::write(&file, &whole[..len]).unwrap();
            refused(&mut checks, Encoder::load(folder.path()), &[&format!("{name}: ")]);
            expected += 1;
        }
        std::fs::write(&file, &whole).unwrap();
    }
    // A header that claims more than there is allocates nothing.
    let file = folder.path().join("model.safetensors");
    let mut whole = std::fs::read(&file).unwrap();
    for claimed in [99_999_999, u64::MAX] {
        whole[..8].copy_from_slice(&claimed.to_le_bytes());
        std::fs::write(&file, &whole).unwrap();
        refused(&mut checks, Encoder::load(folder.path()), &["model.safetensors: not a whole safetensors file"]);
    }
    checks.finish(expected + 2);
}

#[test]
fn another_kind_of_model_is_refused_by_key() {
    let mut checks = Checks::new("model_config");
    let cases = [
        ("model_type", json!("roberta"), "model_type = \"roberta\", expected \"bert\""),
        (
            "architectures",
            json!(["LlamaForCausalLM"]),
            "architectures = [\"LlamaForCausalLM\"], expected [\"BertModel\"]",
        ),
        ("architectures", json!("BertModel"), "architectures = \"BertModel\""),
        ("hidden_act", json!("gelu_new"), "hidden_act = \"gelu_new\", expected \"gelu\""),
        ("hidden_act", Value::Null, "hidden_act = null"),
        ("is_decoder", json!(true), "is_decoder = true, expected false"),
        ("position_embedding_type", json!("relative_key"), "expected \"absolute\""),
        ("num_attention_heads", json!(3), "num_attention_heads = 3, expected a divisor of hidden_size = 4"),
        ("num_attention_heads", json!(0), "expected a whole number above 0"),
        ("num_hidden_layers", json!(1e15 as u64), "tensor encoder.layer.2.attention.self.query.weight: missing"),
        ("hidden_size", json!(u64::MAX - 1), "F32 [7, 4], expected"),
        ("hidden_size", json!(-4), "hidden_size = -4"),
        ("vocab_size", json!(6), "largest token id = 6, expected below vocab_size = 6"),
        ("vocab_size", json!(8), "F32 [7, 4], expected F32, F16 or BF16 [8, 4]"),
        ("max_position_embeddings", json!(2), "special tokens per text = 2, expected 1 to 1"),
        ("max_position_embeddings", json!(512), "[10, 4]"),
        ("layer_norm_eps", json!("small"), "layer_norm_eps = \"small\""),
        ("layer_norm_eps", json!(0.0), "expected a number above 0"),
        ("intermediate_size", json!(5), "encoder.layer.0.intermediate.dense.weight: F32 [6, 4]"),
    ];
    let count = cases.len() as u64;
    for (key, value, has) in cases {
        let mut model = Model::new(Dtype::F32, "");
        model.config[key] = value;
        refused(&mut checks, model.load(), &[has]);
    }
    for config in [json!([]), json!({}), json!({ "architectures": ["BertModel"] })] {
        refused(&mut checks, Model { config, ..Model::new(Dtype::F32, "") }.load(), &["config.json: "]);
    }
    let folder = tempfile::tempdir().unwrap();
    Model::new(Dtype::F32, "").write(folder.path());
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let pooling = json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false });
    std::fs::write(folder.path().join("1_Pooling/config.json"), pooling.to_string()).unwrap();
    refused(&mut checks, Encoder::load(folder.path()), &["1_Pooling/config.json: pooling_mode_mean_tokens = false"]);
    checks.finish(count + 3 + 1);
}

#[test]
fn weights_that_are_missing_or_do_not_fit_are_named() {
    let mut checks = Checks::new("model_weights");
    let whole = Model::new(Dtype::F32, "bert.");
    for name in whole.tensors.keys() {
        let mut model = whole.clone();
        model.tensors.remove(name);
        refused(&mut checks, model.load(), &[&format!("tensor {name}: missing, expected F32, F16 or BF16 [")]);
        let mut model = whole.clone();
        model.tensors.get_mut(name).unwrap().0 = Dtype::I32;
        refused(&mut checks, model.load(), &[&format!("tensor {name}: I32 ["), ", expected F32"]);
        let mut model = whole.clone();
        model.tensors.get_mut(name).unwrap().1.insert(0, 1);
        refused(&mut checks, model.load(), &[&format!("tensor {name}: F32 [1, "), ", expected F32"]);
        let mut model = whole.clone();
        model.tensors.get_mut(name).unwrap().2[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        refused(&mut checks, model.load(), &[&format!("tensor {name}: NaN at element 1, expected finite")]);
    }
    checks.finish(4 * (5 + 2 * 16));
}

#[test]
fn tokenizers_that_do_not_fit_are_refused() {
    let mut checks = Checks::new("model_tokenizer");
    let mut model = Model::new(Dtype::F32, "");
    model.tokenizer["model"]["type"] = json!("Runes");
    refused(&mut checks, model.load(), &["tokenizer.json: "]);
    let mut model = Model::new(Dtype::F32, "");
    model.tokenizer["post_processor"] = Value::Null;
    refused(&mut checks, model.load(), &["tokenizer.json: special tokens per text = 0"]);
    let mut model = Model::new(Dtype::F32, "");
    model.tokenizer["model"]["unk_token"] = json!("absent");
    let message = model.load().unwrap().tokenize("zebra").unwrap_err().to_string();
    checks.that(message.starts_with("tokenizer: ") && !message.contains('\n'), || message.clone());
    checks.finish(3);
}
