//! The whole cascade on random small traces, on both backends.
//!
//! ```text
//! random trace + plan --> reference --> invariants, naive re-implementation, dense softmax
//!                     \-> fixed ------> invariants, reference on the same quantised inputs
//! ```

#[path = "cascade/case.rs"]
mod case;
#[path = "cascade/naive.rs"]
mod naive;

use case::Params;
use ndarray::{Array4, s};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use spatten_arch::plan::{GenerationCascade, QuantPlan, Scale, TokenMode};
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::fixed::Fixed;
use spatten_golden::quantiser::Calibration;
use spatten_golden::reference::Reference;
use spatten_golden::run::{self, RunResult};
use spatten_golden::softmax;
use spatten_golden::trace::{Mode, Trace};
use spatten_testkit::{Checks, Rng};
use std::cell::RefCell;

/// f64 sums in another order.
const F64_NOISE: f64 = 1e-9;
/// A dense softmax differs by the order of one sum only.
const DENSE_NOISE: f64 = 1e-12;

/// Runs `test` on random cases; a failure prints the smallest case that fails.
fn for_cases(cases: u32, strategy: impl Strategy<Value = Params>, test: impl Fn(&Params)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&strategy, |params| {
        test(&params);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, params)) => panic!("{reason}\nsmallest case that fails: {params:#?}"),
        Err(e) => panic!("{e}"),
    }
}

fn calibration(plan: &Plan, trace: &Trace) -> Option<Calibration> {
    let fixed_scale = matches!(plan.quant.as_ref().map(|q| &q.scale), Some(Scale::Static(_)));
    fixed_scale.then(|| run::calibrate(trace))
}

fn reference(trace: &Trace, plan: &Plan) -> RunResult {
    run::run(trace, plan, Reference, calibration(plan, trace))
}

fn fixed(trace: &Trace, plan: &Plan) -> RunResult {
    run::run(trace, plan, Fixed::new(&ArchConfig::paper()), calibration(plan, trace))
}

// ---- invariants

fn check_invariants(checks: &mut Checks, params: &Params, trace: &Trace, r: &RunResult, backend: &str) {
    let (layers, heads, rows, keys) = (params.layers, params.head_count(), params.rows, params.keys);
    let decode = params.mode == Mode::Decode;
    let past = keys - rows;
    let at = |what: String| format!("{backend}: {what}");
    checks.eq(r.passes.len(), if decode { rows } else { 1 }, || at("passes".into()));
    let mut evicted = vec![false; keys];
    for (n, pass) in r.passes.iter().enumerate() {
        let real = params.real(trace, n);
        checks.eq((pass.survivors.len(), pass.heads.len()), (layers + 1, layers + 1), || at(format!("pass {n}")));
        let start = &pass.survivors[0];
        if decode && params.cascade == GenerationCascade::Evict {
            checks.that(start.iter().all(|&p| !evicted[p] && real.contains(&p)), || at(format!("came back in {n}")));
            let missing = real.iter().filter(|p| !start.contains(p) && !evicted[**p]).count();
            checks.eq(missing, 0, || at(format!("lost without eviction before {n}")));
        } else {
            checks.eq(start, &real, || at(format!("start of pass {n}")));
        }
        for layer in 0..=layers {
            let (now, alive) = (&pass.survivors[layer], &pass.heads[layer]);
            let at = |what: &str| at(format!("pass {n} layer {layer}: {what}"));
            checks.that(now.is_sorted_by(|a, b| a < b) && alive.is_sorted_by(|a, b| a < b), || at("ascending"));
            checks.that(now.iter().all(|&p| trace.mask[p]), || at("padding survives"));
            if layer == 0 {
                let expected: Vec<usize> = (0..heads).filter(|&h| params.masked_head(0, h)).collect();
                checks.eq(alive, &expected, || at("heads"));
                continue;
            }
            let (before, heads_before) = (&pass.survivors[layer - 1], &pass.heads[layer - 1]);
            checks.that(now.iter().all(|p| before.contains(p)), || at("survivors grow"));
            if layer == layers {
                checks.eq((now, alive), (before, heads_before), || at("pruned after the last layer"));
                continue;
            }
            let pinned = before.iter().filter(|&&p| params.pinned(trace, n, p)).count();
            checks.eq(now.iter().filter(|&&p| params.pinned(trace, n, p)).count(), pinned, || at("pins"));
            let k = params.tokens.count(params.token_keep.as_deref(), layer, layers, real.len());
            checks.eq(now.len(), k.min(before.len()).max(pinned), || at("tokens kept"));
            if params.head_mask.is_some() {
                let expected: Vec<usize> = (0..heads).filter(|&h| params.masked_head(layer, h)).collect();
                checks.eq(alive, &expected, || at("masked heads"));
            } else {
                checks.that(alive.iter().all(|h| heads_before.contains(h)), || at("heads grow"));
                let k = params.heads.count(params.head_keep.as_deref(), layer, layers, heads);
                checks.eq(alive.len(), k.min(heads_before.len()), || at("heads kept"));
            }
        }
        for &p in &real {
            evicted[p] |= !pass.survivors[layers].contains(&p);
        }
    }
    for ((layer, head, row), &again) in r.refetched.indexed_iter() {
        let pass = &r.passes[if decode { row } else { 0 }];
        let token = past + row;
        let query = trace.mask[token]
            && (decode || params.token_mode == TokenMode::KvOnly || pass.survivors[layer].contains(&token));
        let out = r.out.slice(s![layer, head, row, ..]);
        checks.that(out.iter().all(|x| x.is_finite()), || at("a number that is not finite".into()));
        if !query || !pass.heads[layer].contains(&head) {
            checks.that(!again && out.iter().all(|&x| x.to_bits() == 0), || {
                at(format!("layer {layer} head {head} row {row} is pruned and has {out}, refetched {again}"))
            });
        }
    }
    let last = r.passes.last().unwrap();
    for layer in 1..layers {
        for p in (0..keys).filter(|p| !last.survivors[layer].contains(p)) {
            let got = r.token_importance[layer][p];
            checks.eq(got, r.token_importance[layer - 1][p], || at(format!("importance of pruned token {p}")));
        }
        for h in (0..heads).filter(|h| !last.heads[layer].contains(h)) {
            let got = r.head_importance[layer][h];
            checks.eq(got, r.head_importance[layer - 1][h], || at(format!("importance of pruned head {h}")));
        }
    }
}

/// Runs in which something happened that the promises are about.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    evicted: u32,
    came_back: u32,
    pruned_queries: u32,
    pruned_heads: u32,
    refetched: u32,
    nothing_left: u32,
    all_padding: u32,
}

impl Seen {
    fn note(&mut self, params: &Params, trace: &Trace, r: &RunResult) {
        let layers = params.layers;
        let steps_lose =
            r.passes[..r.passes.len() - 1].iter().any(|p| p.survivors[layers].len() < p.survivors[0].len());
        let evict = params.cascade == GenerationCascade::Evict;
        let first = &r.passes[0];
        let padded = trace.mask.iter().all(|m| !m);
        self.evicted += u32::from(steps_lose && evict);
        self.came_back += u32::from(steps_lose && !evict);
        self.pruned_queries += u32::from(
            params.mode != Mode::Decode
                && params.token_mode == TokenMode::Full
                && first.survivors[layers].len() < first.survivors[0].len(),
        );
        self.pruned_heads += u32::from(params.head_mask.is_none() && first.heads[layers].len() < first.heads[0].len());
        self.refetched += u32::from(r.refetched.iter().any(|&again| again));
        self.nothing_left += u32::from(!padded && first.survivors[layers].is_empty());
        self.all_padding += u32::from(padded);
    }
}

#[test]
fn cascades_keep_their_promises_on_both_backends() {
    let checks = RefCell::new(Checks::new("cascade_invariants"));
    let seen = RefCell::new(Seen::default());
    for_cases(600, case::params(), |params| {
        let (trace, plan) = (params.trace(), params.plan());
        for (backend, result) in [("reference", reference(&trace, &plan)), ("fixed", fixed(&trace, &plan))] {
            check_invariants(&mut checks.borrow_mut(), params, &trace, &result, backend);
            seen.borrow_mut().note(params, &trace, &result);
        }
    });
    let seen = seen.into_inner();
    println!("cascade_invariants: {seen:?}");
    let Seen { evicted, came_back, pruned_queries, pruned_heads, refetched, nothing_left, all_padding } = seen;
    for count in [evicted, came_back, pruned_queries, pruned_heads, refetched, nothing_left, all_padding] {
        assert!(count > 0, "a kind of run never happened: {seen:?}");
    }
    checks.into_inner().finish_any();
}

/// Another future: everything after token `last` is drawn again.
fn with_another_future(trace: &Trace, last: usize, seed: u64) -> Trace {
    let mut changed = trace.clone();
    let mut rng = Rng::new(seed);
    let past = trace.keys() - trace.rows();
    let mut redraw = |x: &mut Array4<f32>, from: usize| {
        x.slice_mut(s![.., .., from.., ..]).mapv_inplace(|_| (rng.normal() * 3.0) as f32);
    };
    redraw(&mut changed.k, last + 1);
    redraw(&mut changed.v, last + 1);
    redraw(&mut changed.q, last + 1 - past);
    changed
}

/// Scales are fixed beforehand here: a scale taken from the data is the one thing that looks ahead.
#[test]
fn no_row_depends_on_later_tokens() {
    let checks = RefCell::new(Checks::new("cascade_causality"));
    let rows_of = |r: &RunResult, rows: usize| r.out.slice(s![.., .., ..rows, ..]).mapv(f64::to_bits);
    for_cases(400, case::params(), |params| {
        let mut params = params.clone();
        if params.mode == Mode::Encoder {
            params.mode = Mode::Causal;
        }
        if params.mode == Mode::Causal {
            // Later rows vote on who is pruned, and the largest of the scales per token is that of all tokens.
            let (values, head_mask) = (params.values, params.head_mask);
            params = Params { values, head_mask, ..params.dense() };
            if let Some(quant) = params.quant.as_mut().filter(|q| q.scale == Scale::Token) {
                quant.scale = Scale::Head;
            }
        }
        let (trace, plan) = (params.trace(), params.plan());
        let past = params.keys - params.rows;
        let row = params.seed as usize % params.rows;
        let other = with_another_future(&trace, past + row, params.seed ^ 1);
        let table = Some(run::calibrate(&trace));
        let runs = [
            [&trace, &other].map(|t| run::run(t, &plan, Reference, table.clone())),
            [&trace, &other].map(|t| run::run(t, &plan, Fixed::new(&ArchConfig::paper()), table.clone())),
        ];
        for [a, b] in runs {
            let mut checks = checks.borrow_mut();
            checks.eq(rows_of(&a, row + 1), rows_of(&b, row + 1), || format!("rows up to {row}"));
            checks.eq(
                a.refetched.slice(s![.., .., ..=row]).to_owned(),
                b.refetched.slice(s![.., .., ..=row]).to_owned(),
                || format!("refetched rows up to {row}"),
            );
            if params.mode == Mode::Decode {
                checks.eq(&a.passes[..=row], &b.passes[..=row], || format!("steps up to {row}"));
            }
        }
    });
    checks.into_inner().finish_any();
}

// ---- values

#[test]
fn an_empty_plan_is_a_dense_softmax() {
    let checks = RefCell::new(Checks::new("cascade_dense"));
    for_cases(200, case::params(), |params| {
        let trace = params.trace();
        let result = run::run(&trace, &Plan::default(), Reference, None);
        let past = params.keys - params.rows;
        for ((layer, head, row, d), &got) in result.out.indexed_iter() {
            let query = past + row;
            let kv = head / params.group;
            let sees = |p: usize| trace.mask[query] && trace.mask[p] && (params.mode == Mode::Encoder || p <= query);
            let (mut total, mut weighted) = (0.0, 0.0);
            for p in (0..params.keys).filter(|&p| sees(p)) {
                let k = trace.k.slice(s![layer, kv, p, ..]);
                let q = trace.q.slice(s![layer, head, row, ..]);
                let dot: f64 = q.iter().zip(&k).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                // Scores of these traces stay far from where exp overflows.
                let e = (dot * trace.scale).exp();
                total += e;
                weighted += e * f64::from(trace.v[[layer, kv, p, d]]);
            }
            let expected = if total == 0.0 { 0.0 } else { weighted / total };
            checks.borrow_mut().near(got, expected, DENSE_NOISE, || format!("{layer} {head} {row} {d}"));
        }
    });
    checks.into_inner().finish_any();
}

#[test]
fn reference_equals_a_naive_cascade() {
    let checks = RefCell::new(Checks::new("cascade_against_naive"));
    let (run_cases, close_calls) = (RefCell::new(0), RefCell::new(0));
    for_cases(1000, case::params(), |params| {
        let params = Params { quant: None, ..params.clone() };
        let (trace, plan) = (params.trace(), params.plan());
        let naive = naive::run(&params, &trace);
        *run_cases.borrow_mut() += 1;
        if naive.margin < F64_NOISE {
            *close_calls.borrow_mut() += 1;
            return;
        }
        let r = reference(&trace, &plan);
        let mut checks = checks.borrow_mut();
        for (n, pass) in r.passes.iter().enumerate() {
            checks.eq(&pass.survivors, &naive.survivors[n], || format!("survivors of pass {n}"));
            checks.eq(&pass.heads, &naive.heads[n], || format!("heads of pass {n}"));
        }
        checks.eq(r.passes.len(), naive.survivors.len(), || "passes".into());
        for ((l, h, i, d), &got) in r.out.indexed_iter() {
            checks.near(got, naive.out[l][h][i][d], F64_NOISE, || format!("out {l} {h} {i} {d}"));
        }
        for layer in 0..params.layers {
            for p in 0..params.keys {
                let expected = naive.token_importance[layer][p];
                checks.near(r.token_importance[layer][p], expected, F64_NOISE * expected.max(1.0), || {
                    format!("importance of token {p} after layer {layer}")
                });
            }
            for h in 0..params.head_count() {
                let expected = naive.head_importance[layer][h];
                checks.near(r.head_importance[layer][h], expected, F64_NOISE * expected.max(1.0), || {
                    format!("importance of head {h} after layer {layer}")
                });
            }
        }
    });
    let (run_cases, close_calls) = (run_cases.into_inner(), close_calls.into_inner());
    println!("naive cascade: {close_calls} of {run_cases} cases had a decision closer than {F64_NOISE:e}");
    assert!(close_calls * 5 < run_cases, "{close_calls} of {run_cases} cases were too close to call");
    checks.into_inner().finish_any();
}

/// Largest integer of V as the semantics page has it, on an operand of 12 bits.
fn largest_operand(quant: &QuantPlan) -> f64 {
    let splits = quant.progressive && quant.msb_first.contains(&spatten_arch::plan::Tensor::V);
    let (bits, room) = match (splits, quant.split) {
        (true, spatten_arch::plan::Split::Balanced) => (quant.msb + quant.lsb, 1 << (quant.lsb - 1)),
        (true, _) => (quant.msb + quant.lsb, 0),
        (false, _) => (quant.bits.v, 0),
    };
    f64::from(((1 << (bits - 1)) - 1 - room) << (12 - bits))
}

/// Per output: `sum_j 2^-11 |v_j|` (the documented error of a probability; `|v_j|` at most the largest V, to which a
/// value read from its MSBs may add one cell) and one output step. With a scale per token, a probability is rounded once
/// more after it took in the scale of its value row (2^-13 + 2^-18).
fn output_tolerance(trace: &Trace, plan: &Plan, keys: usize) -> f64 {
    let quant = plan.quant.clone().unwrap_or_default();
    let largest_v = trace.v.iter().fold(0f64, |m, &v| m.max(f64::from(v.abs())));
    let largest = largest_operand(&quant);
    if largest <= 0.0 {
        return 0.0;
    }
    let unit = largest_v / largest;
    let cell = if quant.progressive { unit * f64::from(1u32 << (12 - quant.msb)) } else { 0.0 };
    let per_key =
        softmax::ERROR_BOUND + if quant.scale == Scale::Token { (-13f64).exp2() + (-18f64).exp2() } else { 0.0 };
    // An output has 4 fraction bits below an operand's unit on the 12-bit datapath.
    keys as f64 * per_key * (largest_v + cell) + unit / 16.0
}

#[test]
fn fixed_stays_near_reference_on_the_same_inputs() {
    let checks = RefCell::new(Checks::new("cascade_fixed_against_reference"));
    let (all, agreed, worst) = (RefCell::new(0), RefCell::new(0), RefCell::new(0f64));
    for_cases(600, case::params(), |params| {
        // Which of two probabilities that are equal in 12 bits is kept locally is not part of the comparison.
        let quant = Some(params.quant.clone().unwrap_or_default());
        let params = Params { values: 100, quant, ..params.clone() };
        let (trace, plan) = (params.trace(), params.plan());
        let (exact, got) = (reference(&trace, &plan), fixed(&trace, &plan));
        *all.borrow_mut() += 1;
        if exact.passes != got.passes || exact.refetched != got.refetched {
            return;
        }
        *agreed.borrow_mut() += 1;
        let decode = params.mode == Mode::Decode;
        for ((layer, head, row, d), &e) in exact.out.indexed_iter() {
            let pass = &exact.passes[if decode { row } else { 0 }];
            let tolerance = output_tolerance(&trace, &plan, pass.survivors[layer].len());
            let g = got.out[[layer, head, row, d]];
            if tolerance > 0.0 {
                let mut worst = worst.borrow_mut();
                *worst = worst.max((g - e).abs() / tolerance);
            }
            checks.borrow_mut().near(g, e, tolerance, || format!("out {layer} {head} {row} {d}"));
        }
    });
    let (all, agreed) = (all.into_inner(), agreed.into_inner());
    println!("fixed: decisions agreed in {agreed} of {all} cases, worst error {:.3} of its bound", worst.into_inner());
    assert!(agreed * 2 > all, "{agreed} of {all} cases were compared");
    checks.into_inner().finish_any();
}

// ---- defined answers at the edges

fn both(trace: &Trace, plan: &str) -> [RunResult; 2] {
    let plan = Plan::from_toml(plan, "edge").unwrap();
    plan.check_for("edge", trace.layers(), trace.heads(), 12).unwrap();
    [reference(trace, &plan), fixed(trace, &plan)]
}

fn random(shape: (usize, usize, usize, usize), seed: u64) -> Array4<f32> {
    let mut rng = Rng::new(seed);
    Array4::from_shape_fn(shape, |_| rng.normal() as f32)
}

fn encoder(layers: usize, tokens: usize, mask: Option<Vec<bool>>) -> Trace {
    let x = |seed| random((layers, 2, tokens, 16), seed);
    Trace::new(x(1), x(2), x(3), mask, Mode::Encoder, None).unwrap()
}

fn total<T: std::iter::Sum>(r: &RunResult, pick: impl Fn(&spatten_golden::cascade::LayerReport) -> T) -> T {
    r.reports.iter().flatten().map(pick).sum()
}

#[test]
fn without_tokens_nothing_is_accumulated() {
    let mut checks = Checks::new("edge_no_tokens");
    let padding = Some(vec![false; 6]);
    for r in both(&encoder(3, 6, padding.clone()), "[tokens]\nr_start = 0.5\nr_end = 0.5\n[values]\nkeep = 0.5") {
        checks.that(r.out.iter().all(|&x| x == 0.0), || "out".into());
        checks.that(r.token_importance.iter().flatten().all(|&x| x == 0.0), || "token importance".into());
        checks.that(r.head_importance.iter().flatten().all(|&x| x == 0.0), || "head importance".into());
        checks.that(r.passes[0].survivors.iter().all(Vec::is_empty), || "survivors".into());
        checks.eq(total(&r, |l| l.read_bytes() + l.ops + l.rows), 0, || "traffic".into());
    }
    let x = |rows, seed| random((2, 2, rows, 16), seed);
    for mode in [Mode::Causal, Mode::Decode] {
        let trace = Trace::new(x(3, 1), x(6, 2), x(6, 3), padding.clone(), mode, None).unwrap();
        for r in both(&trace, "") {
            checks.that(r.out.iter().all(|&x| x == 0.0), || mode.name().into());
            checks.that(r.token_importance.iter().flatten().all(|&x| x == 0.0), || mode.name().into());
            checks.eq(total(&r, |l| l.read_bytes() + l.write_bytes), 0, || mode.name().into());
        }
    }
    checks.finish(2 * 5 + 2 * 2 * 3);
}

#[test]
fn a_count_of_zero_leaves_nothing_for_later_layers() {
    let mut checks = Checks::new("edge_keep_none");
    for r in both(&encoder(4, 5, None), "[tokens]\nkeep = [0, 0, 3]") {
        checks.that(r.out.index_axis(ndarray::Axis(0), 0).iter().any(|&x| x != 0.0), || "layer 0 computes".into());
        for layer in 1..4 {
            checks.that(r.out.index_axis(ndarray::Axis(0), layer).iter().all(|&x| x == 0.0), || format!("{layer}"));
            checks.eq(&r.passes[0].survivors[layer], &vec![], || format!("{layer}"));
            checks.eq(&r.token_importance[layer], &r.token_importance[0], || format!("{layer}"));
            checks.eq(&r.head_importance[layer], &r.head_importance[0], || format!("{layer}"));
            checks.eq(r.reports[0][layer].read_bytes(), 0, || format!("bytes of {layer}"));
        }
        // 3 of 0 cannot be kept.
        checks.eq(total(&r, |l| l.clamped_counts), 1, || "clamped".into());
    }
    for r in both(&encoder(3, 5, None), "[heads]\nkeep = [0, 2]") {
        checks.that(r.out.slice(s![1.., .., .., ..]).iter().all(|&x| x == 0.0), || "no heads".into());
        checks.eq(r.passes[0].heads[2].len(), 0, || "heads stay out".into());
    }
    checks.finish(2 * (1 + 3 * 5 + 1) + 2 * 2);
}

#[test]
fn a_single_token_gets_all_of_the_probability() {
    let mut checks = Checks::new("edge_one_token");
    let mut mask = vec![false; 4];
    mask[2] = true;
    let trace = encoder(2, 4, Some(mask));
    for (r, tolerance) in
        both(&trace, "[values]\nkeep = 0.1\n[quant]\nprogressive = true\nthreshold = 1.0").into_iter().zip([0.0, 0.0])
    {
        checks.that(!r.refetched.iter().any(|&x| x), || "p = 1 is not below 1".into());
        for layer in 0..2 {
            for head in 0..2 {
                // The row is the value itself, quantised over itself: half a step and half an output step.
                let v = trace.v.slice(s![layer, head, 2, ..]);
                let step = v.iter().fold(0f64, |m, &x| m.max(f64::from(x.abs()))) / 2039.0;
                for (d, &x) in v.iter().enumerate() {
                    let got = r.out[[layer, head, 2, d]];
                    checks.near(got, f64::from(x), step * 0.54, || format!("{layer} {head} {d}"));
                }
            }
            checks.near(r.token_importance[layer][2], 2.0 * (layer + 1) as f64, tolerance, || "importance".into());
        }
    }
    checks.finish(2 * (1 + 2 * (2 * 16 + 1)));
}

#[test]
fn equal_scores_share_the_probability_and_ties_go_by_index() {
    let mut checks = Checks::new("edge_equal_scores");
    let zeros = Array4::<f32>::zeros((2, 2, 3, 16));
    let trace = Trace::new(zeros.clone(), zeros.clone(), random((2, 2, 3, 16), 5), None, Mode::Encoder, None).unwrap();
    let plan = "[tokens]\nkeep = [2]\n[values]\nkeep = 0.5";
    // The fixed model: p = 1365 / 4096; its importance within the documented error of six rows.
    let importance_error = spatten_golden::fixed::token_importance_error(6, 2.0);
    let cases = [(1.0 / 3.0, 1e-15, 0.0), (1365.0 / 4096.0, importance_error, 1.0)];
    for (r, (third, importance_error, step)) in both(&trace, plan).into_iter().zip(cases) {
        checks.eq(&r.passes[0].survivors[1], &vec![0, 1], || "ties".into());
        let scores = &r.token_importance[0];
        for &score in scores {
            checks.near(score, 2.0, importance_error, || format!("{scores:?}"));
            checks.eq(score, scores[0], || "equal scores".into());
        }
        // ceil(0.5 * 3) = 2 values: the first two, each with a third, which is not renormalised.
        for ((head, row, d), &got) in r.out.index_axis(ndarray::Axis(0), 0).indexed_iter() {
            let v = |token: usize| f64::from(trace.v[[0, head, token, d]]);
            let expected = third * (v(0) + v(1));
            let largest = trace.v.slice(s![0, head, .., ..]).iter().fold(0f64, |m, &x| m.max(f64::from(x.abs())));
            // Half a step of each value and half an output step (2^-4 of a step).
            let tolerance = 1e-15 + step * largest / 2047.0 * (third + 1.0 / 32.0);
            checks.near(got, expected, tolerance, || format!("{head} {row} {d}"));
        }
    }
    // Equal heads: the lower one stays.
    let same = random((2, 1, 3, 16), 7);
    let twice = ndarray::concatenate(ndarray::Axis(1), &[same.view(), same.view()]).unwrap();
    let trace = Trace::new(twice.clone(), twice.clone(), twice, None, Mode::Encoder, None).unwrap();
    for r in both(&trace, "[heads]\nkeep = [1]") {
        checks.eq(&r.passes[0].heads[1], &vec![0], || "head ties".into());
    }
    checks.finish(2 * (1 + 3 * 2 + 2 * 3 * 16) + 2);
}

#[test]
fn equal_scores_of_any_number_of_keys_are_one_over_n_rounded() {
    let mut checks = Checks::new("edge_equal_rounded");
    for n in 1..=1024u32 {
        let p = softmax::fixed(&vec![-77; n as usize]);
        checks.eq(p, vec![(4096 + n / 2) / n; n as usize], || format!("{n} keys"));
    }
    checks.finish(1024);
}

#[test]
fn counts_above_what_is_left_are_clamped_and_reported() {
    let mut checks = Checks::new("edge_clamped");
    for r in both(&encoder(4, 5, None), "[tokens]\nkeep = [9, 3, 4]\n[heads]\nkeep = [1, 2, 1]") {
        let tokens: Vec<usize> = r.passes[0].survivors.iter().map(Vec::len).collect();
        let heads: Vec<usize> = r.passes[0].heads.iter().map(Vec::len).collect();
        checks.eq(tokens, vec![5, 5, 3, 3, 3], || "tokens".into());
        checks.eq(heads, vec![2, 1, 1, 1, 1], || "heads".into());
        checks.eq(total(&r, |l| l.clamped_counts), 3, || "clamped".into());
    }
    checks.finish(6);
}

#[test]
fn without_values_outputs_are_zero_and_importance_goes_on() {
    let mut checks = Checks::new("edge_no_values");
    for r in both(&encoder(2, 5, None), "[values]\nkeep = 0.0") {
        checks.that(r.out.iter().all(|&x| x == 0.0), || "out".into());
        checks.that(r.head_importance.iter().flatten().all(|&x| x == 0.0), || "head importance".into());
        checks.eq(total(&r, |l| l.v_bytes), 0, || "bytes of V".into());
        // Probabilities of 5 rows and 2 heads sum to 10 per layer, each rounded to 2^-17.
        checks.near(r.token_importance[0].iter().sum(), 10.0, 50.0 * (-15f64).exp2(), || "token importance".into());
    }
    checks.finish(8);
}

#[test]
fn scores_saturate_and_are_counted() {
    let mut checks = Checks::new("edge_saturation");
    let x = |seed| random((1, 1, 8, 16), seed);
    let trace = Trace::new(x(1), x(2), x(3), None, Mode::Encoder, Some(1e4)).unwrap();
    let [exact, got] = both(&trace, "");
    checks.eq(total(&exact, |l| l.saturations.total()), 0, || "f64 has no limits".into());
    let logits = total(&got, |l| l.saturations.logit);
    checks.that(logits > 0 && logits <= 64, || format!("{logits} of 64 logits"));
    checks.eq(total(&got, |l| l.saturations.total()), logits, || "nothing else".into());
    // Saturated logits are the largest: their rows share the probability among them, and it still sums to 1.
    checks.near(got.token_importance[0].iter().sum(), 8.0, 64.0 * (-15f64).exp2(), || "importance".into());
    checks.that(got.out.iter().all(|x| x.is_finite()), || "finite".into());
    checks.finish(5);
}

#[test]
fn decay_of_zero_forgets_and_of_one_is_a_sum() {
    let mut checks = Checks::new("edge_decay");
    let x = |rows, seed| random((3, 2, rows, 16), seed);
    let trace = Trace::new(x(4, 1), x(9, 2), x(9, 3), None, Mode::Decode, None).unwrap();
    let plan = |importance: &str| {
        format!("[tokens]\nkeep_first_layers = 0.0\nr_start = 0.3\nr_end = 0.5\nimportance = \"{importance}\"")
    };
    for (one, sum) in both(&trace, &plan("decay:1.0")).into_iter().zip(both(&trace, &plan("sum"))) {
        checks.eq(one.out, sum.out, || "gamma 1".into());
        checks.eq(one.token_importance, sum.token_importance, || "gamma 1".into());
        checks.eq(one.passes, sum.passes, || "gamma 1".into());
    }
    for r in both(&trace, &plan("decay:0")) {
        // Two heads of the last step alone: 2 after its first layer, 4 and 6 after the others.
        for (layer, scores) in r.token_importance.iter().enumerate() {
            let expected = 2.0 * (layer + 1) as f64;
            checks.near(scores.iter().sum(), expected, 60.0 * (-15f64).exp2(), || format!("layer {layer}"));
        }
    }
    checks.finish(6 + 6);
}

#[test]
fn a_threshold_of_zero_never_refetches_and_of_one_always() {
    let mut checks = Checks::new("edge_threshold");
    let x = |seed| random((2, 2, 6, 16), seed);
    let trace = Trace::new(x(1), x(2), x(3), None, Mode::Causal, None).unwrap();
    let plan = |t: f64| format!("[quant]\nprogressive = true\nmsb = 6\nlsb = 4\nthreshold = {t:.1}");
    for r in both(&trace, &plan(0.0)) {
        checks.that(!r.refetched.iter().any(|&x| x), || "threshold 0".into());
        checks.eq(total(&r, |l| l.k_lsb_bytes), 0, || "threshold 0".into());
    }
    let never = both(&trace, &plan(0.0));
    for (r, never) in both(&trace, &plan(1.0)).into_iter().zip(never) {
        for ((layer, head, row), &again) in r.refetched.indexed_iter() {
            // Row 0 sees one key: its probability is 1.
            checks.eq(again, row > 0, || format!("{layer} {head} {row}"));
        }
        let k_bytes = 2 * 2 * (6 * 16 * 4) / 8;
        checks.eq(total(&r, |l| l.k_lsb_bytes), k_bytes, || "LSB planes of every key".into());
        checks.that(r.out != never.out, || "the LSBs change something".into());
    }
    checks.finish(2 * 2 + 2 * (2 * 2 * 6 + 2));
}

#[test]
fn padding_as_the_current_token_pins_nothing() {
    let mut checks = Checks::new("edge_padded_step");
    let x = |rows, seed| random((2, 1, rows, 16), seed);
    let mask = vec![true, true, true, false, true];
    let trace = Trace::new(x(2, 1), x(5, 2), x(5, 3), Some(mask), Mode::Decode, None).unwrap();
    for r in both(&trace, "[tokens]\nkeep = [1]") {
        // Nobody asks in step 0: no score, so the tie goes to the lowest index.
        checks.eq(&r.passes[0].survivors, &vec![vec![0, 1, 2], vec![0], vec![0]], || "step 0".into());
        checks.eq(&r.passes[1].survivors, &vec![vec![0, 1, 2, 4], vec![4], vec![4]], || "step 1".into());
        checks.that(r.out.slice(s![.., .., 0, ..]).iter().all(|&x| x == 0.0), || "row of padding".into());
    }
    checks.finish(6);
}
