//! all-MiniLM-L6-v2 on the host: against recorded runs of an independent implementation, and its bookkeeping of rows.

use ndarray::{Array1, Array2, Array3, ArrayView1, Axis, s};
use safetensors::SafeTensors;
use serde_json::Value;
use spatten::model::{Attention, DenseAttention, Encoder, LayerInput, LayerOutput, MAX_TOKENS, resolve};
use spatten_testkit::{Checks, not_run, reference_data};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Recorded q, k, v are f64 results rounded to f32 (2^-24 relative); the rest is f64 noise of sums in another order.
const F32_ROUNDING: f64 = 6e-8;
const F64_NOISE: f64 = 1e-11;
/// Recorded embeddings are f64; measured differences are below 3e-16.
const EMBEDDING_TOLERANCE: f64 = 1e-12;

/// The model, loaded once, or `None` with a line that says so.
fn encoder() -> Option<&'static Encoder> {
    static ENCODER: OnceLock<Option<Encoder>> = OnceLock::new();
    ENCODER
        .get_or_init(|| match resolve("all-MiniLM-L6-v2") {
            Ok(folder) => Some(Encoder::load(&folder).unwrap_or_else(|e| panic!("{e}"))),
            Err(error) => {
                not_run(error);
                None
            }
        })
        .as_ref()
}

/// One recorded sentence.
struct Recorded {
    name: String,
    text: String,
    ids: Vec<u32>,
    expected: Value,
    file: Vec<u8>,
}

impl Recorded {
    fn values<const N: usize>(&self, tensor: &str, from_bytes: fn([u8; N]) -> f64) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.file).unwrap();
        let view = tensors.tensor(tensor).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        assert_eq!(view.dtype().bitsize(), 8 * N, "{}: {tensor}", self.name);
        view.data().as_chunks::<N>().0.iter().map(|&bytes| from_bytes(bytes)).collect()
    }

    fn f64(&self, tensor: &str) -> Vec<f64> {
        self.values(tensor, f64::from_le_bytes)
    }

    fn f32(&self, tensor: &str) -> Vec<f64> {
        self.values(tensor, |bytes| f64::from(f32::from_le_bytes(bytes)))
    }

    fn i32(&self, tensor: &str) -> Vec<f64> {
        self.values(tensor, |bytes| f64::from(i32::from_le_bytes(bytes)))
    }
}

fn list(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

/// Recorded sentences and the settings they were run with.
fn recorded() -> Option<(Vec<Recorded>, Value)> {
    let folder: PathBuf = reference_data("minilm-traces")?;
    let mut index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let sentences = index["sentences"].take();
    let read = |sentence: &Value| {
        let name = sentence["file"].as_str().unwrap().to_owned();
        Recorded {
            file: std::fs::read(folder.join(&name)).unwrap(),
            text: sentence["text"].as_str().unwrap().into(),
            ids: list(&sentence["ids"]).into_iter().map(|id| id as u32).collect(),
            expected: sentence["expected"].clone(),
            name,
        }
    };
    Some((sentences.as_array().unwrap().iter().map(read).collect(), index["settings"].take()))
}

/// A device that names what it is told to, and keeps what it was given.
struct Scripted {
    /// Queries, survivors and heads of every layer, and after the last.
    steps: Vec<(Vec<usize>, Vec<usize>, Vec<usize>)>,
    given: Vec<[Array3<f64>; 3]>,
}

impl Scripted {
    /// Every layer has everything, until a test changes its step.
    fn dense(tokens: usize, encoder: &Encoder) -> Self {
        let step = ((0..tokens).collect(), (0..tokens).collect(), (0..encoder.heads()).collect());
        Self { steps: vec![step; encoder.layers() + 1], given: vec![] }
    }
}

impl Attention for Scripted {
    fn queries(&self) -> &[usize] {
        &self.steps[self.given.len()].0
    }

    fn survivors(&self) -> &[usize] {
        &self.steps[self.given.len()].1
    }

    fn heads_alive(&self) -> &[usize] {
        &self.steps[self.given.len()].2
    }

    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput {
        self.given.push([input.q.to_owned(), input.k.to_owned(), input.v.to_owned()]);
        DenseAttention::new(0, 0).layer(input)
    }
}

/// The cascade of the paper in its plainest form, written for these tests alone.
struct Cascade {
    tokens: Vec<usize>,
    heads: Vec<usize>,
    token_counts: Vec<usize>,
    head_counts: Vec<usize>,
    token_importance: Vec<f64>,
    head_importance: Vec<f64>,
    layer: usize,
}

impl Cascade {
    fn new(tokens: usize, setting: &Value) -> Self {
        let keep = setting["keep"].as_array().unwrap().iter();
        let count = |keep: &Value| ((keep.as_f64().unwrap() * tokens as f64 - 1e-9).ceil() as usize).max(2);
        let head_counts = list(&setting["heads"]);
        Self {
            tokens: (0..tokens).collect(),
            heads: (0..head_counts[0]).collect(),
            token_counts: keep.map(count).collect(),
            token_importance: vec![0.0; tokens],
            head_importance: vec![0.0; head_counts[0]],
            head_counts,
            layer: 0,
        }
    }
}

/// The `count` most important of `alive`, ties to the lower index, ascending.
fn top(alive: &[usize], importance: &[f64], count: usize) -> Vec<usize> {
    let mut order = alive.to_vec();
    order.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort();
    order
}

impl Attention for Cascade {
    fn queries(&self) -> &[usize] {
        &self.tokens
    }

    fn survivors(&self) -> &[usize] {
        &self.tokens
    }

    fn heads_alive(&self) -> &[usize] {
        &self.heads
    }

    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput {
        let mut out = Array3::zeros(input.q.dim());
        for &head in &self.heads {
            let of = |x: ndarray::ArrayView3<'_, f64>| x.index_axis(Axis(0), head).to_owned();
            let (q, k, v) = (of(input.q), of(input.k), of(input.v));
            let mut p = q.dot(&k.t()) / (q.ncols() as f64).sqrt();
            for mut row in p.rows_mut() {
                let max = row.iter().copied().fold(f64::MIN, f64::max);
                row.mapv_inplace(|x| (x - max).exp());
                let sum = row.sum();
                row /= sum;
            }
            for (&token, column) in self.tokens.iter().zip(p.columns()) {
                self.token_importance[token] += column.sum();
            }
            let o = p.dot(&v);
            self.head_importance[head] += o.mapv(f64::abs).sum();
            out.index_axis_mut(Axis(0), head).assign(&o);
        }
        self.layer += 1;
        if self.layer < self.token_counts.len() {
            self.tokens = top(&self.tokens, &self.token_importance, self.token_counts[self.layer]);
            self.heads = top(&self.heads, &self.head_importance, self.head_counts[self.layer]);
        }
        LayerOutput { refetched: Array2::from_elem((input.q.dim().0, input.q.dim().1), false), out }
    }
}

fn worst(got: ArrayView1<'_, f64>, expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn tokenisation_equals_the_recorded_ids() {
    let (Some(encoder), Some((sentences, _))) = (encoder(), recorded()) else { return };
    let mut checks = Checks::new("minilm_tokens");
    for sentence in &sentences {
        let tokens = encoder.tokenize(&sentence.text).unwrap();
        checks.eq(&tokens.ids, &sentence.ids, || sentence.name.clone());
        let in_file: Vec<u32> = sentence.i32("ids").into_iter().map(|id| id as u32).collect();
        checks.eq(&tokens.ids, &in_file, || format!("{}: tensor ids", sentence.name));
        checks.that(!tokens.truncated, || sentence.name.clone());
    }
    checks.finish(4 * 3);
}

#[test]
fn dense_run_equals_the_recorded_one() {
    let (Some(encoder), Some((sentences, _))) = (encoder(), recorded()) else { return };
    let mut checks = Checks::new("minilm_dense");
    let mut tokens = 0;
    for sentence in &sentences {
        let mut device = Scripted::dense(sentence.ids.len(), encoder);
        let embedding = encoder.embed(&sentence.ids, &mut device);
        let expected = sentence.f64("dense.emb");
        println!("{}: embedding off by {:e}", sentence.name, worst(embedding.vector.view(), &expected));
        for (i, (&got, expected)) in embedding.vector.iter().zip(expected).enumerate() {
            checks.near(got, expected, EMBEDDING_TOLERANCE, || format!("{}: embedding[{i}]", sentence.name));
        }
        for (which, tensor) in ["q", "k", "v"].into_iter().enumerate() {
            let expected = sentence.f32(tensor);
            let got: Vec<f64> = device.given.iter().flat_map(|layer| layer[which].iter().copied()).collect();
            assert_eq!(got.len(), expected.len(), "{}: {tensor}", sentence.name);
            for (i, (&got, expected)) in got.iter().zip(expected).enumerate() {
                let tolerance = F32_ROUNDING * expected.abs() + F64_NOISE;
                checks.near(got, expected, tolerance, || format!("{}: {tensor}, element {i}", sentence.name));
            }
        }
        tokens += sentence.ids.len();
    }
    assert_eq!(tokens, 12 + 24 + 49 + 119);
    checks.finish((4 * 384 + tokens * 3 * 6 * 384) as u64);
}

#[test]
fn cascades_equal_the_recorded_runs_of_the_whole_model() {
    let (Some(encoder), Some((sentences, settings))) = (encoder(), recorded()) else { return };
    let mut checks = Checks::new("minilm_cascades");
    for sentence in &sentences {
        for name in ["tok50", "tok30_heads8"] {
            let mut device = Cascade::new(sentence.ids.len(), &settings[name]);
            let embedding = encoder.embed(&sentence.ids, &mut device);
            let at = |what: &str| format!("{}: {name}: {what}", sentence.name);
            let model = &sentence.expected[name]["model"];
            for (layer, record) in embedding.layers.iter().enumerate() {
                checks.eq(&record.survivors, &list(&model["alive"][layer]), || at("alive"));
                checks.eq(&record.heads, &list(&model["heads"][layer]), || at("heads"));
            }
            let off = worst(embedding.vector.view(), &sentence.f64(&format!("{name}.emb")));
            println!("{}: off by {off:e}", at("embedding"));
            checks.near(off, 0.0, EMBEDDING_TOLERANCE, || at("embedding"));
        }
    }
    checks.finish(4 * 2 * (6 * 2 + 1));
}

fn dense(encoder: &Encoder, text: &str) -> Array1<f64> {
    let ids = encoder.tokenize(text).unwrap().ids;
    encoder.embed(&ids, &mut DenseAttention::new(ids.len(), encoder.heads())).vector
}

#[test]
fn paraphrases_are_closer_than_strangers() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_meaning");
    let a = dense(encoder, "The cat is asleep on the warm windowsill.");
    let b = dense(encoder, "A kitten naps on a sunny window ledge.");
    let c = dense(encoder, "Interest rates rose by half a percent in March.");
    let (near, far, also_far) = (a.dot(&b), a.dot(&c), b.dot(&c));
    checks.that(near > 0.5 && far < 0.2 && also_far < 0.2, || format!("{near} {far} {also_far}"));
    checks.near(a.dot(&a), 1.0, 1e-12, || "length".into());
    checks.finish(2);
}

#[test]
fn long_text_is_cut_and_says_so_and_empty_text_works() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_lengths");
    // [CLS] and [SEP] take two places.
    for (words, len, truncated) in
        [(254, 256, false), (255, 256, true), (5000, 256, true), (0, 2, false), (1, 3, false)]
    {
        let tokens = encoder.tokenize(&"cat ".repeat(words)).unwrap();
        checks.eq((tokens.ids.len(), tokens.truncated), (len, truncated), || format!("{words} words"));
        checks.eq((tokens.ids[0], tokens.ids[len - 1]), (101, 102), || format!("{words} words: special tokens"));
    }
    checks.eq(encoder.max_tokens(), MAX_TOKENS, || "longest".into());
    checks.near(dense(encoder, "").dot(&dense(encoder, "")), 1.0, 1e-12, || "empty text".into());
    checks.finish(5 * 2 + 2);
}

/// A sentence of some length and its dense run.
fn sample(encoder: &Encoder) -> (Vec<u32>, Scripted, spatten::model::Embedding) {
    let ids = encoder.tokenize("A small boat drifted past the lighthouse at dawn.").unwrap().ids;
    let mut device = Scripted::dense(ids.len(), encoder);
    let embedding = encoder.embed(&ids, &mut device);
    (ids, device, embedding)
}

#[test]
fn tokens_dropped_after_the_last_layer_leave_the_other_rows_as_they_are() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_rows_last");
    let (ids, _, dense) = sample(encoder);
    let kept = vec![0, 3, 4, ids.len() - 1];
    let mut device = Scripted::dense(ids.len(), encoder);
    device.steps[6].0 = kept.clone();
    device.steps[6].1 = kept.clone();
    let embedding = encoder.embed(&ids, &mut device);
    checks.eq(&embedding.positions, &kept, || "positions".into());
    let expected = dense.rows.select(Axis(0), &kept);
    checks.eq(embedding.rows.dim(), expected.dim(), || "rows".into());
    for ((at, &got), &expected) in embedding.rows.indexed_iter().zip(&expected) {
        checks.near(got, expected, F64_NOISE, || format!("row, dimension {at:?}"));
    }
    let mean = expected.sum_axis(Axis(0));
    let mean = &mean / mean.dot(&mean).sqrt();
    checks.near(worst(embedding.vector.view(), &mean.to_vec()), 0.0, F64_NOISE, || "mean of the rest".into());
    checks.eq(embedding.tokens_kept(), vec![ids.len(); 6], || "tokens kept".into());
    checks.finish(2 + 4 * 384 + 2);
}

#[test]
fn a_pruned_token_has_no_row_from_the_next_layer_on() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_rows_pruned");
    let (ids, dense, _) = sample(encoder);
    let kept = vec![1, 2, 5];
    let mut device = Scripted::dense(ids.len(), encoder);
    for step in &mut device.steps[1..] {
        step.0 = kept.clone();
        step.1 = kept.clone();
    }
    let embedding = encoder.embed(&ids, &mut device);
    checks.eq(embedding.tokens_kept(), vec![ids.len(), 3, 3, 3, 3, 3], || "tokens kept".into());
    checks.eq(&embedding.positions, &kept, || "positions".into());
    for (which, name) in ["q", "k", "v"].into_iter().enumerate() {
        // Layer 1 follows from layer 0, which still had every token; layer 2 does not.
        let off = |layer: usize| {
            let got = &device.given[layer][which];
            let expected = dense.given[layer][which].select(Axis(1), &kept);
            assert_eq!(got.dim(), expected.dim());
            (got - &expected).mapv(f64::abs).fold(0.0, |a: f64, &b| a.max(b))
        };
        checks.near(off(1), 0.0, F64_NOISE, || format!("{name} of layer 1"));
        checks.that(off(2) > 1e-3, || format!("{name} of layer 2 does not feel the loss"));
    }
    checks.finish(2 + 3 * 2);
}

#[test]
fn a_token_can_stay_a_query_without_key_and_value() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_rows_kv_only");
    let (ids, dense, _) = sample(encoder);
    let kept = vec![0, 2, 7];
    let mut device = Scripted::dense(ids.len(), encoder);
    for step in &mut device.steps[1..] {
        step.1 = kept.clone();
    }
    let embedding = encoder.embed(&ids, &mut device);
    checks.eq(embedding.positions, (0..ids.len()).collect(), || "all rows are averaged".into());
    checks.eq(embedding.layers[5].queries.len(), ids.len(), || "queries".into());
    checks.eq(&embedding.layers[5].survivors, &kept, || "survivors".into());
    let [q, k, v] = &device.given[1];
    for (got, expected) in [
        (q, dense.given[1][0].clone()),
        (k, dense.given[1][1].select(Axis(1), &kept)),
        (v, dense.given[1][2].select(Axis(1), &kept)),
    ] {
        assert_eq!(got.dim(), expected.dim());
        let off = (got - &expected).mapv(f64::abs).fold(0.0, |a: f64, &b| a.max(b));
        checks.near(off, 0.0, F64_NOISE, || "layer 1".into());
    }
    checks.finish(3 + 3);
}

#[test]
fn pruned_heads_are_not_projected() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_heads");
    let (ids, dense, all_heads) = sample(encoder);
    let mut device = Scripted::dense(ids.len(), encoder);
    device.steps[0].2 = vec![3, 10];
    let embedding = encoder.embed(&ids, &mut device);
    checks.eq(embedding.heads_kept(), vec![2, 12, 12, 12, 12, 12], || "heads kept".into());
    for (got, dense) in device.given[0].iter().zip(&dense.given[0]) {
        for head in 0..12 {
            let got = got.slice(s![head, .., ..]);
            if [3, 10].contains(&head) {
                checks.eq(got, dense.slice(s![head, .., ..]), || format!("head {head}"));
            } else {
                checks.that(got.iter().all(|&x| x == 0.0), || format!("head {head} was computed"));
            }
        }
    }
    let off = worst(embedding.vector.view(), &all_heads.vector.to_vec());
    checks.that(off > 1e-3, || "ten heads less change nothing".into());
    checks.finish(1 + 3 * 12 + 1);
}

#[test]
fn no_token_left_is_a_zero_vector() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_empty");
    let (ids, ..) = sample(encoder);
    let mut device = Scripted::dense(ids.len(), encoder);
    for step in &mut device.steps[3..] {
        step.0.clear();
        step.1.clear();
    }
    let embedding = encoder.embed(&ids, &mut device);
    checks.eq(embedding.vector, Array1::zeros(384), || "vector".into());
    checks.eq(embedding.rows.dim(), (0, 384), || "rows".into());
    checks.finish(2);
}

#[test]
fn a_device_that_revives_a_token_is_caught() {
    let Some(encoder) = encoder() else { return };
    let mut checks = Checks::new("minilm_revived");
    let (ids, ..) = sample(encoder);
    let mut device = Scripted::dense(ids.len(), encoder);
    for step in &mut device.steps[1..3] {
        (step.0, step.1) = (vec![0, 1], vec![0, 1]);
    }
    device.steps[2].1 = vec![4];
    let panic =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| encoder.embed(&ids, &mut device))).unwrap_err();
    let message = panic.downcast_ref::<String>().map(String::as_str);
    checks.eq(message, Some("layer 2: the device names token 4, live are [0, 1]"), || "message".into());
    checks.finish(1);
}
