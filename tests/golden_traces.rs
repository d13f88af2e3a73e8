//! The bit-exact model against the f64 reference on real traces.
//!
//! ```text
//!                       +-> golden::fixed -------+--> survivors, decisions, outputs
//! trace + setting ------+                        |     compared where the recorded margin exceeds the documented error
//!                       +-> golden::reference ---+
//! ```

mod common;

use common::{plan_of, positions, recorded};
use ndarray::{Array4, ArrayView3, Axis};
use spatten_arch::plan::{QuantPlan, Tensor};
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::fixed::{self, Fixed};
use spatten_golden::quantiser::{Quantised, Quantiser};
use spatten_golden::reference::Reference;
use spatten_golden::run::{self, RunResult};
use spatten_golden::trace::{Mode, Trace};
use spatten_golden::{requant_decision, softmax};
use spatten_testkit::Checks;

fn paper() -> Fixed {
    Fixed::new(&ArchConfig::paper())
}

fn cosine(a: ArrayView3<'_, f64>, b: ArrayView3<'_, f64>) -> f64 {
    let dot = |x: ArrayView3<'_, f64>, y: ArrayView3<'_, f64>| x.iter().zip(y.iter()).map(|(p, q)| p * q).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// 1-semantics: a 12-bit static run keeps every layer output's cosine against f64 above this.
const LAYER_COSINE: f64 = 0.9995;

#[test]
fn twelve_bit_static_keeps_every_layer_output() {
    let Some((_, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_layer_cosine");
    let mut expected = 0;
    let mut worst: f64 = 1.0;
    for r in &traces {
        let exact = run::run(&r.trace, &Plan::default(), Reference, None);
        let bits = run::run(&r.trace, &Plan::default(), paper(), None);
        for layer in 0..r.trace.layers() {
            let c = cosine(bits.out.index_axis(Axis(0), layer), exact.out.index_axis(Axis(0), layer));
            worst = worst.min(c);
            checks.that(c > LAYER_COSINE, || format!("{} layer {layer}: {c}", r.name));
            expected += 1;
        }
    }
    println!("worst cosine of a layer's output at 12 bits: {worst}");
    checks.finish(expected);
}

/// Survivors of each layer, and heads, agree with the recorded ones wherever the margin of the decision exceeds the error
/// that `fixed` documents; after a decision inside the error the cascades may part, and later layers are not compared.
#[test]
fn survivors_agree_wherever_the_margin_exceeds_the_documented_error() {
    let Some((settings, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_survivors_against_recorded");
    let (mut decisions, mut inside, mut parted) = (0, 0, 0);
    for r in &traces {
        for (name, setting) in settings.as_object().unwrap() {
            let plan = plan_of(setting, r.trace.keys());
            let replay = r.replay(name);
            let result = run::run(&r.trace, &plan, paper(), None);
            let same_inputs = plan.quant.is_some();
            let pass = &result.passes[0];
            let mut rows = 0;
            for layer in 0..r.trace.layers() - 1 {
                let alive = positions(&replay["alive"][layer]).len() as u64;
                rows += alive * positions(&replay["heads"][layer]).len() as u64;
                let margins = &replay["margins"][layer];
                let agree_tokens = pass.survivors[layer + 1] == positions(&replay["alive"][layer + 1]);
                let agree_heads = pass.heads[layer + 1] == positions(&replay["heads"][layer + 1]);
                let mut decide = |kind: &str, agree: bool, error: f64| {
                    let Some(margin) = margins[kind].as_f64() else { return };
                    decisions += 1;
                    if margin > error {
                        checks.that(agree, || {
                            format!(
                                "{} {name} layer {layer}: {kind} margin {margin} > documented error {error}",
                                r.name
                            )
                        });
                    } else {
                        inside += 1;
                        println!(
                            "{} {name} layer {layer}: {kind} margin {margin:.4} inside {error:.4}, agree: {agree}",
                            r.name
                        );
                    }
                };
                let at_cut = |scores: &[f64], kept: &[usize]| kept.iter().map(|&i| scores[i]).fold(f64::MAX, f64::min);
                let score = at_cut(&result.token_importance[layer], &pass.survivors[layer + 1]);
                decide("token", agree_tokens, fixed::token_decision_error(rows, score, same_inputs));
                let score = at_cut(&result.head_importance[layer], &pass.heads[layer + 1]);
                decide("head", agree_heads, fixed::head_decision_error(score, plan.values.keep < 1.0));
                if !(agree_tokens && agree_heads) {
                    parted += 1;
                    break;
                }
            }
        }
    }
    println!("{decisions} decisions, {inside} with margins inside the documented error, {parted} runs parted there");
    assert!(inside * 4 < decisions, "{inside} of {decisions} decisions were not compared");
    checks.finish_any();
}

#[test]
fn refetch_decisions_agree_with_the_reference_outside_their_error() {
    let Some((settings, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_refetch_against_reference");
    let mut expected = 0;
    for r in &traces {
        for name in ["pq4+4_floor_t0.1", "pq6+4_bal_t0.2_vmsb"] {
            let plan = plan_of(&settings[name], r.trace.keys());
            let result = run::run(&r.trace, &plan, paper(), None);
            let margins = &r.replay(name)["margins"];
            let low = r.u8(&format!("{name}.low"));
            let per_layer = low.len() / r.trace.layers();
            for layer in 0..r.trace.layers() {
                if margins[layer]["low"].as_f64().unwrap() <= requant_decision::DECISION_ERROR {
                    continue;
                }
                let got = result.refetched.index_axis(Axis(0), layer);
                for (i, &again) in got.iter().enumerate() {
                    checks.eq(again, low[layer * per_layer + i] == 1, || {
                        format!("{} {name} layer {layer} row {i}", r.name)
                    });
                    expected += 1;
                }
            }
        }
    }
    checks.finish(expected);
}

#[test]
fn softmax_stays_within_its_bound_on_real_rows() {
    let Some((_, traces)) = recorded() else { return };
    let mut checks = Checks::new("softmax_real_rows");
    let mut expected = 0;
    let mut worst: f64 = 0.0;
    for r in &traces {
        let t = &r.trace;
        for layer in 0..t.layers() {
            for head in 0..t.heads() {
                let q = t.q.index_axis(Axis(0), layer).index_axis(Axis(0), head).mapv(f64::from);
                let k = t.k.index_axis(Axis(0), layer).index_axis(Axis(0), head).mapv(f64::from);
                let scores = q.dot(&k.t()) * t.scale;
                for row in scores.outer_iter() {
                    let base2 = std::f64::consts::LOG2_E * 16384.0;
                    let logits: Vec<i32> = row.iter().map(|s| (s * base2).round() as i32).collect();
                    let exact: Vec<f64> = logits.iter().map(|&l| f64::from(l) / base2).collect();
                    let p = softmax::fixed(&logits);
                    let off = softmax::reference(&exact)
                        .iter()
                        .zip(&p)
                        .map(|(e, &p)| (e - f64::from(p) / 4096.0).abs())
                        .fold(0.0, f64::max);
                    worst = worst.max(off);
                    checks
                        .that(off <= softmax::ERROR_BOUND, || format!("{} layer {layer} head {head}: {off:e}", r.name));
                    expected += 1;
                }
            }
        }
    }
    println!("softmax: worst error over real rows {worst:e} = 2^{:.2}, bound 2^-11", worst.log2());
    checks.finish(expected);
}

/// Importance on the same quantised inputs stays within the documented bound of the reference, at every layer whose
/// survivors agree.
#[test]
fn importances_stay_within_their_documented_error() {
    let Some((settings, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_importance_error");
    let mut worst_share: f64 = 0.0;
    for r in &traces {
        for (name, setting) in settings.as_object().unwrap() {
            for scale in ["head", "layer", "token"] {
                let mut plan = plan_of(setting, r.trace.keys());
                let mut quant = plan.quant.take().unwrap_or_default();
                quant.scale = match scale {
                    "head" => spatten_arch::plan::Scale::Head,
                    "layer" => spatten_arch::plan::Scale::Layer,
                    _ => spatten_arch::plan::Scale::Token,
                };
                plan.quant = Some(quant);
                let exact = run::run(&r.trace, &plan, Reference, None);
                let bits = run::run(&r.trace, &plan, paper(), None);
                let mut rows = 0;
                for layer in 0..r.trace.layers() {
                    let (e, b) = (&exact.passes[0], &bits.passes[0]);
                    let at_refetch = exact.refetched != bits.refetched;
                    if e.survivors[layer] != b.survivors[layer] || e.heads[layer] != b.heads[layer] || at_refetch {
                        break;
                    }
                    rows += (e.survivors[layer].len() * e.heads[layer].len()) as u64;
                    for (x, y) in exact.token_importance[layer].iter().zip(&bits.token_importance[layer]) {
                        let bound = fixed::token_importance_error(rows, *x);
                        worst_share = worst_share.max((x - y).abs() / bound);
                        checks.near(*y, *x, bound, || format!("{} {name} scale {scale} layer {layer}", r.name));
                    }
                    for (x, y) in exact.head_importance[layer].iter().zip(&bits.head_importance[layer]) {
                        let bound = fixed::head_importance_error(*x, plan.values.keep < 1.0);
                        checks.near(*y, *x, bound, || format!("{} {name} scale {scale} layer {layer}, head", r.name));
                    }
                }
            }
        }
    }
    println!("worst error of a token importance: {:.1} % of its documented bound", 100.0 * worst_share);
    checks.finish_any();
}

/// L1 norms of the value rows that `reference` and `fixed` work on: `[layers][heads][tokens]`.
fn value_norms(trace: &Trace) -> Vec<Vec<Vec<f64>>> {
    let quantiser = Quantiser::new(QuantPlan::default());
    let of_layer = |layer: ArrayView3<'_, f32>| {
        let heads = layer.dim().0;
        let integers = quantiser.tensor(Tensor::V, layer.mapv(f64::from).view(), &vec![true; heads], None);
        let norm = |q: &Quantised, row: usize| q.full.row(row).iter().map(|x| f64::from(*x).abs()).sum::<f64>();
        integers.iter().map(|q| (0..q.full.nrows()).map(|r| norm(q, r) * q.step.of(r)).collect()).collect()
    };
    trace.v.outer_iter().map(of_layer).collect()
}

/// Value-weighted importances on the same integers stay within their documented error, and survivors agree wherever the
/// margin between the last kept and the first dropped token exceeds twice of it.
#[test]
fn value_weighted_importances_stay_within_their_documented_error() {
    let Some((_, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_weighted_importance_error");
    let (mut worst_share, mut decisions, mut inside): (f64, u32, u32) = (0.0, 0, 0);
    let plan = |importance: &str, keep: &str| {
        Plan::from_toml(
            &format!("[tokens]\nimportance = \"{importance}\"\npin = \"first:1\"\n{keep}\n[quant]\nbits = 12"),
            "weighted",
        )
        .unwrap()
    };
    for r in &traces {
        for mode in [Mode::Encoder, Mode::Causal] {
            let t = &r.trace;
            let trace = Trace::new(t.q.clone(), t.k.clone(), t.v.clone(), None, mode, None).unwrap();
            let norms = value_norms(&trace);
            let largest = |layer: &[Vec<f64>]| layer.iter().flatten().copied().fold(0.0, f64::max);
            let unit = fixed::norm_unit(largest(&norms[0]));
            let largest_norm = norms.iter().map(|l| largest(l)).fold(0.0, f64::max);
            let per_layer = (trace.heads() * trace.rows()) as u64;

            let run_plan =
                |plan: &Plan| (run::run(&trace, plan, Reference, None), run::run(&trace, plan, paper(), None));
            let (exact, bits) = run_plan(&plan("value_weighted", ""));
            let plain = run::run(&trace, &plan("sum", ""), Reference, None);
            for layer in 0..trace.layers() {
                let rows = per_layer * (layer + 1) as u64;
                let tokens = exact.token_importance[layer].iter().zip(&bits.token_importance[layer]);
                for ((x, y), p) in tokens.zip(&plain.token_importance[layer]) {
                    let bound = fixed::weighted_importance_error(rows, *x, *p, unit, largest_norm);
                    worst_share = worst_share.max((x - y).abs() / bound);
                    checks.near(*y, *x, bound, || format!("{} {mode:?} layer {layer}", r.name));
                }
            }

            let (exact, bits) = run_plan(&plan("value_weighted", "keep_first_layers = 0\nr_start = 0.1\nr_end = 0.5"));
            let (e, b) = (&exact.passes[0], &bits.passes[0]);
            for layer in 1..trace.layers() {
                let scores = &exact.token_importance[layer - 1];
                let kept = &e.survivors[layer];
                let lowest = |of: &mut dyn Iterator<Item = usize>| of.map(|p| scores[p]).fold(f64::MAX, f64::min);
                let dropped = e.survivors[layer - 1].iter().filter(|p| !kept.contains(p));
                let highest_dropped = dropped.map(|&p| scores[p]).fold(0.0, f64::max);
                let cut = lowest(&mut kept.iter().copied().filter(|&p| p != 0));
                let rows = per_layer * layer as u64;
                // A token with this score has at most so many probabilities: its smallest norm counts.
                let smallest = norms[..layer].iter().flatten().flatten().copied().fold(f64::MAX, f64::min);
                let error = 2.0 * fixed::weighted_importance_error(rows, cut, cut / smallest, unit, largest_norm);
                decisions += 1;
                if cut - highest_dropped > error {
                    checks.eq(&b.survivors[layer], kept, || format!("{} {mode:?} survivors {layer}", r.name));
                } else {
                    inside += 1;
                    if b.survivors[layer] != *kept {
                        break;
                    }
                }
            }
        }
    }
    println!("worst error of a value-weighted importance: {:.1} % of its documented bound", 100.0 * worst_share);
    println!("{inside} of {decisions} decisions inside the documented error");
    assert!(inside * 2 < decisions, "{inside} of {decisions} decisions were not compared");
    checks.finish_any();
}

fn same_bits(a: &RunResult, b: &RunResult) -> bool {
    let bits = |x: &Array4<f64>| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    bits(&a.out) == bits(&b.out)
        && a.passes == b.passes
        && a.refetched == b.refetched
        && a.token_importance == b.token_importance
        && a.head_importance == b.head_importance
        && a.reports == b.reports
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let Some((settings, traces)) = recorded() else { return };
    let mut checks = Checks::new("golden_threads");
    let on = |threads: usize, trace: &Trace, plan: &Plan, reference: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            if reference { run::run(trace, plan, Reference, None) } else { run::run(trace, plan, paper(), None) }
        })
    };
    let r = &traces[traces.len() - 1];
    let mut expected = 0;
    for setting in settings.as_object().unwrap().values() {
        let plan = plan_of(setting, r.trace.keys());
        for reference in [false, true] {
            let (one, many) = (on(1, &r.trace, &plan, reference), on(5, &r.trace, &plan, reference));
            checks.that(same_bits(&one, &many), || format!("{}: {plan:?}", r.name));
            expected += 1;
        }
    }
    checks.finish(expected);
}
