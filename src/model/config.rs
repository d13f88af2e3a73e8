//! `config.json`: whether this is a model that the encoder computes, and its sizes.

use super::error::{ModelError, one_line, read};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// File of a model folder.
pub(super) const CONFIG: &str = "config.json";

/// Sizes of a BERT encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub vocabulary: usize,
    pub positions: usize,
    pub token_types: usize,
    pub epsilon: f64,
}

/// A JSON file of which keys are asked.
struct Keys {
    file: PathBuf,
    json: Value,
}

impl Keys {
    fn parse(file: PathBuf, bytes: &[u8]) -> Result<Self, ModelError> {
        let json: Value = serde_json::from_slice(bytes).map_err(|e| ModelError::malformed(&file, e))?;
        if !json.is_object() {
            return Err(ModelError::malformed(&file, "not a JSON object"));
        }
        Ok(Self { file, json })
    }

    fn refuse<T>(&self, key: &str, expected: impl ToString) -> Result<T, ModelError> {
        let found = self.json.get(key).map_or("nothing".into(), one_line);
        Err(ModelError::Config { file: self.file.clone(), key: key.into(), found, expected: expected.to_string() })
    }

    fn count(&self, key: &str) -> Result<usize, ModelError> {
        match self.json.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()) {
            Some(n) if n > 0 => Ok(n),
            _ => self.refuse(key, "a whole number above 0"),
        }
    }

    /// The value is `only`, or absent where that is what an absent key means.
    fn is(&self, key: &str, only: impl Into<Value>, absent_ok: bool) -> Result<(), ModelError> {
        let only = only.into();
        match self.json.get(key) {
            None | Some(Value::Null) if absent_ok => Ok(()),
            Some(value) if *value == only => Ok(()),
            _ => self.refuse(key, only),
        }
    }
}

impl Config {
    /// Reads `config.json`, and how the model pools where a file says so.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let file = folder.join(CONFIG);
        let config = Self::parse(file.clone(), &read(&file)?)?;
        // Written by sentence-transformers; some BERT encoders take the first token instead of the mean.
        let pooling = folder.join("1_Pooling/config.json");
        if pooling.exists() {
            Keys::parse(pooling.clone(), &read(&pooling)?)?.is("pooling_mode_mean_tokens", true, false)?;
        }
        Ok(config)
    }

    /// The bytes of `config.json`. Its sizes are claims: [`Weights`](super::weights::Weights) holds each against the
    /// shapes of the tensors that are there, before anything of that size is made.
    pub fn parse(file: PathBuf, bytes: &[u8]) -> Result<Self, ModelError> {
        let keys = Keys::parse(file, bytes)?;
        keys.is("model_type", "bert", keys.json.get("architectures").is_some())?;
        if let Some(architectures) = keys.json.get("architectures") {
            // BertModel, BertForMaskedLM, ...: the same encoder under another head, which is not read.
            let bert = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("Bert"));
            if !architectures.as_array().is_some_and(|names| names.iter().all(bert)) {
                return keys.refuse("architectures", "[\"BertModel\"]");
            }
        }
        keys.is("is_decoder", false, true)?;
        keys.is("hidden_act", "gelu", false)?;
        keys.is("position_embedding_type", "absolute", true)?;
        let epsilon = match keys.json.get("layer_norm_eps").map(Value::as_f64) {
            None => 1e-12,
            Some(Some(epsilon)) if epsilon > 0.0 && epsilon < 1.0 => epsilon,
            _ => return keys.refuse("layer_norm_eps", "a number above 0 and below 1"),
        };
        let config = Self {
            layers: keys.count("num_hidden_layers")?,
            heads: keys.count("num_attention_heads")?,
            hidden: keys.count("hidden_size")?,
            intermediate: keys.count("intermediate_size")?,
            vocabulary: keys.count("vocab_size")?,
            positions: keys.count("max_position_embeddings")?,
            token_types: keys.count("type_vocab_size")?,
            epsilon,
        };
        if !config.hidden.is_multiple_of(config.heads) {
            return keys.refuse("num_attention_heads", format!("a divisor of hidden_size = {}", config.hidden));
        }
        Ok(config)
    }
}
