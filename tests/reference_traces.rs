//! The f64 reference against recorded results of an independent f64 program.
//!
//! ```text
//! trace (q, k, v) + setting --> golden::reference --> survivors, heads, refetched, importances, outputs
//!                  index.json + S.* tensors  -------> the same, recorded
//! ```

mod common;

use common::{plan_of, positions, recorded};
use ndarray::Axis;
use spatten_arch::plan::{QuantPlan, Tensor};
use spatten_golden::quantiser::Quantiser;
use spatten_golden::reference::Reference;
use spatten_golden::run;
use spatten_testkit::Checks;

/// Importance scores, relative (both programs add the same f64 numbers in another order).
const RELATIVE: f64 = 1e-6;
/// Head importance where a choice among equal local values may fall the other way.
const RELATIVE_AT_TIES: f64 = 1e-4;

#[test]
fn reference_reproduces_every_recorded_setting() {
    let Some((settings, traces)) = recorded() else { return };
    let mut checks = Checks::new("reference_against_recorded_traces");
    let mut expected_checks = 0;
    let mut refetched_rows = 0;
    for r in &traces {
        for (name, setting) in settings.as_object().unwrap() {
            let at = |what: &str| format!("{} {name}: {what}", r.name);
            let tokens = r.trace.keys();
            let (layers, heads) = (r.trace.layers(), r.trace.heads());
            let result = run::run(&r.trace, &plan_of(setting, tokens), Reference, None);
            let replay = r.replay(name);
            let pass = &result.passes[0];
            for layer in 0..layers {
                checks.eq(&pass.survivors[layer], &positions(&replay["alive"][layer]), || {
                    at(&format!("survivors {layer}"))
                });
                checks.eq(&pass.heads[layer], &positions(&replay["heads"][layer]), || at(&format!("heads {layer}")));
            }
            expected_checks += 2 * layers as u64;
            let score = r.f64(&format!("{name}.score"));
            for (i, &e) in score.iter().enumerate() {
                let got = result.token_importance[i / tokens][i % tokens];
                checks.near(got, e, e.abs() * RELATIVE, || at(&format!("token importance {i}")));
            }
            expected_checks += (layers * tokens) as u64;
            let ties = setting["vkeep"].as_f64().unwrap() < 1.0;
            let tolerance = if ties { RELATIVE_AT_TIES } else { RELATIVE };
            for (i, &e) in r.f64(&format!("{name}.hscore")).iter().enumerate() {
                let got = result.head_importance[i / heads][i % heads];
                checks.near(got, e, e.abs() * tolerance, || at(&format!("head importance {i}")));
            }
            expected_checks += (layers * heads) as u64;
            let sums = r.f64(&format!("{name}.out_sums"));
            for layer in 0..layers {
                for head in 0..heads {
                    let out = result.out.index_axis(Axis(0), layer);
                    let out = out.index_axis(Axis(0), head);
                    let weight = |i: usize, d: usize| ((7 * i + 3 * d) % 11) as f64 - 5.0;
                    let got = [
                        out.iter().map(|x| x.abs()).sum::<f64>(),
                        out.sum(),
                        out.indexed_iter().map(|((i, d), x)| x * weight(i, d)).sum::<f64>(),
                    ];
                    let e = &sums[(layer * heads + head) * 3..][..3];
                    for (g, e) in got.iter().zip(e) {
                        let scale = got[0].max(1e-12) * 5.0;
                        checks.near(*g, *e, scale * tolerance, || at(&format!("out sums {layer} {head}")));
                        expected_checks += 1;
                    }
                }
            }
            if !setting["quant"].is_null() {
                for (i, &low) in r.u8(&format!("{name}.low")).iter().enumerate() {
                    let got = result.refetched[[i / (heads * tokens), i / tokens % heads, i % tokens]];
                    checks.eq(got, low == 1, || at(&format!("refetch {i}")));
                    refetched_rows += u64::from(got);
                }
                expected_checks += (layers * heads * tokens) as u64;
            }
        }
    }
    assert!(refetched_rows > 100, "only {refetched_rows} rows were refetched");
    println!(
        "{} traces x {} settings, {refetched_rows} rows refetched",
        traces.len(),
        settings.as_object().unwrap().len()
    );
    checks.finish(expected_checks);
}

#[test]
fn quantiser_gives_the_recorded_integers() {
    let Some((_, traces)) = recorded() else { return };
    let mut checks = Checks::new("quantiser_against_recorded_integers");
    let mut expected = 0;
    let quantiser = Quantiser::new(QuantPlan::default());
    for r in &traces {
        let sums = r.i64("int12_sums");
        let heads = r.trace.heads();
        for layer in 0..r.trace.layers() {
            for (t, data) in [&r.trace.q, &r.trace.k, &r.trace.v].into_iter().enumerate() {
                let x = data.index_axis(Axis(0), layer).mapv(f64::from);
                let integers = quantiser.tensor(Tensor::ALL[t], x.view(), &vec![true; heads], None);
                for (head, q) in integers.iter().enumerate() {
                    let sum: i64 = q.full.iter().map(|&i| i64::from(i)).sum();
                    let absolute: i64 = q.full.iter().map(|&i| i64::from(i).abs()).sum();
                    let e = &sums[((layer * 3 + t) * heads + head) * 2..][..2];
                    checks.eq([sum, absolute], [e[0], e[1]], || {
                        format!("{} layer {layer} tensor {t} head {head}", r.name)
                    });
                    expected += 1;
                }
            }
        }
    }
    checks.finish(expected);
}
