//! Model folders that are damaged or of another kind: one clear line each, and no panic. Runs on a model of a few
//! hundred numbers that is made here, so it needs nothing from outside.

#[path = "common/tiny_model.rs"]
mod tiny_model;

use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use spatten::model::{DenseAttention, Encoder, ModelError};
use spatten_testkit::Checks;
use std::path::Path;
use tiny_model::Model;

impl Model {
    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("model.safetensors"), self.weights()).unwrap();
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
    let right =
        has.iter().all(|part| message.contains(part)) && !message.contains(char::is_control) && message.len() < 600;
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
fn bytes_load_as_their_folder_does() {
    let mut checks = Checks::new("model_bytes");
    let model = Model::new(Dtype::F32, "");
    let embed = |encoder: Encoder| encoder.embed(&[2, 4, 3], &mut DenseAttention::new(3, encoder.heads())).vector;
    let [config, tokenizer] = [&model.config, &model.tokenizer].map(|json| json.to_string().into_bytes());
    let weights = model.weights();
    let from = |config: &[u8], weights: &[u8], tokenizer: &[u8]| {
        Encoder::from_parts(config, weights, tokenizer, Path::new("mine"))
    };
    checks.eq(embed(from(&config, &weights, &tokenizer).unwrap()), embed(model.load().unwrap()), || "embedding".into());
    refused(&mut checks, from(b"", &weights, &tokenizer), &["mine/config.json: "]);
    refused(&mut checks, from(&config, b"", &tokenizer), &["mine/model.safetensors: "]);
    refused(&mut checks, from(&config, &weights, b""), &["mine/tokenizer.json: "]);
    checks.finish(1 + 3);
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
        refused(&mut checks, Encoder::load(at), &[&format!("{name}: a directory, device or pipe, expected a file")]);
        std::fs::remove_dir(at.join(name)).unwrap();
        // A device without an end.
        std::os::unix::fs::symlink("/dev/zero", at.join(name)).unwrap();
        refused(&mut checks, Encoder::load(at), &[&format!("{name}: a directory, device or pipe, expected a file")]);
        std::fs::remove_file(at.join(name)).unwrap();
        std::fs::rename(at.join("aside"), at.join(name)).unwrap();
    }
    Encoder::load(at).unwrap();
    checks.finish(3 + 3 * 3);
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
fn what_a_file_makes_up_stays_one_short_line() {
    let mut checks = Checks::new("model_messages");
    let mut model = Model::new(Dtype::F32, "");
    let (_, shape, _) = model.tensors.get_mut("embeddings.word_embeddings.weight").unwrap();
    shape.splice(..0, [1; 5000]);
    refused(
        &mut checks,
        model.load(),
        &["word_embeddings.weight: F32 [1, 1, ", " ..., expected F32, F16 or BF16 [7, 4]"],
    );
    let header = json!({ "\u{1b}[31m\u{7f}": { "dtype": "F32", "shape": [1], "data_offsets": [4, 8] } }).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat();
    let parts = [&model.config, &model.tokenizer].map(Value::to_string);
    let result = Encoder::from_parts(parts[0].as_bytes(), &file, parts[1].as_bytes(), Path::new("mine"));
    refused(&mut checks, result, &["mine/model.safetensors: ", "invalid offset for tensor `?[31m?`"]);
    checks.finish(2);
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
    // Ids of special tokens stand in the post-processor too.
    let mut model = Model::new(Dtype::F32, "");
    model.tokenizer["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([7]);
    let message = model.load().unwrap().tokenize("a").unwrap_err().to_string();
    checks.that(message == "tokenizer: token id 7, expected below vocab_size = 7", || message.clone());
    checks.finish(4);
}

/// The crate that reads tokenizers panics at some of them.
#[test]
fn tokenizers_that_nobody_can_use_are_one_line_too() {
    let mut checks = Checks::new("model_tokenizer_panics");
    let mut absent = Model::new(Dtype::F32, "");
    absent.tokenizer["post_processor"]["special_tokens"] =
        json!({ "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] } });
    let mut beyond = Model::new(Dtype::F32, "");
    beyond.tokenizer["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([7]);
    for model in [absent, beyond] {
        let folder = tempfile::tempdir().unwrap();
        model.write(folder.path());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_spatten"));
        let output = command.args(["infer", "--text", "a", "--model"]).arg(folder.path()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        checks.that(output.status.code() == Some(2), || format!("{:?} {message:?}", output.status));
        let one_line = message.starts_with("error: ") && message.find('\n') == Some(message.len() - 1);
        checks.that(one_line && message.contains("tokenizer"), || message.clone());
        checks.that(!message.contains("internal") && output.stdout.is_empty(), || message.clone());
    }
    checks.finish(6);
}
