//! The paper's mathematics in f64.
//!
//! With `[quant]` in the plan the inputs are quantised first and a score is the exact integer dot product times one
//! factor, so that equal integers give exact ties; everything after that is f64.

use crate::attention::LayerInput;
use crate::cascade::{Backend, HeadJob, HeadResult, LayerContext, ScoreKind};
use crate::quantiser::{Quantised, Quantiser, Step};
use crate::{dot_product, importance_accumulator, multiply_value, requant_decision, softmax, top_k};
use ndarray::{Array2, Array3, Axis};
use spatten_arch::plan::{Importance, Tensor};

/// The f64 backend.
#[derive(Debug, Clone, Default)]
pub struct Reference;

/// One layer's tensors.
#[derive(Debug)]
pub struct ReferenceLayer {
    inputs: Inputs,
    /// `[kv_heads, survivors, D]`, what a row that reads everything multiplies with.
    v: Array3<f64>,
    /// `[kv_heads, survivors, D]`, what a row without LSBs multiplies with; absent where it is the same.
    v_first: Option<Array3<f64>>,
    scale: f64,
    weighted: bool,
}

#[derive(Debug)]
enum Inputs {
    Real { q: Array3<f64>, k: Array3<f64> },
    Integer { q: Vec<Quantised>, k: Vec<Quantised> },
}

fn real(q: &[Quantised], pick: impl Fn(&Quantised) -> &Array2<i16>) -> Array3<f64> {
    let (rows, dim) = q[0].full.dim();
    Array3::from_shape_fn((q.len(), rows, dim), |(h, i, d)| f64::from(pick(&q[h])[[i, d]]) * q[h].step.of(i))
}

/// Per-key factor of an integer dot product; computed as (step of q * step of k) * scale.
fn factors(q: &Step, row: usize, k: &Step, scale: f64, visible: usize) -> Vec<f64> {
    (0..visible).map(|j| q.of(row) * k.of(j) * scale).collect()
}

fn integer_scores(q: &[i16], k: &Array2<i16>, factors: &[f64]) -> Vec<f64> {
    let rows = k.as_slice().expect("rows are contiguous").chunks_exact(q.len());
    rows.zip(factors).map(|(k, f)| dot_product::integer(q, k) as f64 * f).collect()
}

impl Backend for Reference {
    type Score = f64;
    type Layer = ReferenceLayer;

    fn load(
        &mut self,
        input: &LayerInput<'_>,
        quantiser: Option<&Quantiser>,
        layer: &LayerContext<'_>,
    ) -> (ReferenceLayer, u64) {
        let weighted = layer.importance == Importance::ValueWeighted;
        let result = match quantiser {
            None => ReferenceLayer {
                inputs: Inputs::Real {
                    q: input.q.as_standard_layout().into_owned(),
                    k: input.k.as_standard_layout().into_owned(),
                },
                v: input.v.as_standard_layout().into_owned(),
                v_first: None,
                scale: layer.scale,
                weighted,
            },
            Some(quantiser) => {
                let q = quantiser.tensor(Tensor::Q, input.q, layer.used, layer.absmax[0]);
                let k = quantiser.tensor(Tensor::K, input.k, layer.used_kv, layer.absmax[1]);
                let v = quantiser.tensor(Tensor::V, input.v, layer.used_kv, layer.absmax[2]);
                let v_first = v[0].first.is_some().then(|| real(&v, Quantised::first));
                ReferenceLayer {
                    v: real(&v, |h| &h.full),
                    v_first,
                    inputs: Inputs::Integer { q, k },
                    scale: layer.scale,
                    weighted,
                }
            }
        };
        (result, 0)
    }

    fn head(
        &self,
        layer: &ReferenceLayer,
        job: &HeadJob<'_>,
        observe: &mut dyn FnMut(usize, &[f64]),
    ) -> HeadResult<f64> {
        let v = layer.v.index_axis(Axis(0), job.kv_head);
        let v_first = layer.v_first.as_ref().map(|v| v.index_axis(Axis(0), job.kv_head));
        let (keys, dim) = v.dim();
        let rows = job.visible.len();
        let quant = job.plan.quant.as_ref().filter(|q| q.progressive);
        let mut result = HeadResult::new(rows, keys, dim);
        let norms: Option<Vec<f64>> =
            layer.weighted.then(|| v.outer_iter().map(|r| r.iter().map(|x| x.abs()).sum()).collect());
        let mut sum = vec![0.0; dim];
        for (row, &visible) in job.visible.iter().enumerate() {
            if visible == 0 {
                continue;
            }
            let mut again = false;
            let mut passes = 1;
            let p = match &layer.inputs {
                Inputs::Real { q, k } => {
                    let q = q.index_axis(Axis(0), job.head);
                    let k = k.index_axis(Axis(0), job.kv_head);
                    let q = q.row(row);
                    let scores: Vec<f64> =
                        (0..visible).map(|j| dot_product::reference(q, k.row(j), layer.scale)).collect();
                    softmax::reference(&scores)
                }
                Inputs::Integer { q, k } => {
                    let (q, k) = (&q[job.head], &k[job.kv_head]);
                    let factors = factors(&q.step, row, &k.step, layer.scale, visible);
                    let scores = |q: &Array2<i16>, k: &Array2<i16>| {
                        integer_scores(q.row(row).to_slice().expect("rows are contiguous"), k, &factors)
                    };
                    let mut p = softmax::reference(&scores(q.first(), k.first()));
                    if let Some(quant) = quant
                        && requant_decision::reference(&p, quant.threshold)
                    {
                        again = true;
                        passes = 2;
                        p = softmax::reference(&scores(&q.full, &k.full));
                    }
                    p
                }
            };
            result.refetched[row] = again;
            match &norms {
                None => observe(row, &p),
                Some(norms) => {
                    let weighted: Vec<f64> = p.iter().zip(norms).map(|(p, n)| p * n).collect();
                    observe(row, &weighted);
                }
            }
            let kept_count = job.plan.value_count(visible);
            let kept = if kept_count < visible {
                result.topk_calls += 1;
                top_k::reference(&p, kept_count)
            } else {
                (0..visible).collect()
            };
            let values = match v_first {
                Some(first) if !again => first,
                _ => v,
            };
            sum.fill(0.0);
            for &j in &kept {
                multiply_value::reference(p[j], values.row(j).to_slice().expect("rows are contiguous"), &mut sum);
                result.value_needed[j] = true;
                result.value_lsb_needed[j] |= again;
            }
            result.macs += ((passes * visible + kept.len()) * dim) as u64;
            result.head_increments[row] = sum.iter().map(|x| x.abs()).sum();
            result.out.row_mut(row).assign(&ndarray::aview1(&sum));
        }
        result
    }

    fn add(&self, _: ScoreKind, sum: f64, increment: f64) -> (f64, bool) {
        (importance_accumulator::reference(sum, increment), false)
    }

    fn mean(&self, sum: f64, rows: u64) -> f64 {
        if rows == 0 { 0.0 } else { sum / rows as f64 }
    }

    fn decay(&self, sum: f64, gamma: f64) -> f64 {
        sum * gamma
    }

    fn select(&self, _: ScoreKind, scores: &[f64], pinned: &[bool], k: usize) -> Vec<usize> {
        let ranked: Vec<f64> =
            scores.iter().zip(pinned).map(|(&s, &pin)| if pin { f64::INFINITY } else { s }).collect();
        top_k::reference(&ranked, k)
    }

    fn value(&self, _: ScoreKind, score: f64, _: Importance) -> f64 {
        score
    }

    fn always_quantised(&self) -> bool {
        false
    }
}
