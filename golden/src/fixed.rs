//! Bit for bit what the RTL does: integers only between the host's quantiser and the host's conversion of outputs.
//!
//! # Documented errors against [`crate::reference`] on the same quantised inputs
//! - probability: [`crate::softmax::ERROR_BOUND`] = 2^-11;
//! - refetch decision: [`crate::requant_decision::DECISION_ERROR`] = 2^-13 of the largest probability;
//! - token importance: [`token_importance_error`], value-weighted [`weighted_importance_error`]; head importance:
//!   [`head_importance_error`];
//! - a cascade decision: [`token_decision_error`], [`head_decision_error`].

use crate::attention::LayerInput;
use crate::bitwidth_converter::Conversion;
use crate::cascade::{Backend, HeadJob, HeadResult, LayerContext, ScoreKind};
use crate::dot_product::{self, ScaleFactor};
use crate::quantiser::{self, Quantised, Quantiser, Step};
use crate::{importance_accumulator, multiply_value, radix_select, requant_decision, softmax, top_k};
use ndarray::{Array2, ArrayView1};
use spatten_arch::ArchConfig;
use spatten_arch::config::{HEAD_DIMS, MAX_HEADS};
use spatten_arch::format::{
    Formats, HEAD_UNIT_FRACTION, INCREMENT_FRACTION, TOKEN_SCALE_FRACTION, VALUE_NORM_FRACTION,
};
use spatten_arch::plan::{Importance, Split, Tensor};

/// A workload that does not fit the chip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} = {found} does not fit configuration {arch}, expected at most {limit}")]
pub struct CapacityError {
    what: &'static str,
    found: usize,
    arch: String,
    limit: usize,
}

/// The fixed-point backend of one context.
#[derive(Debug, Clone)]
pub struct Fixed {
    formats: Formats,
    datapath_bits: u32,
    /// Real value of a value norm of 1.0; set by the first layer with a value other than 0.
    norm_unit: Option<f64>,
    /// Real value of 1 of a head's importance; likewise.
    head_unit: Option<f64>,
}

/// Largest difference of a token's importance from f64 on the same integers, after `rows` (row, head) pairs could see it:
/// four standard deviations of the increments' independent roundings (each at most 2^-17), and relative to the score the
/// logit, exponential and reciprocal errors, 2^-13 together on rows that are not adversarial.
pub fn token_importance_error(rows: u64, importance: f64) -> f64 {
    4.0 * (rows as f64 / 3.0).sqrt() * (-17f64).exp2() + importance * (-13f64).exp2()
}

/// The same with `importance = "value_weighted"`, for a token whose probabilities sum to `plain`, with the context's
/// [`norm_unit`] and the largest norm of any layer: a norm is rounded to 2^-14 of the unit, the same way in every row; each
/// product to 2^-17 of the unit, and its probability to 2^-17 of the norm.
pub fn weighted_importance_error(rows: u64, importance: f64, plain: f64, unit: f64, largest_norm: f64) -> f64 {
    token_importance_error(rows, 0.0) * (unit + largest_norm)
        + plain * unit * (-14f64).exp2()
        + importance * (-13f64).exp2()
}

/// Smallest margin between the last kept and the first dropped token at which `fixed` decides as f64 does, from the score
/// at the cut. `same_inputs`: f64 works on the same integers; otherwise on unquantised inputs, and 12-bit steps move a
/// score by up to 2^-11 of itself (measured on the recorded model: 3.6e-4 = 2^-11.4).
pub fn token_decision_error(rows: u64, score_at_cut: f64, same_inputs: bool) -> f64 {
    let quantisation = if same_inputs { 0.0 } else { score_at_cut * (-11f64).exp2() };
    2.0 * (token_importance_error(rows, score_at_cut) + quantisation)
}

/// Largest difference of a head's importance from f64, relative. Outputs are rounded to 16 bits and probabilities to 12
/// (measured: 7.2e-4 = 2^-10.4 of the score, 12-bit inputs included). With local value pruning, probabilities that are equal
/// in 12 bits are chosen by index and not by their hidden bits: measured 5.9e-3 = 2^-7.4, and above 2^-7 with a scale per token.
/// This holds for rows of a real model. Where all probabilities of a row are nearly equal, the choice is as good as any other
/// and a score may differ by a tenth.
pub fn head_importance_error(importance: f64, prunes_values: bool) -> f64 {
    importance * if prunes_values { (-6f64).exp2() } else { (-10f64).exp2() }
}

/// The same as [`token_decision_error`] for heads.
pub fn head_decision_error(score_at_cut: f64, prunes_values: bool) -> f64 {
    2.0 * head_importance_error(score_at_cut, prunes_values)
}

/// Unit of a context's norms and weighted importances: the power of two above the largest norm of its first layer.
pub fn norm_unit(largest: f64) -> f64 {
    (largest.log2().floor() + 1.0).exp2()
}

/// One head of one tensor as operands.
#[derive(Debug)]
pub struct Operands {
    full: Array2<i16>,
    first: Option<Array2<i16>>,
    /// `token_scale [rows]`; empty where all are 1.0.
    token_scale: Vec<u32>,
    /// Real value of an operand of 1 at token scale 1.0.
    unit: f64,
    conversion: Conversion,
}

impl Operands {
    fn new(q: Quantised, conversion: Conversion) -> Self {
        let align = conversion.align();
        let shift = |x: Array2<i16>| if align == 0 { x } else { x.mapv(|i| i << align) };
        let largest = q.step.largest();
        let token_scale = match &q.step {
            Step::Shared(_) => vec![],
            Step::PerToken(steps) => {
                let one = f64::from(1u32 << TOKEN_SCALE_FRACTION);
                steps.iter().map(|s| if largest == 0.0 { 0 } else { (s / largest * one).round() as u32 }).collect()
            }
        };
        let unit = largest * (-f64::from(align)).exp2();
        Self { full: shift(q.full), first: q.first.map(shift), token_scale, unit, conversion }
    }

    /// How its planes become operands.
    pub fn conversion(&self) -> Conversion {
        self.conversion
    }

    /// A row as its planes hold it, MSB and LSB fields; without an LSB plane, all bits and 0.
    pub fn fields(&self, row: usize) -> impl Iterator<Item = (i32, i32)> + '_ {
        let Conversion { lsb_bits, split, .. } = self.conversion;
        let align = self.conversion.align();
        self.full.row(row).into_iter().map(move |&x| match i32::from(x) >> align {
            value if lsb_bits == 0 => (value, 0),
            value => quantiser::split(value, lsb_bits, split),
        })
    }

    /// `token_scale [rows]`; empty where all are 1.0.
    pub fn token_scales(&self) -> &[u32] {
        &self.token_scale
    }

    /// Real value of an operand of 1 at token scale 1.0.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    fn rows(&self, all: bool) -> &Array2<i16> {
        match &self.first {
            Some(first) if !all => first,
            _ => &self.full,
        }
    }

    fn token_scale(&self, row: usize) -> u32 {
        self.token_scale.get(row).copied().unwrap_or(1 << TOKEN_SCALE_FRACTION)
    }
}

/// One layer's tensors and factors.
#[derive(Debug)]
pub struct FixedLayer {
    q: Vec<Operands>,
    k: Vec<Operands>,
    v: Vec<Operands>,
    scale: f64,
    /// `[kv_heads]`
    head_factor: Vec<ScaleFactor>,
    /// `value_norm [kv_heads][survivors]`; empty unless importance is value-weighted.
    norms: Vec<Vec<u32>>,
    threshold_inverse: Option<u64>,
}

impl FixedLayer {
    /// One tensor, by head.
    pub fn tensor(&self, tensor: Tensor) -> &[Operands] {
        [&self.q, &self.k, &self.v][tensor as usize]
    }

    /// From products to logits, for a query row of a head; `None`: for rows of token scale 1.0.
    pub fn logit_factor(&self, head: usize, kv_head: usize, row: Option<usize>) -> ScaleFactor {
        let (q, k) = (&self.q[head], &self.k[kv_head]);
        match row.and_then(|row| q.token_scale.get(row)) {
            None => ScaleFactor::for_logits(q.unit * k.unit * self.scale),
            Some(&s) => {
                let relative = f64::from(s) * (-f64::from(TOKEN_SCALE_FRACTION)).exp2();
                ScaleFactor::for_logits(q.unit * relative * k.unit * self.scale)
            }
        }
    }

    /// From outputs to head importance, for heads of a key-value head.
    pub fn head_factor(&self, kv_head: usize) -> ScaleFactor {
        self.head_factor[kv_head]
    }

    /// `value_norm [survivors]` of a key-value head; absent unless importance is value-weighted.
    pub fn norms(&self, kv_head: usize) -> Option<&[u32]> {
        self.norms.get(kv_head).map(Vec::as_slice)
    }

    /// `1 / threshold` of a progressive plan.
    pub fn threshold_inverse(&self) -> Option<u64> {
        self.threshold_inverse
    }
}

fn row_slice<'a>(row: ArrayView1<'a, i16>) -> &'a [i16] {
    row.to_slice().expect("rows are contiguous")
}

impl Fixed {
    /// A fresh context on a chip of this configuration.
    pub fn new(config: &ArchConfig) -> Self {
        Self { formats: Formats::new(config), datapath_bits: config.datapath_bits, norm_unit: None, head_unit: None }
    }

    /// Whether a workload of this shape fits the chip.
    pub fn check(config: &ArchConfig, heads: usize, keys: usize, head_dim: usize) -> Result<(), CapacityError> {
        let limits = [
            ("heads", heads, MAX_HEADS),
            ("keys (L1)", keys, config.keys_on_chip),
            ("head dimension (D)", head_dim, HEAD_DIMS[HEAD_DIMS.len() - 1]),
        ];
        match limits.into_iter().find(|(_, found, limit)| found > limit) {
            Some((what, found, limit)) => Err(CapacityError { what, found, arch: config.name.clone(), limit }),
            None => Ok(()),
        }
    }

    /// Real value of an output of 1.
    pub fn output_step(&self, layer: &FixedLayer, kv_head: usize) -> f64 {
        self.formats.output.value(1) * layer.v[kv_head].unit
    }

    /// Logits of a row; counts those that saturate.
    fn logits(&self, pass: &RowPass<'_>, out: &mut Vec<i32>) -> u64 {
        let query = row_slice(pass.q.rows(pass.all).row(pass.row));
        let keys = pass.k.rows(pass.all).as_slice().expect("rows are contiguous");
        let narrow = self.datapath_bits <= 12;
        let mut saturations = 0;
        out.clear();
        out.extend(keys.chunks_exact(query.len()).take(pass.visible).enumerate().map(|(j, key)| {
            let dot = if narrow { dot_product::integer_narrow(query, key) } else { dot_product::integer(query, key) };
            debug_assert!(self.formats.dot.holds(dot), "dot {dot}");
            let (logit, saturated) = dot_product::scale(dot, pass.k.token_scale(j), pass.factor, &self.formats);
            saturations += u64::from(saturated);
            logit as i32
        }));
        saturations
    }
}

/// One pass of a query row over the keys that it sees.
struct RowPass<'a> {
    q: &'a Operands,
    k: &'a Operands,
    row: usize,
    visible: usize,
    factor: ScaleFactor,
    /// With LSBs, or MSBs only.
    all: bool,
}

impl Backend for Fixed {
    type Score = u64;
    type Layer = FixedLayer;

    fn load(
        &mut self,
        input: &LayerInput<'_>,
        quantiser: Option<&Quantiser>,
        layer: &LayerContext<'_>,
    ) -> (FixedLayer, u64) {
        let quantiser = quantiser.expect("the fixed backend always quantises");
        let plan = quantiser.plan();
        let load = |tensor: Tensor, x, used| {
            let (msb_bits, lsb_bits) = quantiser.plane_bits(tensor);
            let split = if lsb_bits == 0 { Split::Floor } else { plan.split };
            let conversion = Conversion { msb_bits, lsb_bits, split, datapath_bits: self.datapath_bits };
            let heads = quantiser.tensor(tensor, x, used, layer.absmax[tensor as usize]);
            heads.into_iter().map(|h| Operands::new(h, conversion)).collect::<Vec<_>>()
        };
        let q = load(Tensor::Q, input.q, layer.used);
        let k = load(Tensor::K, input.k, layer.used_kv);
        let v = load(Tensor::V, input.v, layer.used_kv);

        // Units of importance are powers of two, set by the context's first layer that has values.
        let used = || v.iter().zip(layer.used_kv).filter(|(_, used)| **used).map(|(v, _)| v);
        let output_step = (-f64::from(self.formats.output.fraction_bits)).exp2();
        if self.head_unit.is_none() {
            let largest = used().map(|v| v.unit).fold(0.0, f64::max);
            if largest > 0.0 {
                self.head_unit =
                    Some((largest * output_step).log2().floor().exp2() * (-f64::from(HEAD_UNIT_FRACTION)).exp2());
            }
        }
        let head_factor = v
            .iter()
            .map(|v| ScaleFactor::new(self.head_unit.map_or(0.0, |unit| v.unit * output_step / unit)))
            .collect();
        let mut norms = vec![];
        let mut saturations = 0;
        if layer.importance == Importance::ValueWeighted {
            let norm = |v: &Operands, row: usize| {
                let sum: i64 = v.full.row(row).iter().map(|&x| i64::from(x).abs()).sum();
                sum as f64 * v.unit * f64::from(v.token_scale(row)) * (-f64::from(TOKEN_SCALE_FRACTION)).exp2()
            };
            if self.norm_unit.is_none() {
                let largest = used().flat_map(|v| (0..v.full.nrows()).map(|r| norm(v, r))).fold(0.0, f64::max);
                if largest > 0.0 {
                    self.norm_unit = Some(norm_unit(largest));
                }
            }
            let one = f64::from(1u32 << VALUE_NORM_FRACTION);
            let cap = self.formats.value_norm.max_raw() as f64;
            norms = v
                .iter()
                .map(|v| {
                    (0..v.full.nrows())
                        .map(|r| {
                            let raw = self.norm_unit.map_or(0.0, |unit| (norm(v, r) / unit * one).round());
                            saturations += u64::from(raw > cap);
                            raw.min(cap) as u32
                        })
                        .collect()
                })
                .collect();
        }
        let threshold_inverse = plan
            .progressive
            .then(|| requant_decision::threshold_inverse(plan.threshold, &self.formats.threshold_inverse));
        (FixedLayer { q, k, v, scale: layer.scale, head_factor, norms, threshold_inverse }, saturations)
    }

    fn head(&self, layer: &FixedLayer, job: &HeadJob<'_>, observe: &mut dyn FnMut(usize, &[u64])) -> HeadResult<u64> {
        let (q, k, v) = (&layer.q[job.head], &layer.k[job.kv_head], &layer.v[job.kv_head]);
        let (keys, dim) = v.full.dim();
        let rows = job.visible.len();
        let mut result = HeadResult::new(rows, keys, dim);
        let norms = layer.norms.get(job.kv_head);
        let shared_factor = layer.logit_factor(job.head, job.kv_head, None);
        let output_step = self.output_step(layer, job.kv_head);
        let mut logits = Vec::with_capacity(keys);
        let mut exponentials = softmax::Row::default();
        let mut increments = vec![0u64; keys];
        let mut probabilities = vec![0u64; keys];
        let mut sum = vec![0i32; dim];
        let mut output = vec![0i32; dim];
        for (row, &visible) in job.visible.iter().enumerate() {
            if visible == 0 {
                continue;
            }
            let own = || layer.logit_factor(job.head, job.kv_head, Some(row));
            let factor = if q.token_scale.is_empty() { shared_factor } else { own() };
            let mut pass = RowPass { q, k, row, visible, factor, all: layer.threshold_inverse.is_none() };
            let mut passes = 1;
            result.saturations.logit += self.logits(&pass, &mut logits);
            exponentials.load(&logits);
            if let Some(inverse) = layer.threshold_inverse
                && requant_decision::fixed(exponentials.sum, inverse)
            {
                pass.all = true;
                passes = 2;
                result.refetched[row] = true;
                result.saturations.logit += self.logits(&pass, &mut logits);
                exponentials.load(&logits);
            }
            debug_assert!(self.formats.exp_sum.holds(exponentials.sum as i64), "sum {:#x}", exponentials.sum);
            let divisor = exponentials.divisor().expect("the row is not empty");
            for (j, &e) in exponentials.exponentials.iter().enumerate() {
                let increment = divisor.increment(e);
                probabilities[j] = u64::from(divisor.probability(e));
                increments[j] = match norms {
                    None => u64::from(increment),
                    Some(norms) => importance_accumulator::weighted(increment, norms[j]),
                };
            }
            observe(row, &increments[..visible]);
            let probabilities = &probabilities[..visible];
            sum.fill(0);
            let values = v.rows(pass.all).as_slice().expect("rows are contiguous");
            let kept_count = job.plan.value_count(visible);
            let refetched = result.refetched[row];
            let mut keep = |j: usize| {
                let mut p = probabilities[j] as u32 as i32;
                if !v.token_scale.is_empty() {
                    p = multiply_value::weight(p as u32, v.token_scale[j]);
                }
                multiply_value::fixed(p, &values[j * dim..(j + 1) * dim], &mut sum);
                result.value_needed[j] = true;
                result.value_lsb_needed[j] |= refetched;
            };
            if kept_count < visible {
                result.topk_calls += 1;
                let threshold =
                    radix_select::fixed(probabilities, kept_count, self.formats.probability.width(), |_| ());
                top_k::filter(probabilities, threshold, keep);
            } else {
                (0..visible).for_each(&mut keep);
            }
            result.macs += ((passes * visible + kept_count) * dim) as u64;
            for (o, &s) in output.iter_mut().zip(&sum) {
                debug_assert!(self.formats.value_sum.holds(i64::from(s)), "value sum {s}");
                let (value, saturated) = multiply_value::round(s, &self.formats.output);
                *o = value;
                result.saturations.output += u64::from(saturated);
            }
            result.head_increments[row] =
                importance_accumulator::head_increment(&output, layer.head_factor[job.kv_head]);
            for (d, &o) in output.iter().enumerate() {
                result.out[[row, d]] = f64::from(o) * output_step;
            }
        }
        result
    }

    fn add(&self, kind: ScoreKind, sum: u64, increment: u64) -> (u64, bool) {
        importance_accumulator::fixed(sum, increment, self.format(kind))
    }

    fn mean(&self, sum: u64, rows: u64) -> u64 {
        importance_accumulator::mean(sum, rows, &self.formats.token_mean).0
    }

    fn decay(&self, sum: u64, gamma: f64) -> u64 {
        importance_accumulator::decay(sum, importance_accumulator::decay_factor(gamma))
    }

    fn select(&self, kind: ScoreKind, scores: &[u64], pinned: &[bool], k: usize) -> Vec<usize> {
        // A pin is one more bit at the top of the score.
        let width = self.format(kind).width();
        let ranked: Vec<u64> = scores.iter().zip(pinned).map(|(&s, &pin)| u64::from(pin) << width | s).collect();
        top_k::fixed(&ranked, k, width + 1)
    }

    fn value(&self, kind: ScoreKind, score: u64, importance: Importance) -> f64 {
        match (kind, importance) {
            (ScoreKind::Head, _) => score as f64 * self.head_unit.unwrap_or(0.0),
            (ScoreKind::Token, Importance::Mean) => self.formats.token_mean.value(score as i64),
            (ScoreKind::Token, importance) => {
                let real = score as f64 * (-f64::from(INCREMENT_FRACTION)).exp2();
                if importance == Importance::ValueWeighted { real * self.norm_unit.unwrap_or(0.0) } else { real }
            }
        }
    }

    fn always_quantised(&self) -> bool {
        true
    }
}

impl Fixed {
    fn format(&self, kind: ScoreKind) -> &spatten_arch::format::Format {
        match kind {
            ScoreKind::Token => &self.formats.token_importance,
            ScoreKind::Head => &self.formats.head_importance,
        }
    }
}
