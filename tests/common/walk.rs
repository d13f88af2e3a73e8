//! Random workloads on a card, layer by layer beside golden. A test that uses this has `case` (`golden/tests/cascade/case.rs`) at its root.

use crate::case::{Params, params};
use ndarray::{Array3, Array4, Axis};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use spatten::card::{CardDevice, CardSequence, DeviceError, UnfitError, check};
use spatten_arch::plan::{GenerationCascade, Importance, Scale, Split, Tensor, TokenMode};
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::attention::{Attention, LayerInput};
use spatten_golden::cascade::{Cascade, LayerReport};
use spatten_golden::fixed::Fixed;
use spatten_golden::quantiser::Calibration;
use spatten_golden::run;
use spatten_golden::trace::{Mode, Trace};
use spatten_sim::cosim::Coverage;
use spatten_testkit::Checks;

/// A case, on one of the configurations and with a head dimension of the chip's own more often than not.
pub fn cases(configs: usize) -> impl Strategy<Value = (usize, Params)> {
    (0..configs, params(), prop::sample::select(vec![0usize, 0, 16, 24, 32, 64, 128])).prop_map(
        |(config, params, dim)| {
            let dim = if dim == 0 { params.dim } else { dim };
            (config, Params { dim, ..params })
        },
    )
}

/// Runs `test` on random cases; a failure prints the smallest case that fails.
pub fn for_cases<T: std::fmt::Debug>(cases: u32, strategy: impl Strategy<Value = T>, test: impl Fn(&T)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&strategy, |case| {
        test(&case);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\nsmallest case that fails: {case:#?}"),
        Err(e) => panic!("{e}"),
    }
}

pub fn calibration(plan: &Plan, trace: &Trace) -> Option<Calibration> {
    let fixed_scale = matches!(plan.quant.as_ref().map(|q| &q.scale), Some(Scale::Static(_)));
    run::calibration_of(trace, fixed_scale.then(|| run::calibrate(trace)))
}

pub fn rows(x: &Array4<f32>, layer: usize, rows: &[usize]) -> Array3<f64> {
    x.index_axis(Axis(0), layer).select(Axis(1), rows).mapv(f64::from)
}

/// What a card counts differently: bytes.
pub fn decisions(report: &LayerReport) -> LayerReport {
    LayerReport { q_bytes: 0, k_msb_bytes: 0, k_lsb_bytes: 0, v_bytes: 0, write_bytes: 0, ..report.clone() }
}

/// A trace on its way through golden and a context of a card, layer by layer.
pub struct Walk {
    trace: Trace,
    mode: Mode,
    golden: Cascade<Fixed>,
    pub card: CardSequence,
    step: usize,
    layer: usize,
    about: String,
}

impl Walk {
    pub fn new(
        device: &mut dyn CardDevice,
        config: &ArchConfig,
        context: u16,
        trace: Trace,
        plan: &Plan,
    ) -> Result<Self, DeviceError> {
        let calibration = calibration(plan, &trace);
        let sequence = run::sequence_of(&trace);
        let golden = Cascade::new(sequence.clone(), plan, Fixed::new(config), calibration.clone());
        let card = CardSequence::begin(device, config, context, sequence, plan, calibration)?;
        let about = format!("{} context {context}", config.name);
        Ok(Self { mode: trace.mode, trace, golden, card, step: 0, layer: 0, about })
    }

    /// One layer; says whether it was the last.
    pub fn advance(&mut self, device: &mut dyn CardDevice, checks: &mut Checks, coverage: &mut Coverage) -> bool {
        if self.layer == self.trace.layers() {
            self.golden.next_step();
            self.card.next_step(device).unwrap();
            (self.step, self.layer) = (self.step + 1, 0);
        }
        let about = |what: &str| format!("{}: {what} of step {} layer {}", self.about, self.step, self.layer);
        let alive = |checks: &mut Checks, golden: &Cascade<Fixed>, card: &CardSequence| {
            checks.eq(card.survivors(), golden.survivors(), || about("survivors"));
            checks.eq(card.queries(), golden.queries(), || about("queries"));
            checks.eq(card.heads_alive(), golden.heads_alive(), || about("heads"));
        };
        alive(checks, &self.golden, &self.card);
        let (survivors, queries) = (self.golden.survivors().to_vec(), self.golden.queries().to_vec());
        let first_row = self.trace.keys() - self.trace.rows();
        let query_rows: Vec<usize> = queries.iter().map(|p| p - first_row).collect();
        let q = rows(&self.trace.q, self.layer, &query_rows);
        let k = rows(&self.trace.k, self.layer, &survivors);
        let v = rows(&self.trace.v, self.layer, &survivors);
        let input = LayerInput { q: q.view(), k: k.view(), v: v.view() };
        let expected = self.golden.layer(input);
        let got = self.card.layer(device, input).unwrap();
        checks.eq(got.out.dim(), expected.out.dim(), || about("shape of outputs"));
        let pairs = || got.out.indexed_iter().zip(&expected.out).map(|((at, x), y)| (at, x.to_bits(), y.to_bits()));
        let other = pairs().find(|(_, x, y)| x != y).map(|(at, x, y)| (at, f64::from_bits(x), f64::from_bits(y)));
        checks.eq(other, None, || about("[head, row, d], the card's output and golden's"));
        checks.eq(got.refetched, expected.refetched.clone(), || about("refetched rows"));
        alive(checks, &self.golden, &self.card);
        checks.eq(self.card.token_importance(), self.golden.token_importance(), || about("token importance"));
        checks.eq(self.card.head_importance(), self.golden.head_importance(), || about("head importance"));
        let report = self.golden.reports().last().unwrap();
        checks.eq(decisions(self.card.reports().last().unwrap()), decisions(report), || about("report"));

        let again = expected.refetched.iter().filter(|again| **again).count();
        let seen = self.card.shape().visible(&queries, &survivors);
        for (name, met) in [
            ("no query", queries.is_empty()),
            ("no key", survivors.is_empty()),
            ("no head", report.heads == 0),
            ("a row that sees no key", self.mode == Mode::Causal && seen.contains(&0)),
            ("rows computed again", again > 0),
            ("rows computed again and others", again > 0 && (again as u64) < report.rows),
            ("tokens pruned", self.golden.survivors().len() < survivors.len()),
            ("a query that is no key", queries.iter().any(|q| survivors.binary_search(q).is_err())),
            ("a count that is clamped", report.clamped_counts > 0),
            ("a norm that saturates", report.saturations.value_norm > 0),
            ("a logit that saturates", report.saturations.logit > 0),
            ("an importance that saturates", report.saturations.importance > 0),
            ("tokens that come back", self.layer == 0 && self.step > 0 && survivors.len() > 1),
        ] {
            coverage.add(name, met.into());
        }
        self.layer += 1;
        self.layer == self.trace.layers() && (self.mode != Mode::Decode || self.step + 1 == self.trace.rows())
    }

    pub fn run(&mut self, device: &mut dyn CardDevice, checks: &mut Checks, coverage: &mut Coverage) {
        while !self.advance(device, checks, coverage) {}
    }
}

pub fn cover(params: &Params, trace: &Trace, coverage: &mut Coverage) {
    let quant = params.quant.as_ref();
    let split = |tensor| quant.is_some_and(|q| q.splits(tensor));
    let scale = |scale: Scale| quant.is_some_and(|q| q.scale == scale);
    let how = |how: Split| quant.is_some_and(|q| q.progressive && q.split == how);
    let decode = params.mode == Mode::Decode;
    let pin = params.pin.as_ref();
    for (name, met) in [
        ("encoder", params.mode == Mode::Encoder),
        ("causal", params.mode == Mode::Causal),
        ("decode", decode),
        ("decode without a prompt", decode && params.rows == params.keys),
        ("padding", trace.mask.contains(&false)),
        ("a step of padding", decode && trace.mask[params.keys - params.rows..].contains(&false)),
        ("heads that share keys", params.group > 1),
        ("a short head", ![16, 32, 64, 128].contains(&params.dim)),
        ("D 16", params.dim == 16),
        ("D 128", params.dim == 128),
        ("value-weighted", params.importance == Importance::ValueWeighted),
        ("mean", params.importance == Importance::Mean),
        ("decay over steps", decode && params.rows > 1 && matches!(params.importance, Importance::Decay(_))),
        ("pins by rank", pin.is_some_and(|p| p.first + p.last > 0)),
        ("pins by map", pin.is_some_and(|p| p.positions.iter().any(|&p| p < params.keys))),
        ("the current token pinned", pin.is_none() && decode),
        ("kv_only", params.token_mode == TokenMode::KvOnly && !decode),
        ("heads by mask", params.head_mask.is_some()),
        ("a list of token counts", params.token_keep.is_some()),
        ("a list of head counts", params.head_keep.is_some()),
        ("values pruned", params.values < 100),
        ("no value kept", params.values == 0),
        ("K split", split(Tensor::K)),
        ("Q split", split(Tensor::Q)),
        ("V split", split(Tensor::V)),
        ("floor", how(Split::Floor)),
        ("mid", how(Split::Mid)),
        ("balanced", how(Split::Balanced)),
        ("a scale per token", scale(Scale::Token)),
        ("a scale per token in steps", scale(Scale::Token) && decode && params.rows > 1),
        ("a scale per layer", scale(Scale::Layer)),
        ("a static scale", scale(Scale::Static("given".into()))),
        ("evict", params.cascade == GenerationCascade::Evict && decode && params.rows > 1),
        ("reselect", params.cascade == GenerationCascade::Reselect && decode && params.rows > 1),
    ] {
        coverage.add(name, met.into());
    }
}

/// What random cases have to have met.
pub const MET: [&str; 45] = [
    "encoder",
    "causal",
    "decode",
    "decode without a prompt",
    "padding",
    "a step of padding",
    "heads that share keys",
    "a short head",
    "D 16",
    "D 128",
    "value-weighted",
    "mean",
    "decay over steps",
    "pins by rank",
    "pins by map",
    "the current token pinned",
    "kv_only",
    "heads by mask",
    "a list of token counts",
    "a list of head counts",
    "values pruned",
    "no value kept",
    "K split",
    "Q split",
    "V split",
    "floor",
    "mid",
    "balanced",
    "a scale per token",
    "a scale per token in steps",
    "a scale per layer",
    "a static scale",
    "evict",
    "reselect",
    "no query",
    "no key",
    "no head",
    "a row that sees no key",
    "rows computed again",
    "rows computed again and others",
    "tokens pruned",
    "a query that is no key",
    "a count that is clamped",
    "tokens that come back",
    "a plan that no card has a form for",
];

/// The case as a trace and a plan that a card takes.
pub fn work(params: &Params, coverage: &mut Coverage) -> (Trace, Plan) {
    let plan = params.plan();
    if let Err(e) = check(&plan, params.keys, params.dim) {
        assert_eq!(e, UnfitError::Padding { dim: params.dim });
        coverage.hit("a plan that no card has a form for");
        return work(&Params { dim: 32, ..params.clone() }, coverage);
    }
    let trace = params.trace();
    cover(params, &trace, coverage);
    (trace, plan)
}
