//! The encoder: what the host computes around a device's attention.

use super::config::{CONFIG, Config};
use super::error::{ModelError, guarded, one_line, read};
use super::weights::Weights;
use super::{Attention, LayerInput};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Array3, Axis, s};
use std::path::Path;
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

/// Longest sequence, special tokens included: what all-MiniLM-L6-v2 was trained for (its tokenizer.json says 128, its
/// `max_seq_length` 256). A model with fewer positions takes fewer.
pub const MAX_TOKENS: usize = 256;

/// The files of a model folder besides [`CONFIG`].
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";

/// A BERT-type sentence encoder.
#[derive(Debug)]
pub struct Encoder {
    config: Config,
    tokenizer: Tokenizer,
    max_tokens: usize,
    /// `[vocabulary, hidden]`; f32 because it is most of the model and only few rows are ever looked up.
    words: Array2<f32>,
    /// `[positions, hidden]`, the embedding of token type 0 added.
    positions: Array2<f64>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
}

/// A tokenised text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// Token ids with the special tokens, at most [`Encoder::max_tokens`].
    pub ids: Vec<u32>,
    /// The text was longer and its end is missing.
    pub truncated: bool,
}

/// What a layer worked on, in original positions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerRecord {
    /// Tokens with a query row.
    pub queries: Vec<usize>,
    /// Tokens with a key and a value.
    pub survivors: Vec<usize>,
    /// Heads computed.
    pub heads: Vec<usize>,
    /// `[heads, queries]`: rows computed again with their LSBs.
    pub refetched: Array2<bool>,
}

/// Result of [`Encoder::embed`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Embedding {
    /// `[hidden]`: mean of [`Self::rows`], of length 1; all 0 where no token is left.
    pub vector: Array1<f64>,
    /// `[tokens, hidden]`: what the last layer gives for [`Self::positions`].
    pub rows: Array2<f64>,
    /// Original positions of the tokens that are left.
    pub positions: Vec<usize>,
    /// One record per layer.
    pub layers: Vec<LayerRecord>,
}

impl Embedding {
    /// Survivors of every layer.
    pub fn tokens_kept(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.survivors.len()).collect()
    }

    /// Heads computed in every layer.
    pub fn heads_kept(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.heads.len()).collect()
    }
}

impl Encoder {
    /// Reads `config.json`, `model.safetensors` and `tokenizer.json` of a folder.
    ///
    /// # Errors
    /// A missing or damaged file, or a model that is not a BERT encoder with exact GELU: one line that names file,
    /// key or tensor, what was found and what was expected.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let not_a_model = |found: String| Err(ModelError::NotAModel { folder: dir.to_owned(), found });
        if !dir.is_dir() {
            return not_a_model(if dir.exists() { "a file" } else { "no such folder" }.into());
        }
        for name in [CONFIG, WEIGHTS, TOKENIZER] {
            if !dir.join(name).exists() {
                return not_a_model(format!("no {name}"));
            }
        }
        let config = Config::read(dir)?;
        let tokenizer = read(&dir.join(TOKENIZER))?;
        Self::build(config, &read(&dir.join(WEIGHTS))?, &tokenizer, dir)
    }

    /// The same from what the three files hold; errors name them as if they were in the folder `origin`.
    ///
    /// Sizes that `config` claims are held against the tensors that are there before anything of that size is made.
    ///
    /// # Errors
    /// As [`Self::load`]. That a model pools otherwise stands in a fourth file, which only [`Self::load`] sees.
    pub fn from_parts(config: &[u8], weights: &[u8], tokenizer: &[u8], origin: &Path) -> Result<Self, ModelError> {
        Self::build(Config::parse(origin.join(CONFIG), config)?, weights, tokenizer, origin)
    }

    fn build(config: Config, weights: &[u8], tokenizer: &[u8], origin: &Path) -> Result<Self, ModelError> {
        let (tokenizer, max_tokens) = load_tokenizer(&origin.join(TOKENIZER), tokenizer, &config)?;
        let file = origin.join(WEIGHTS);
        let weights = Weights::parse(&file, weights)?;
        let hidden = config.hidden;
        let words = weights.table("embeddings.word_embeddings.weight", config.vocabulary, hidden)?;
        let types = weights.table("embeddings.token_type_embeddings.weight", config.token_types, hidden)?;
        let positions = weights.table("embeddings.position_embeddings.weight", config.positions, hidden)?;
        let positions = positions.mapv(f64::from) + types.row(0).mapv(f64::from);
        let embedding_norm = Norm::load(&weights, "embeddings.LayerNorm", &config)?;
        // A claimed number of layers ends at the first one that is missing.
        let mut layers = Vec::new();
        for index in 0..config.layers {
            layers.push(Layer::load(&weights, index, &config)?);
        }
        Ok(Self { config, tokenizer, max_tokens, words, positions, embedding_norm, layers })
    }

    /// Layers with attention.
    pub fn layers(&self) -> usize {
        self.config.layers
    }

    /// Attention heads.
    pub fn heads(&self) -> usize {
        self.config.heads
    }

    /// Dimension of a head, D.
    pub fn head_dim(&self) -> usize {
        self.config.hidden / self.config.heads
    }

    /// Length of an embedding.
    pub fn hidden(&self) -> usize {
        self.config.hidden
    }

    /// Longest sequence: [`MAX_TOKENS`], or the model's positions where they are fewer.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Token ids with the special tokens, never padded; an empty text has just those.
    ///
    /// # Errors
    /// Where the tokenizer has no token for a part of the text, not even one for the unknown, or one that the model lacks.
    pub fn tokenize(&self, text: &str) -> Result<Tokens, ModelError> {
        let refuse = |problem: String| ModelError::Tokenize { problem: one_line(problem) };
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true)).map_err(refuse)?;
        let encoding = encoding.map_err(|e| refuse(e.to_string()))?;
        // A post-processor names ids of its own, which the vocabulary need not have.
        let vocabulary = self.config.vocabulary;
        if let Some(id) = encoding.get_ids().iter().find(|id| **id as usize >= vocabulary) {
            return Err(refuse(format!("token id {id}, expected below vocab_size = {vocabulary}")));
        }
        Ok(Tokens { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() })
    }

    /// Runs the model over one sequence.
    ///
    /// A layer has hidden rows only for the tokens that the device still names: Q is projected for its queries and
    /// alive heads, K and V for its survivors; and once it has pruned, everything after attention is computed for the
    /// remaining queries only. The tokens that the device names after the last layer are averaged.
    ///
    /// # Shapes
    /// `ids [n]`, `n <= max_tokens`; the device starts with all `n` tokens.
    ///
    /// # Panics
    /// Where an id is outside the vocabulary, `ids` is longer than the model's positions, or the device names a token
    /// that has no row any more: in order of the calls, each list holds only tokens that were queries of the layer
    /// before.
    #[track_caller]
    pub fn embed(&self, ids: &[u32], attention: &mut dyn Attention) -> Embedding {
        let mut live = self.look_up(ids);
        let mut records = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let queries = attention.queries().to_vec();
            let survivors = attention.survivors().to_vec();
            let heads = attention.heads_alive().to_vec();

            let keys = live.select(&survivors, index);
            let k = layer.k.split_heads(&keys.rows, &heads, self.heads());
            let v = layer.v.split_heads(&keys.rows, &heads, self.heads());
            live = live.select(&queries, index);
            let q = layer.q.split_heads(&live.rows, &heads, self.heads());
            let output = attention.layer(LayerInput { q: q.view(), k: k.view(), v: v.view() });
            assert_eq!(output.out.dim(), q.dim(), "layer {index}: shape of the device's output");

            // Rows are independent from here on, so what was just pruned needs nothing more.
            let kept = live.indices(attention.queries(), index);
            live = live.select(attention.queries(), index);
            layer.finish(&mut live.rows, &output.out.select(Axis(1), &kept), &heads);
            records.push(LayerRecord { queries, survivors, heads, refetched: output.refetched });
        }
        let mut vector = live.rows.sum_axis(Axis(0));
        let length = vector.dot(&vector).sqrt();
        if length > 0.0 {
            vector /= length;
        }
        Embedding { vector, rows: live.rows, positions: live.positions, layers: records }
    }

    /// Embeddings of all tokens.
    #[track_caller]
    fn look_up(&self, ids: &[u32]) -> Rows {
        assert!(ids.len() <= self.config.positions, "{} ids, expected at most {}", ids.len(), self.config.positions);
        let mut rows = self.positions.slice(s![..ids.len(), ..]).to_owned();
        for (mut row, &id) in rows.rows_mut().into_iter().zip(ids) {
            assert!((id as usize) < self.config.vocabulary, "id {id}, expected below {}", self.config.vocabulary);
            row.zip_mut_with(&self.words.row(id as usize), |x, &word| *x += f64::from(word));
        }
        self.embedding_norm.apply(&mut rows);
        Rows { positions: (0..ids.len()).collect(), rows }
    }
}

/// The tokenizer without padding, cut at the longest sequence; and that length.
fn load_tokenizer(file: &Path, bytes: &[u8], config: &Config) -> Result<(Tokenizer, usize), ModelError> {
    guarded(|| parse_tokenizer(file, bytes, config)).unwrap_or_else(|problem| Err(ModelError::malformed(file, problem)))
}

fn parse_tokenizer(file: &Path, bytes: &[u8], config: &Config) -> Result<(Tokenizer, usize), ModelError> {
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| ModelError::malformed(file, e))?;
    let max_tokens = MAX_TOKENS.min(config.positions);
    let refuse = |key: &str, found: String, expected: String| {
        Err(ModelError::Config { file: file.to_owned(), key: key.into(), found, expected })
    };
    // Checked first: the crate subtracts these two unchecked.
    let special = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
    if special == 0 || special >= max_tokens {
        return refuse("special tokens per text", special.to_string(), format!("1 to {}", max_tokens - 1));
    }
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
    if largest >= config.vocabulary {
        return refuse("largest token id", largest.to_string(), format!("below vocab_size = {}", config.vocabulary));
    }
    tokenizer.with_padding(None);
    let truncation = TruncationParams { max_length: max_tokens, ..Default::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|e| ModelError::malformed(file, e))?;
    Ok((tokenizer, max_tokens))
}

/// Rows of live tokens with where they were in the sequence.
struct Rows {
    positions: Vec<usize>,
    rows: Array2<f64>,
}

impl Rows {
    /// Where the rows of some tokens are.
    #[track_caller]
    fn indices(&self, wanted: &[usize], layer: usize) -> Vec<usize> {
        let mut indices = Vec::with_capacity(wanted.len());
        for token in wanted {
            match self.positions.binary_search(token) {
                Ok(index) => indices.push(index),
                Err(_) => panic!("layer {layer}: the device names token {token}, live are {:?}", self.positions),
            }
        }
        indices
    }

    /// The rows of some tokens.
    #[track_caller]
    fn select(&self, wanted: &[usize], layer: usize) -> Self {
        Self { positions: wanted.to_vec(), rows: self.rows.select(Axis(0), &self.indices(wanted, layer)) }
    }
}

/// `x W + b`
#[derive(Debug)]
struct Linear {
    /// `[outputs, inputs]`, as in the file.
    weight: Array2<f64>,
    bias: Array1<f64>,
}

impl Linear {
    fn load(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize) -> Result<Self, ModelError> {
        Ok(Self {
            weight: weights.table(&format!("{name}.weight"), outputs, inputs)?.mapv(f64::from),
            bias: weights.vector(&format!("{name}.bias"), outputs)?,
        })
    }

    /// `[rows, inputs]` -> `[rows, outputs]`
    fn apply(&self, x: &Array2<f64>) -> Array2<f64> {
        x.dot(&self.weight.t()) + &self.bias
    }

    /// `[rows, inputs]` -> `[heads, rows, D]`: a head has D consecutive outputs. Heads that are not alive stay 0.
    fn split_heads(&self, x: &Array2<f64>, alive: &[usize], heads: usize) -> Array3<f64> {
        let dim = self.bias.len() / heads;
        let mut out = Array3::zeros((heads, x.nrows(), dim));
        for &head in alive {
            let outputs = head * dim..(head + 1) * dim;
            let mut out = out.index_axis_mut(Axis(0), head);
            out += &self.bias.slice(s![outputs.clone()]);
            general_mat_mul(1.0, x, &self.weight.slice(s![outputs, ..]).t(), 1.0, &mut out);
        }
        out
    }

    /// `[heads, rows, D]` -> `[rows, outputs]`: a head has D consecutive inputs. Heads that are not alive are 0 and
    /// not multiplied.
    fn join_heads(&self, x: &Array3<f64>, alive: &[usize]) -> Array2<f64> {
        let (_, rows, dim) = x.dim();
        let mut out = self.bias.broadcast((rows, self.bias.len())).expect("one bias per output").to_owned();
        for &head in alive {
            let weight = self.weight.slice(s![.., head * dim..(head + 1) * dim]);
            general_mat_mul(1.0, &x.index_axis(Axis(0), head), &weight.t(), 1.0, &mut out);
        }
        out
    }
}

/// Layer normalisation.
#[derive(Debug)]
struct Norm {
    gain: Array1<f64>,
    bias: Array1<f64>,
    epsilon: f64,
}

impl Norm {
    fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, ModelError> {
        Ok(Self {
            gain: weights.vector(&format!("{name}.weight"), config.hidden)?,
            bias: weights.vector(&format!("{name}.bias"), config.hidden)?,
            epsilon: config.epsilon,
        })
    }

    fn apply(&self, rows: &mut Array2<f64>) {
        let count = rows.ncols() as f64;
        for mut row in rows.rows_mut() {
            let mean = row.sum() / count;
            row -= mean;
            let deviation = (row.dot(&row) / count + self.epsilon).sqrt();
            row /= deviation;
            row *= &self.gain;
            row += &self.bias;
        }
    }
}

/// Weights of one layer.
#[derive(Debug)]
struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

impl Layer {
    fn load(weights: &Weights<'_>, index: usize, config: &Config) -> Result<Self, ModelError> {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let linear = |name: &str, inputs, outputs| {
            Linear::load(weights, &format!("encoder.layer.{index}.{name}"), inputs, outputs)
        };
        let norm = |name: &str| Norm::load(weights, &format!("encoder.layer.{index}.{name}"), config);
        Ok(Self {
            q: linear("attention.self.query", hidden, hidden)?,
            k: linear("attention.self.key", hidden, hidden)?,
            v: linear("attention.self.value", hidden, hidden)?,
            output: linear("attention.output.dense", hidden, hidden)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            up: linear("intermediate.dense", hidden, intermediate)?,
            down: linear("output.dense", intermediate, hidden)?,
            norm: norm("output.LayerNorm")?,
        })
    }

    /// From attention's result for some rows to what the next layer sees of them.
    fn finish(&self, rows: &mut Array2<f64>, attended: &Array3<f64>, heads: &[usize]) {
        *rows += &self.output.join_heads(attended, heads);
        self.attention_norm.apply(rows);
        let mut wide = self.up.apply(rows);
        wide.mapv_inplace(gelu);
        *rows += &self.down.apply(&wide);
        self.norm.apply(rows);
    }
}

/// Exact GELU, `x * Phi(x)`.
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}
