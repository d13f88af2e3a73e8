//! Cascade token and head pruning over layers and generation steps, on either arithmetic.
//! Paper: SpAtten section III.
//!
//! [`Cascade`] owns what outlives a layer (importance, survivors, heads) and decides who survives; a [`Backend`] owns the
//! numbers of one head. Everything a host or a report needs about traffic is counted here, once for both.

use crate::attention::{Attention, LayerInput, LayerOutput};
use crate::bitwidth_converter::plane_bytes;
use crate::quantiser::{Calibration, Quantiser};
use crate::trace::Mode;
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use spatten_arch::Plan;
use spatten_arch::format::{OUTPUT_BITS, QUERY_SCALE_BITS, TOKEN_SCALE_BITS, VALUE_NORM_BITS};
use spatten_arch::plan::{GenerationCascade, Importance, Pin, Scale, Tensor, TokenMode};
use std::ops::AddAssign;

/// One sequence: sizes, which tokens are real, and who sees whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, a divisor of `heads`.
    pub kv_heads: usize,
    /// Head dimension.
    pub head_dim: usize,
    /// Query rows (`L0`): the last ones of the tokens.
    pub rows: usize,
    /// `[L1]`: false for padding.
    pub mask: Vec<bool>,
    /// Who sees whom.
    pub mode: Mode,
    /// Factor on every score.
    pub scale: f64,
}

impl Sequence {
    /// How many of the survivors each query sees, from the first; positions ascend.
    pub fn visible(&self, queries: &[usize], survivors: &[usize]) -> Vec<usize> {
        match self.mode {
            Mode::Encoder => vec![survivors.len(); queries.len()],
            _ => queries.iter().map(|q| survivors.partition_point(|p| p <= q)).collect(),
        }
    }

    /// Which heads and which key-value heads are used where `heads` are computed.
    pub fn used(&self, heads: &[usize]) -> (Vec<bool>, Vec<bool>) {
        let group = self.heads / self.kv_heads;
        let (mut used, mut used_kv) = (vec![false; self.heads], vec![false; self.kv_heads]);
        for &h in heads {
            (used[h], used_kv[h / group]) = (true, true);
        }
        (used, used_kv)
    }

    /// Bytes that a layer of generation step `step` (0 in the other modes) reads without pruning: at 12 bits, and in fp32.
    pub fn dense_bytes(&self, step: usize) -> (u64, u64) {
        let (keys, rows) = match self.mode {
            Mode::Decode => (self.mask.len() - self.rows + step + 1, 1),
            _ => (self.mask.len(), self.rows),
        };
        let elements = (rows * self.heads + 2 * keys * self.kv_heads) * self.head_dim;
        (plane_bytes(elements, 12) as u64, 4 * elements as u64)
    }
}

/// One head of one layer as a backend sees it.
#[derive(Debug, Clone, Copy)]
pub struct HeadJob<'a> {
    /// Query head.
    pub head: usize,
    /// Its key and value head.
    pub kv_head: usize,
    /// `[queries]`: the row sees this many of the survivors, from the first.
    pub visible: &'a [usize],
    /// The plan.
    pub plan: &'a Plan,
}

/// What a backend says of one head.
#[derive(Debug, Clone)]
pub struct HeadResult<S> {
    /// `[queries, D]`
    pub out: Array2<f64>,
    /// `[queries]`: increment of the head's importance per row.
    pub head_increments: Vec<S>,
    /// `[queries]`
    pub refetched: Vec<bool>,
    /// `[survivors]`: some row reads this value row.
    pub value_needed: Vec<bool>,
    /// `[survivors]`: some refetched row reads this value row.
    pub value_lsb_needed: Vec<bool>,
    /// Products of scores and of values.
    pub macs: u64,
    /// Local value selections that had to choose.
    pub topk_calls: u64,
    /// What did not fit its format.
    pub saturations: Saturations,
}

impl<S: Copy + Default> HeadResult<S> {
    /// All zero, for a head of so many query rows, survivors and dimensions.
    pub fn new(rows: usize, keys: usize, dim: usize) -> Self {
        Self {
            out: Array2::zeros((rows, dim)),
            head_increments: vec![S::default(); rows],
            refetched: vec![false; rows],
            value_needed: vec![false; keys],
            value_lsb_needed: vec![false; keys],
            macs: 0,
            topk_calls: 0,
            saturations: Saturations::default(),
        }
    }
}

/// Values that did not fit their format and were held at its limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saturations {
    /// Scores.
    pub logit: u64,
    /// Attention outputs.
    pub output: u64,
    /// Additions to a token's or head's importance.
    pub importance: u64,
    /// Norms of value rows (`value_weighted`).
    pub value_norm: u64,
}

impl Saturations {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.logit + self.output + self.importance + self.value_norm
    }
}

impl AddAssign for Saturations {
    fn add_assign(&mut self, o: Self) {
        self.logit += o.logit;
        self.output += o.output;
        self.importance += o.importance;
        self.value_norm += o.value_norm;
    }
}

/// What a score accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreKind {
    /// Of a token.
    Token,
    /// Of a head.
    Head,
}

/// The arithmetic of one head: f64 or fixed point.
pub trait Backend: Send + Sync {
    /// An importance score.
    type Score: Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug;
    /// One layer's tensors in the backend's form.
    type Layer: Sync;

    /// Takes in a layer's tensors; `used [heads]` and `used_kv [kv_heads]` say which heads are computed. Returns the number
    /// of value norms that saturated beside the layer.
    fn load(
        &mut self,
        input: &LayerInput<'_>,
        quantiser: Option<&Quantiser>,
        layer: &LayerContext<'_>,
    ) -> (Self::Layer, u64);

    /// Computes one head. `observe(row, increments)` gets each row's final importance increments `[visible]`.
    fn head(
        &self,
        layer: &Self::Layer,
        job: &HeadJob<'_>,
        observe: &mut dyn FnMut(usize, &[Self::Score]),
    ) -> HeadResult<Self::Score>;

    /// Sum of two scores, and whether it saturated.
    fn add(&self, kind: ScoreKind, sum: Self::Score, increment: Self::Score) -> (Self::Score, bool);

    /// A token's score as it is ranked, from its sum and the number of rows that could see it.
    fn mean(&self, sum: Self::Score, rows: u64) -> Self::Score;

    /// A score after one step of decay.
    fn decay(&self, sum: Self::Score, gamma: f64) -> Self::Score;

    /// Indices of the `k` largest scores in order, ties to the lowest, pinned ones first of all.
    fn select(&self, kind: ScoreKind, scores: &[Self::Score], pinned: &[bool], k: usize) -> Vec<usize>;

    /// Real value of a ranked score.
    fn value(&self, kind: ScoreKind, score: Self::Score, importance: Importance) -> f64;

    /// Whether inputs are quantised when the plan says nothing (12 bits static).
    fn always_quantised(&self) -> bool;
}

/// What a backend needs to know of a layer besides its tensors.
#[derive(Debug, Clone, Copy)]
pub struct LayerContext<'a> {
    /// Factor on every score.
    pub scale: f64,
    /// `[heads]`: computed in this layer.
    pub used: &'a [bool],
    /// `[kv_heads]`: read in this layer.
    pub used_kv: &'a [bool],
    /// Absolute maxima per tensor known beforehand.
    pub absmax: [Option<&'a [f64]>; 3],
    /// How importance is accumulated.
    pub importance: Importance,
}

/// What one layer (of one step) moved and decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LayerReport {
    /// Tokens that entered as keys.
    pub tokens: usize,
    /// Query rows.
    pub queries: usize,
    /// Heads computed.
    pub heads: usize,
    /// Rows that were computed again with their LSBs, over all heads.
    pub refetched_rows: u64,
    /// Rows of all heads.
    pub rows: u64,
    /// Bytes of Q read.
    pub q_bytes: u64,
    /// Bytes of K read: MSB planes, or all where K is not split.
    pub k_msb_bytes: u64,
    /// Bytes of K's LSB planes read.
    pub k_lsb_bytes: u64,
    /// Bytes of V read.
    pub v_bytes: u64,
    /// Bytes written: outputs, and in generation the appended K and V.
    pub write_bytes: u64,
    /// Bytes read by the same layer without pruning at 12 bits.
    pub dense_12bit_bytes: u64,
    /// The same in fp32.
    pub dense_fp32_bytes: u64,
    /// Multiplications and additions.
    pub ops: u64,
    /// Selections.
    pub topk_calls: u64,
    /// Counts that a plan set above what was left.
    pub clamped_counts: u64,
    /// What did not fit its format.
    pub saturations: Saturations,
}

impl AddAssign<&LayerReport> for LayerReport {
    /// Adds counts; `tokens`, `queries` and `heads` are those of the later one.
    fn add_assign(&mut self, o: &Self) {
        (self.tokens, self.queries, self.heads) = (o.tokens, o.queries, o.heads);
        self.refetched_rows += o.refetched_rows;
        self.rows += o.rows;
        self.q_bytes += o.q_bytes;
        self.k_msb_bytes += o.k_msb_bytes;
        self.k_lsb_bytes += o.k_lsb_bytes;
        self.v_bytes += o.v_bytes;
        self.write_bytes += o.write_bytes;
        self.dense_12bit_bytes += o.dense_12bit_bytes;
        self.dense_fp32_bytes += o.dense_fp32_bytes;
        self.ops += o.ops;
        self.topk_calls += o.topk_calls;
        self.clamped_counts += o.clamped_counts;
        self.saturations += o.saturations;
    }
}

impl LayerReport {
    /// Bytes read.
    pub fn read_bytes(&self) -> u64 {
        self.q_bytes + self.k_msb_bytes + self.k_lsb_bytes + self.v_bytes
    }
}

/// State of one sequence on its way through the layers.
pub struct Cascade<B: Backend> {
    backend: B,
    plan: Plan,
    quantiser: Option<Quantiser>,
    calibration: Option<Calibration>,
    sequence: Sequence,
    /// Next layer.
    layer: usize,
    /// Generation step; 0 in the other modes.
    step: usize,
    survivors: Vec<usize>,
    queries: Vec<usize>,
    heads: Vec<usize>,
    token_counts: Vec<usize>,
    head_counts: Vec<usize>,
    pinned: Vec<bool>,
    token_sums: Vec<B::Score>,
    token_rows: Vec<u64>,
    head_sums: Vec<B::Score>,
    reports: Vec<LayerReport>,
}

impl<B: Backend> Cascade<B> {
    /// Begins a sequence (in generation its first step).
    ///
    /// # Panics
    /// Where the plan does not fit the sequence (`Plan::check_for` says so beforehand), the mask has no place for the
    /// rows, or the calibration has another shape.
    #[track_caller]
    pub fn new(sequence: Sequence, plan: &Plan, backend: B, calibration: Option<Calibration>) -> Self {
        plan.check_for("plan", sequence.layers, sequence.heads, 16).unwrap_or_else(|e| panic!("{e}"));
        assert!(sequence.rows <= sequence.mask.len(), "{} rows of {} tokens", sequence.rows, sequence.mask.len());
        let calibrated = matches!(plan.quant.as_ref().map(|q| &q.scale), Some(Scale::Static(_)));
        assert!(!calibrated || calibration.is_some(), "the plan's static scale without its calibration");
        if let Some(c) = &calibration {
            c.check(sequence.layers, sequence.heads, sequence.kv_heads).unwrap_or_else(|e| panic!("calibration: {e}"));
        }
        let quant = match (&plan.quant, backend.always_quantised()) {
            (Some(quant), _) => Some(quant.clone()),
            (None, true) => Some(Default::default()),
            (None, false) => None,
        };
        let tokens = sequence.mask.len();
        let mut cascade = Self {
            backend,
            plan: plan.clone(),
            quantiser: quant.map(Quantiser::new),
            calibration,
            layer: 0,
            step: 0,
            survivors: vec![],
            queries: vec![],
            heads: vec![],
            token_counts: vec![],
            head_counts: plan.head_counts(sequence.layers, sequence.heads),
            pinned: vec![],
            token_sums: vec![B::Score::default(); tokens],
            token_rows: vec![0; tokens],
            head_sums: vec![B::Score::default(); sequence.heads],
            reports: vec![],
            sequence,
        };
        cascade.begin();
        cascade
    }

    /// Sets survivors, queries and heads for layer 0 of the current step.
    fn begin(&mut self) {
        let s = &self.sequence;
        let tokens = s.mask.len();
        let first_row = tokens - s.rows;
        let seen = if s.mode == Mode::Decode { (first_row + self.step + 1).min(tokens) } else { tokens };
        let real: Vec<usize> = (0..seen).filter(|&p| s.mask[p]).collect();
        let current = (s.mode == Mode::Decode).then_some(seen.wrapping_sub(1));
        self.survivors = match (s.mode, self.plan.generation.cascade, self.step) {
            (Mode::Decode, GenerationCascade::Evict, 1..) => {
                let mut kept = std::mem::take(&mut self.survivors);
                kept.extend(current.filter(|&p| s.mask[p]));
                kept
            }
            _ => real.clone(),
        };
        self.queries = match current {
            Some(p) => Some(p).filter(|&p| s.rows > 0 && s.mask[p]).into_iter().collect(),
            None => real.iter().copied().filter(|&p| p >= first_row).collect(),
        };
        let pin = match (&self.plan.tokens.pin, current) {
            (Some(pin), _) => pin.clone(),
            // By position: where the current token is padding, the last real one is an older token without a privilege.
            (None, Some(position)) => Pin { positions: vec![position], ..Pin::default() },
            (None, None) => Pin::default(),
        };
        self.pinned = vec![false; tokens];
        for (rank, &p) in real.iter().enumerate() {
            self.pinned[p] = pin.holds(p, rank, real.len());
        }
        self.token_counts = self.plan.token_counts(s.layers, real.len());
        self.heads = self.plan.masked_heads(0).unwrap_or_else(|| (0..s.heads).collect());
        if self.step > 0
            && let Importance::Decay(gamma) = self.plan.tokens.importance
        {
            for sum in &mut self.token_sums {
                *sum = self.backend.decay(*sum, gamma);
            }
        }
        self.layer = 0;
    }

    /// Begins the next generation step.
    ///
    /// # Panics   where layers of this step are left, or in another mode
    #[track_caller]
    pub fn next_step(&mut self) {
        assert_eq!(self.sequence.mode, Mode::Decode, "steps exist in decode mode");
        assert_eq!(self.layer, self.sequence.layers, "layers done before the next step");
        self.step += 1;
        self.begin();
    }

    /// Token scores as they are ranked, real values, `[L1]`.
    pub fn token_importance(&self) -> Vec<f64> {
        let importance = self.plan.tokens.importance;
        (0..self.token_sums.len())
            .map(|p| self.backend.value(ScoreKind::Token, self.token_rank(p), importance))
            .collect()
    }

    /// Head scores, real values, `[heads]`.
    pub fn head_importance(&self) -> Vec<f64> {
        self.head_sums.iter().map(|&s| self.backend.value(ScoreKind::Head, s, Importance::Sum)).collect()
    }

    /// One report per layer and step so far.
    pub fn reports(&self) -> &[LayerReport] {
        &self.reports
    }

    fn token_rank(&self, position: usize) -> B::Score {
        match self.plan.tokens.importance {
            Importance::Mean => self.backend.mean(self.token_sums[position], self.token_rows[position]),
            _ => self.token_sums[position],
        }
    }

    fn absmax(&self, tensor: Tensor) -> Option<&[f64]> {
        self.calibration.as_ref().map(|c| &*c.of(tensor)[self.layer])
    }

    /// The layer's traffic, from what the heads needed. A key-value head is read once for all its query heads.
    fn traffic(&self, visible: &[usize], results: &[HeadResult<B::Score>], report: &mut LayerReport) {
        let s = &self.sequence;
        let (dim, tokens) = (s.head_dim, report.tokens);
        let bits = |t: Tensor| self.quantiser.as_ref().map_or((32, 0), |q| q.plane_bits(t));
        let bytes = |rows: usize, bits: u32| plane_bytes(rows * dim, bits) as u64;
        // Words that lie beside the rows: a scale per token, a norm per value.
        let per_token = matches!(self.plan.quant.as_ref().map(|q| &q.scale), Some(Scale::Token));
        let weighted = self.plan.tokens.importance == Importance::ValueWeighted;
        let scales = |rows: usize, bits: u32| if per_token { plane_bytes(rows, bits) as u64 } else { 0 };
        let group = s.heads / s.kv_heads;
        let seen = visible.iter().copied().max().unwrap_or(0);
        for kv_head in 0..s.kv_heads {
            let of_group: Vec<&HeadResult<B::Score>> =
                self.heads.iter().zip(results).filter(|(h, _)| *h / group == kv_head).map(|(_, r)| r).collect();
            if of_group.is_empty() {
                continue;
            }
            let lsb_seen = of_group
                .iter()
                .flat_map(|r| r.refetched.iter().zip(visible).filter(|(again, _)| **again).map(|(_, &n)| n))
                .max()
                .unwrap_or(0);
            let count = |pick: fn(&HeadResult<B::Score>) -> &Vec<bool>| {
                (0..tokens).filter(|&j| of_group.iter().any(|r| pick(r)[j])).count()
            };
            report.k_msb_bytes += bytes(seen, bits(Tensor::K).0) + scales(seen, TOKEN_SCALE_BITS);
            report.k_lsb_bytes += bytes(lsb_seen, bits(Tensor::K).1);
            let values = count(|r| &r.value_needed);
            report.v_bytes += bytes(values, bits(Tensor::V).0) + scales(values, TOKEN_SCALE_BITS);
            report.v_bytes += if weighted { plane_bytes(seen, VALUE_NORM_BITS) as u64 } else { 0 };
            report.v_bytes += bytes(count(|r| &r.value_lsb_needed), bits(Tensor::V).1);
        }
        for r in results {
            let again = r.refetched.iter().filter(|a| **a).count();
            report.q_bytes += bytes(visible.len(), bits(Tensor::Q).0) + bytes(again, bits(Tensor::Q).1);
            report.q_bytes += scales(visible.len(), QUERY_SCALE_BITS);
            report.write_bytes += bytes(visible.len(), OUTPUT_BITS);
        }
        if s.mode == Mode::Decode && !self.queries.is_empty() {
            let appended =
                bytes(1, bits(Tensor::K).0 + bits(Tensor::K).1) + bytes(1, bits(Tensor::V).0 + bits(Tensor::V).1);
            report.write_bytes += s.kv_heads as u64 * appended;
        }
        (report.dense_12bit_bytes, report.dense_fp32_bytes) = s.dense_bytes(self.step);
    }
}

impl<B: Backend> Attention for Cascade<B> {
    fn queries(&self) -> &[usize] {
        &self.queries
    }

    fn survivors(&self) -> &[usize] {
        &self.survivors
    }

    fn heads_alive(&self) -> &[usize] {
        &self.heads
    }

    /// # Panics   where shapes differ from what is alive, or no layer is left
    #[track_caller]
    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput {
        let (heads, kv_heads, dim) = (self.sequence.heads, self.sequence.kv_heads, self.sequence.head_dim);
        let (queries, keys) = (self.queries.len(), self.survivors.len());
        assert!(self.layer < self.sequence.layers, "all {} layers are done", self.sequence.layers);
        assert_eq!(input.q.dim(), (heads, queries, dim), "shape of q in layer {}", self.layer);
        assert_eq!(input.k.dim(), (kv_heads, keys, dim), "shape of k in layer {}", self.layer);
        assert_eq!(input.v.dim(), (kv_heads, keys, dim), "shape of v in layer {}", self.layer);

        let group = heads / kv_heads;
        let (used, used_kv) = self.sequence.used(&self.heads);
        let importance = self.plan.tokens.importance;
        let absmax = Tensor::ALL.map(|t| self.absmax(t).map(<[f64]>::to_vec));
        let context = LayerContext {
            scale: self.sequence.scale,
            used: &used,
            used_kv: &used_kv,
            absmax: [absmax[0].as_deref(), absmax[1].as_deref(), absmax[2].as_deref()],
            importance,
        };
        let (layer, norm_saturations) = self.backend.load(&input, self.quantiser.as_ref(), &context);

        let visible = self.sequence.visible(&self.queries, &self.survivors);
        let jobs: Vec<HeadJob<'_>> = self
            .heads
            .iter()
            .map(|&head| HeadJob { head, kv_head: head / group, visible: &visible, plan: &self.plan })
            .collect();
        let backend = &self.backend;
        let (results, totals): (Vec<_>, Vec<_>) = jobs
            .par_iter()
            .map(|job| {
                let mut totals = vec![B::Score::default(); keys];
                let result = backend.head(&layer, job, &mut |_, increments| {
                    for (total, &i) in totals.iter_mut().zip(increments) {
                        *total = backend.add(ScoreKind::Token, *total, i).0;
                    }
                });
                (result, totals)
            })
            .unzip();

        let mut report = LayerReport { tokens: keys, queries, heads: jobs.len(), ..LayerReport::default() };
        report.saturations.value_norm = norm_saturations;
        for (job, totals) in jobs.iter().zip(&totals) {
            let sums: Vec<(B::Score, bool)> = self
                .survivors
                .iter()
                .zip(totals)
                .map(|(&p, &t)| backend.add(ScoreKind::Token, self.token_sums[p], t))
                .collect();
            if sums.iter().any(|(_, saturated)| *saturated) {
                // Count every addition that saturates, as the hardware's adders do.
                let (survivors, token_sums) = (&self.survivors, &mut self.token_sums);
                backend.head(&layer, job, &mut |_, increments| {
                    for (&p, &i) in survivors.iter().zip(increments) {
                        let (sum, saturated) = backend.add(ScoreKind::Token, token_sums[p], i);
                        token_sums[p] = sum;
                        report.saturations.importance += u64::from(saturated);
                    }
                });
            } else {
                for (&p, (sum, _)) in self.survivors.iter().zip(&sums) {
                    self.token_sums[p] = *sum;
                }
            }
        }
        for (&h, r) in self.heads.iter().zip(&results) {
            for &i in &r.head_increments {
                let (sum, saturated) = self.backend.add(ScoreKind::Head, self.head_sums[h], i);
                self.head_sums[h] = sum;
                report.saturations.importance += u64::from(saturated);
            }
        }
        for &n in &visible {
            for &p in &self.survivors[..n] {
                self.token_rows[p] += self.heads.len() as u64;
            }
        }

        let mut out = Array3::zeros((heads, queries, dim));
        let mut refetched = Array2::from_elem((heads, queries), false);
        for (&h, r) in self.heads.iter().zip(&results) {
            out.index_axis_mut(Axis(0), h).assign(&r.out);
            for (i, &again) in r.refetched.iter().enumerate() {
                refetched[[h, i]] = again;
                report.refetched_rows += u64::from(again);
            }
            report.saturations += r.saturations;
            report.ops += 2 * r.macs;
            report.topk_calls += r.topk_calls;
        }
        report.rows = (queries * self.heads.len()) as u64;
        self.traffic(&visible, &results, &mut report);
        self.layer += 1;
        if self.layer < self.sequence.layers {
            self.prune(&mut report);
        }
        self.reports.push(report);
        LayerOutput { out, refetched }
    }
}

impl<B: Backend> Cascade<B> {
    /// Selects who enters layer `self.layer`.
    fn prune(&mut self, report: &mut LayerReport) {
        let n = self.survivors.len();
        let pinned: Vec<bool> = self.survivors.iter().map(|&p| self.pinned[p]).collect();
        let wanted = self.token_counts[self.layer].max(pinned.iter().filter(|p| **p).count());
        report.clamped_counts += u64::from(self.plan.tokens.keep.is_some() && wanted > n);
        if wanted < n {
            let scores: Vec<B::Score> = self.survivors.iter().map(|&p| self.token_rank(p)).collect();
            let kept = self.backend.select(ScoreKind::Token, &scores, &pinned, wanted);
            report.topk_calls += 1;
            self.survivors = kept.iter().map(|&i| self.survivors[i]).collect();
            if self.plan.tokens.mode == TokenMode::Full && self.sequence.mode != Mode::Decode {
                let survivors = &self.survivors;
                self.queries.retain(|q| survivors.binary_search(q).is_ok());
            }
        }
        if let Some(masked) = self.plan.masked_heads(self.layer) {
            self.heads = masked;
            return;
        }
        let (n, wanted) = (self.heads.len(), self.head_counts[self.layer]);
        report.clamped_counts += u64::from(self.plan.heads.keep.is_some() && wanted > n);
        if wanted < n {
            let scores: Vec<B::Score> = self.heads.iter().map(|&h| self.head_sums[h]).collect();
            let kept = self.backend.select(ScoreKind::Head, &scores, &vec![false; n], wanted);
            report.topk_calls += 1;
            self.heads = kept.iter().map(|&i| self.heads[i]).collect();
        }
    }
}
