//! Attention workloads with tensors.

use ndarray::Array4;

/// Which keys a query row sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every row sees every key; row i is token i, so L0 = L1.
    #[default]
    Encoder,
    /// Row i is token `i + L1 - L0` and sees the keys up to itself.
    Causal,
    /// Row i is generation step i: token `i + L1 - L0`, sees the keys up to itself, and all layers of a step are done
    /// before the next step begins.
    Decode,
}

impl Mode {
    /// The word in file metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Causal => "causal",
            Self::Decode => "decode",
        }
    }

    /// The mode of a metadata word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Encoder, Self::Causal, Self::Decode].into_iter().find(|m| m.name() == name)
    }
}

/// Q, K and V of every layer and head of one sequence, recorded from a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trace {
    /// `[layers, heads, L0, D]`
    pub q: Array4<f32>,
    /// `[layers, kv_heads, L1, D]`
    pub k: Array4<f32>,
    /// `[layers, kv_heads, L1, D]`
    pub v: Array4<f32>,
    /// `[L1]`, true for a real token, false for padding.
    pub mask: Vec<bool>,
    /// Which keys a row sees.
    pub mode: Mode,
    /// Factor on every score, `1/sqrt(D)` unless the file says otherwise.
    pub scale: f64,
}

/// A workload that cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// Tensor shapes that do not belong together.
    #[error("tensor {tensor}: shape {shape:?}, expected {expected}")]
    Shape {
        /// Tensor's name.
        tensor: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// What it should be, with its reason.
        expected: String,
    },
    /// NaN or infinity.
    #[error("tensor {tensor}: {value} at {index:?}, expected finite numbers")]
    NotFinite {
        /// Tensor's name.
        tensor: &'static str,
        /// Where.
        index: Vec<usize>,
        /// What.
        value: f32,
    },
    /// A scale that is no scale.
    #[error("scale = {value}, expected a finite number above 0")]
    Scale {
        /// The number.
        value: f64,
    },
}

impl Trace {
    /// Checks shapes and values. `mask` of `None` means that every token is real; `scale` of `None` means `1/sqrt(D)`.
    ///
    /// # Errors
    /// Where a dimension is 0, shapes do not belong together (`heads` is a multiple of `kv_heads`, encoder has L0 = L1,
    /// the other modes L0 <= L1), a number is not finite, or the scale is not positive.
    pub fn new(
        q: Array4<f32>,
        k: Array4<f32>,
        v: Array4<f32>,
        mask: Option<Vec<bool>>,
        mode: Mode,
        scale: Option<f64>,
    ) -> Result<Self, TraceError> {
        let (layers, heads, rows, dim) = q.dim();
        let (k_layers, kv_heads, keys, k_dim) = k.dim();
        let shape_error = |tensor, shape: &[usize], expected: String| {
            Err(TraceError::Shape { tensor, shape: shape.to_vec(), expected })
        };
        if q.is_empty() {
            return shape_error("q", q.shape(), "[layers, heads, L0, D] with no dimension 0".into());
        }
        if k.is_empty() {
            return shape_error("k", k.shape(), "[layers, kv_heads, L1, D] with no dimension 0".into());
        }
        if k_layers != layers || k_dim != dim || heads % kv_heads != 0 {
            let expected = format!("[{layers}, a divisor of {heads} heads, L1, {dim}] to go with q {:?}", q.shape());
            return shape_error("k", k.shape(), expected);
        }
        if v.dim() != k.dim() {
            return shape_error("v", v.shape(), format!("{:?}, the shape of k", k.shape()));
        }
        if mode == Mode::Encoder && rows != keys {
            let expected = format!("L0 = L1 in encoder mode, but k has L1 = {keys}");
            return shape_error("q", q.shape(), expected);
        }
        if rows > keys {
            let expected = format!("L0 <= L1 in {} mode, but k has L1 = {keys}", mode.name());
            return shape_error("q", q.shape(), expected);
        }
        if let Some(mask) = &mask
            && mask.len() != keys
        {
            return shape_error("mask", &[mask.len()], format!("[{keys}], one per key"));
        }
        for (tensor, data) in [("q", &q), ("k", &k), ("v", &v)] {
            if let Some((index, &value)) = data.indexed_iter().find(|(_, x)| !x.is_finite()) {
                let (a, b, c, d) = index;
                return Err(TraceError::NotFinite { tensor, index: vec![a, b, c, d], value });
            }
        }
        let scale = scale.unwrap_or(1.0 / (dim as f64).sqrt());
        if !(scale.is_finite() && scale > 0.0) {
            return Err(TraceError::Scale { value: scale });
        }
        Ok(Self { q, k, v, mask: mask.unwrap_or_else(|| vec![true; keys]), mode, scale })
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.q.dim().0
    }

    /// Number of query heads.
    pub fn heads(&self) -> usize {
        self.q.dim().1
    }

    /// Number of key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.k.dim().1
    }

    /// Query rows, `L0`.
    pub fn rows(&self) -> usize {
        self.q.dim().2
    }

    /// Key rows, `L1`.
    pub fn keys(&self) -> usize {
        self.k.dim().2
    }

    /// Head dimension `D`.
    pub fn head_dim(&self) -> usize {
        self.q.dim().3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros(a: usize, b: usize, c: usize, d: usize) -> Array4<f32> {
        Array4::zeros((a, b, c, d))
    }

    #[test]
    fn shapes_that_do_not_belong_together_are_refused() {
        let ok = zeros(2, 4, 3, 16);
        let make = |q: &Array4<f32>, k: &Array4<f32>, v: &Array4<f32>, mask, mode, scale| {
            Trace::new(q.clone(), k.clone(), v.clone(), mask, mode, scale).map(|t| t.kv_heads())
        };
        assert_eq!(make(&ok, &ok, &ok, None, Mode::Encoder, None), Ok(4));
        let gqa = zeros(2, 2, 3, 16);
        assert_eq!(make(&ok, &gqa, &gqa, None, Mode::Encoder, None), Ok(2));
        let bad = [
            make(&zeros(2, 4, 0, 16), &ok, &ok, None, Mode::Encoder, None),
            make(&ok, &zeros(2, 4, 0, 16), &ok, None, Mode::Encoder, None),
            make(&ok, &zeros(2, 3, 3, 16), &ok, None, Mode::Encoder, None),
            make(&ok, &zeros(1, 4, 3, 16), &ok, None, Mode::Encoder, None),
            make(&ok, &zeros(2, 4, 3, 32), &ok, None, Mode::Encoder, None),
            make(&ok, &ok, &zeros(2, 4, 4, 16), None, Mode::Encoder, None),
            make(&ok, &zeros(2, 4, 5, 16), &zeros(2, 4, 5, 16), None, Mode::Encoder, None),
            make(&ok, &zeros(2, 4, 2, 16), &zeros(2, 4, 2, 16), None, Mode::Causal, None),
            make(&ok, &ok, &ok, Some(vec![true; 2]), Mode::Encoder, None),
        ];
        for result in bad {
            assert!(matches!(result, Err(TraceError::Shape { .. })), "{result:?}");
        }
        assert!(matches!(make(&ok, &ok, &ok, None, Mode::Encoder, Some(-1.0)), Err(TraceError::Scale { .. })));
        let mut nan = ok.clone();
        nan[[1, 2, 0, 5]] = f32::NAN;
        let message = make(&ok, &ok, &nan, None, Mode::Encoder, None).unwrap_err().to_string();
        assert_eq!(message, "tensor v: NaN at [1, 2, 0, 5], expected finite numbers");
    }
}
