//! A recorded trace through the cascade: rows of pruned tokens are skipped.

use crate::attention::{Attention, LayerInput, LayerOutput};
use crate::cascade::{Backend, Cascade, LayerReport, Sequence};
use crate::quantiser::{Calibration, absmax_per_head};
use crate::trace::{Mode, Trace};
use ndarray::{Array3, Array4, ArrayView4, Axis};
use spatten_arch::Plan;

/// Who was alive when each layer of one pass started; `[layers + 1]`, the last entry is who is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Original positions of the tokens.
    pub survivors: Vec<Vec<usize>>,
    /// Heads.
    pub heads: Vec<Vec<usize>>,
}

/// Everything a run says.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// `[layers, heads, L0, D]`, 0 for pruned rows and heads.
    pub out: Array4<f64>,
    /// `[layers, heads, L0]`
    pub refetched: Array3<bool>,
    /// One pass; in generation one per step.
    pub passes: Vec<Pass>,
    /// `[layers][L1]`, cumulative after the layer; in generation of the last step.
    pub token_importance: Vec<Vec<f64>>,
    /// `[layers][heads]`, likewise.
    pub head_importance: Vec<Vec<f64>>,
    /// `[passes][layers]`
    pub reports: Vec<Vec<LayerReport>>,
}

fn gather(x: ArrayView4<'_, f32>, layer: usize, rows: &[usize]) -> Array3<f64> {
    x.index_axis(Axis(0), layer).select(Axis(1), rows).mapv(f64::from)
}

/// Absolute maxima of a trace over its real tokens, per layer and head.
///
/// # Shapes   see [`Calibration`]
pub fn calibrate(trace: &Trace) -> Calibration {
    let first_row = trace.keys() - trace.rows();
    let table = |x: &Array4<f32>, mask: &[bool]| {
        x.outer_iter().map(|layer| absmax_per_head(&layer.mapv(f64::from), mask)).collect::<Vec<_>>()
    };
    Calibration {
        q: table(&trace.q, &trace.mask[first_row..]),
        k: table(&trace.k, &trace.mask),
        v: table(&trace.v, &trace.mask),
    }
}

/// Runs a trace.
///
/// In generation the cache is written once and never quantised again, so scales are the trace's own maxima unless a
/// calibration is given.
///
/// # Panics   where the plan does not fit the trace; `Plan::check_for` says so beforehand
pub fn run<B: Backend>(trace: &Trace, plan: &Plan, backend: B, calibration: Option<Calibration>) -> RunResult {
    run_observed(trace, plan, backend, calibration, &mut || ())
}

/// The same; calls `layer_done` after each layer of each step.
pub fn run_observed<B: Backend>(
    trace: &Trace,
    plan: &Plan,
    backend: B,
    calibration: Option<Calibration>,
    layer_done: &mut dyn FnMut(),
) -> RunResult {
    let calibration = calibration_of(trace, calibration);
    run_on(trace, &mut Cascade::new(sequence_of(trace), plan, backend, calibration), layer_done)
}

/// The calibration that a run of a trace needs, if any: the given one, in generation that of the trace.
pub fn calibration_of(trace: &Trace, given: Option<Calibration>) -> Option<Calibration> {
    match (given, trace.mode) {
        (None, Mode::Decode) => Some(calibrate(trace)),
        (given, _) => given,
    }
}

/// The sequence of a trace.
pub fn sequence_of(trace: &Trace) -> Sequence {
    Sequence {
        layers: trace.layers(),
        heads: trace.heads(),
        kv_heads: trace.kv_heads(),
        head_dim: trace.head_dim(),
        rows: trace.rows(),
        mask: trace.mask.clone(),
        mode: trace.mode,
        scale: trace.scale,
    }
}

/// What a run asks of a device besides attention.
pub trait Sequential: Attention {
    /// Begins the next generation step.
    fn next_step(&mut self);
    /// Token scores as they are ranked, real values, `[L1]`.
    fn token_importance(&self) -> Vec<f64>;
    /// Head scores, real values, `[heads]`.
    fn head_importance(&self) -> Vec<f64>;
    /// One report per layer and step so far.
    fn reports(&self) -> &[LayerReport];
}

impl<B: Backend> Sequential for Cascade<B> {
    #[track_caller]
    fn next_step(&mut self) {
        Cascade::next_step(self);
    }

    fn token_importance(&self) -> Vec<f64> {
        Cascade::token_importance(self)
    }

    fn head_importance(&self) -> Vec<f64> {
        Cascade::head_importance(self)
    }

    fn reports(&self) -> &[LayerReport] {
        Cascade::reports(self)
    }
}

/// Runs a trace on a device that has begun the trace's sequence.
pub fn run_on(trace: &Trace, device: &mut dyn Sequential, layer_done: &mut dyn FnMut()) -> RunResult {
    let (layers, heads) = (trace.layers(), trace.heads());
    let steps = if trace.mode == Mode::Decode { trace.rows() } else { 1 };
    let first_row = trace.keys() - trace.rows();
    let mut result = RunResult {
        out: Array4::zeros(trace.q.raw_dim()),
        refetched: Array3::from_elem((layers, heads, trace.rows()), false),
        passes: vec![],
        token_importance: vec![vec![]; layers],
        head_importance: vec![vec![]; layers],
        reports: vec![],
    };
    for step in 0..steps {
        if step > 0 {
            device.next_step();
        }
        let mut pass = Pass::default();
        for layer in 0..layers {
            pass.survivors.push(device.survivors().to_vec());
            pass.heads.push(device.heads_alive().to_vec());
            let rows: Vec<usize> = device.queries().iter().map(|p| p - first_row).collect();
            let q = gather(trace.q.view(), layer, &rows);
            let k = gather(trace.k.view(), layer, device.survivors());
            let v = gather(trace.v.view(), layer, device.survivors());
            let LayerOutput { out, refetched } = device.layer(LayerInput { q: q.view(), k: k.view(), v: v.view() });
            for (i, &row) in rows.iter().enumerate() {
                result
                    .out
                    .index_axis_mut(Axis(0), layer)
                    .index_axis_mut(Axis(1), row)
                    .assign(&out.index_axis(Axis(1), i));
                for head in 0..heads {
                    result.refetched[[layer, head, row]] = refetched[[head, i]];
                }
            }
            result.token_importance[layer] = device.token_importance();
            result.head_importance[layer] = device.head_importance();
            layer_done();
        }
        pass.survivors.push(device.survivors().to_vec());
        pass.heads.push(device.heads_alive().to_vec());
        result.passes.push(pass);
    }
    result.reports = device.reports().chunks(layers).map(<[LayerReport]>::to_vec).collect();
    result
}
