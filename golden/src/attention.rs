//! What a model host sees of an attention device: one sequence, layer after layer.

use ndarray::{Array2, Array3, ArrayView3};

/// Inputs of one layer: only what is still alive, in ascending original position.
#[derive(Debug, Clone, Copy)]
pub struct LayerInput<'a> {
    /// `[heads, queries, D]`: all heads (pruned ones are not read), the rows of [`Attention::queries`].
    pub q: ArrayView3<'a, f64>,
    /// `[kv_heads, survivors, D]`: the rows of [`Attention::survivors`].
    pub k: ArrayView3<'a, f64>,
    /// `[kv_heads, survivors, D]`
    pub v: ArrayView3<'a, f64>,
}

/// Result of one layer.
#[derive(Debug, Clone)]
pub struct LayerOutput {
    /// `[heads, queries, D]`, 0 for pruned heads.
    pub out: Array3<f64>,
    /// `[heads, queries]`: this row was computed again with its LSBs.
    pub refetched: Array2<bool>,
}

/// One sequence on an attention device. The device keeps the cascade's state; the host asks before each layer which
/// tokens are left and computes projections and FFN for those only.
pub trait Attention {
    /// Original positions whose rows are queries of the next layer.
    fn queries(&self) -> &[usize];
    /// Original positions whose rows are keys and values of the next layer.
    fn survivors(&self) -> &[usize];
    /// Heads that the next layer computes.
    fn heads_alive(&self) -> &[usize];
    /// Computes the next layer and prunes.
    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput;
}
