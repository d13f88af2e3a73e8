//! The cascade once more, as plainly as the semantics page says it, in f64 and without quantisation.

use crate::case::Params;
use spatten_arch::plan::{GenerationCascade, Importance, TokenMode};
use spatten_golden::trace::{Mode, Trace};

/// What a run says.
pub struct Naive {
    /// `[layers][heads][rows][dim]`
    pub out: Vec<Vec<Vec<Vec<f64>>>>,
    /// `[passes][layers + 1]`
    pub survivors: Vec<Vec<Vec<usize>>>,
    /// `[passes][layers + 1]`
    pub heads: Vec<Vec<Vec<usize>>>,
    /// `[layers][L1]`
    pub token_importance: Vec<Vec<f64>>,
    /// `[layers][heads]`
    pub head_importance: Vec<Vec<f64>>,
    /// How close the closest decision was.
    pub margin: f64,
}

/// Takes the largest again and again, the first of equals; `always` ones first. Ascending.
fn best(scores: &[f64], always: &[bool], k: usize, margin: &mut f64) -> Vec<usize> {
    let mut taken = vec![false; scores.len()];
    for _ in 0..k.min(scores.len()) {
        let mut at = None;
        for i in (0..scores.len()).filter(|&i| !taken[i]) {
            let better = |b: usize| match (always[i], always[b]) {
                (true, false) => true,
                (false, true) => false,
                _ => scores[i] > scores[b],
            };
            if at.is_none_or(better) {
                at = Some(i);
            }
        }
        taken[at.unwrap()] = true;
    }
    let lowest = (0..scores.len()).filter(|&i| taken[i] && !always[i]).map(|i| scores[i]).fold(f64::INFINITY, f64::min);
    let highest = (0..scores.len()).filter(|&i| !taken[i]).map(|i| scores[i]).fold(f64::NEG_INFINITY, f64::max);
    // Zeros on both sides are exact in every program: nothing was added to them.
    if lowest.is_finite() && highest.is_finite() && (lowest, highest) != (0.0, 0.0) {
        *margin = margin.min(lowest - highest);
    }
    (0..scores.len()).filter(|&i| taken[i]).collect()
}

/// Runs a case.
pub fn run(params: &Params, trace: &Trace) -> Naive {
    let (layers, heads, dim, rows, keys) = (params.layers, params.head_count(), params.dim, params.rows, params.keys);
    let past = keys - rows;
    let decode = params.mode == Mode::Decode;
    let mut result = Naive {
        out: vec![vec![vec![vec![0.0; dim]; rows]; heads]; layers],
        survivors: vec![],
        heads: vec![],
        token_importance: vec![vec![]; layers],
        head_importance: vec![vec![]; layers],
        margin: f64::INFINITY,
    };
    let mut token_score = vec![0.0; keys];
    let mut seen_by = vec![0u32; keys];
    let mut head_score = vec![0.0; heads];
    let mut left_over: Vec<usize> = vec![];
    for step in 0..if decode { rows } else { 1 } {
        let real = params.real(trace, step);
        let current = past + step;
        if let (Importance::Decay(gamma), 1..) = (params.importance, step) {
            token_score.iter_mut().for_each(|s| *s *= gamma);
        }
        let mut tokens = real.clone();
        if decode && step > 0 && params.cascade == GenerationCascade::Evict {
            tokens.retain(|p| left_over.contains(p) || *p == current);
        }
        let mut queries: Vec<usize> =
            real.iter().copied().filter(|&p| if decode { p == current } else { p >= past }).collect();
        let mut alive: Vec<usize> = (0..heads).filter(|&h| params.masked_head(0, h)).collect();
        let (mut survivors, mut heads_alive) = (vec![tokens.clone()], vec![alive.clone()]);
        for layer in 0..layers {
            for &head in &alive {
                let kv = head / params.group;
                for &query in &queries {
                    let visible: Vec<usize> =
                        tokens.iter().copied().filter(|&p| params.mode == Mode::Encoder || p <= query).collect();
                    if visible.is_empty() {
                        continue;
                    }
                    let q = |d: usize| f64::from(trace.q[[layer, head, query - past, d]]);
                    let k = |p: usize, d: usize| f64::from(trace.k[[layer, kv, p, d]]);
                    let v = |p: usize, d: usize| f64::from(trace.v[[layer, kv, p, d]]);
                    let score = |p: usize| trace.scale * (0..dim).map(|d| q(d) * k(p, d)).sum::<f64>();
                    let scores: Vec<f64> = visible.iter().map(|&p| score(p)).collect();
                    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                    let p: Vec<f64> = scores.iter().map(|s| (s - most).exp() / total).collect();
                    for (&token, p) in visible.iter().zip(&p) {
                        let weight = match params.importance {
                            Importance::ValueWeighted => (0..dim).map(|d| v(token, d).abs()).sum(),
                            _ => 1.0,
                        };
                        token_score[token] += p * weight;
                        seen_by[token] += 1;
                    }
                    let read = (params.values * visible.len()).div_ceil(100);
                    let kept = best(&p, &vec![false; p.len()], read, &mut result.margin);
                    for d in 0..dim {
                        let o: f64 = kept.iter().map(|&i| p[i] * v(visible[i], d)).sum();
                        result.out[layer][head][query - past][d] = o;
                        head_score[head] += o.abs();
                    }
                }
            }
            let ranked = |p: usize| match (params.importance, seen_by[p]) {
                (Importance::Mean, 0) => 0.0,
                (Importance::Mean, n) => token_score[p] / f64::from(n),
                _ => token_score[p],
            };
            result.token_importance[layer] = (0..keys).map(ranked).collect();
            result.head_importance[layer] = head_score.clone();
            if layer + 1 < layers {
                let scores: Vec<f64> = tokens.iter().map(|&p| ranked(p)).collect();
                let always: Vec<bool> = tokens.iter().map(|&p| params.pinned(trace, step, p)).collect();
                let k = params.tokens.count(params.token_keep.as_deref(), layer + 1, layers, real.len());
                let k = k.max(always.iter().filter(|a| **a).count());
                let kept = best(&scores, &always, k, &mut result.margin);
                tokens = kept.iter().map(|&i| tokens[i]).collect();
                if params.token_mode == TokenMode::Full && !decode {
                    queries.retain(|q| tokens.contains(q));
                }
                if params.head_mask.is_some() {
                    alive = (0..heads).filter(|&h| params.masked_head(layer + 1, h)).collect();
                } else {
                    let k = params.heads.count(params.head_keep.as_deref(), layer + 1, layers, heads);
                    let scores: Vec<f64> = alive.iter().map(|&h| head_score[h]).collect();
                    let kept = best(&scores, &vec![false; scores.len()], k, &mut result.margin);
                    alive = kept.iter().map(|&i| alive[i]).collect();
                }
            }
            survivors.push(tokens.clone());
            heads_alive.push(alive.clone());
        }
        result.survivors.push(survivors);
        result.heads.push(heads_alive);
        left_over = tokens;
    }
    result
}
