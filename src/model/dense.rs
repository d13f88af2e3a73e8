//! Attention without pruning or quantisation, for the baseline that devices are compared with.
//! Why: written apart from the golden model, so that the two agreeing is evidence.

use super::{Attention, LayerInput, LayerOutput};
use ndarray::{Array2, Array3, Axis};

/// Plain softmax attention in f64 over every token and head, scale `1/sqrt(D)`.
#[derive(Debug, Clone)]
pub struct DenseAttention {
    tokens: Vec<usize>,
    heads: Vec<usize>,
}

impl DenseAttention {
    /// For one sequence of `token_count` tokens.
    pub fn new(token_count: usize, head_count: usize) -> Self {
        Self { tokens: (0..token_count).collect(), heads: (0..head_count).collect() }
    }
}

impl Attention for DenseAttention {
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
        let (heads, rows, dim) = input.q.dim();
        let heads_per_kv = heads / input.k.dim().0;
        let scale = 1.0 / (dim as f64).sqrt();
        let mut out = Array3::zeros((heads, rows, dim));
        for (head, mut out) in out.axis_iter_mut(Axis(0)).enumerate() {
            let kv_head = head / heads_per_kv;
            let (k, v) = (input.k.index_axis(Axis(0), kv_head), input.v.index_axis(Axis(0), kv_head));
            let mut p = input.q.index_axis(Axis(0), head).dot(&k.t());
            for mut row in p.rows_mut() {
                let max = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|s| ((s - max) * scale).exp());
                let sum = row.sum();
                row /= sum;
            }
            out.assign(&p.dot(&v));
        }
        LayerOutput { out, refetched: Array2::from_elem((heads, rows), false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_give_the_mean_and_a_large_one_gives_its_value() {
        let v = Array3::from_shape_vec((1, 2, 4), (0..8).map(f64::from).collect()).unwrap();
        let zeros = Array3::zeros((1, 2, 4));
        let mut dense = DenseAttention::new(2, 1);
        let out = dense.layer(LayerInput { q: zeros.view(), k: zeros.view(), v: v.view() }).out;
        assert_eq!(out.into_raw_vec_and_offset().0, [2.0, 3.0, 4.0, 5.0, 2.0, 3.0, 4.0, 5.0]);
        let mut k = zeros.clone();
        k[[0, 1, 2]] = 1.0;
        let q = Array3::from_elem((1, 2, 4), 3000.0);
        let out = dense.layer(LayerInput { q: q.view(), k: k.view(), v: v.view() }).out;
        assert_eq!(out.into_raw_vec_and_offset().0, [4.0, 5.0, 6.0, 7.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn scale_is_one_over_the_root_of_the_head_dimension() {
        let q = Array3::ones((1, 1, 4));
        let mut k = Array3::zeros((1, 2, 4));
        k[[0, 0, 0]] = 2.0;
        let mut v = Array3::zeros((1, 2, 4));
        v[[0, 0, 0]] = 1.0;
        let out = DenseAttention::new(2, 1).layer(LayerInput { q: q.view(), k: k.view(), v: v.view() }).out;
        // Scores 2 / sqrt(4) = 1 and 0.
        assert!((out[[0, 0, 0]] - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-15);
    }
}
