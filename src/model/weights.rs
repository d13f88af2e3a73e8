//! `model.safetensors`: tensors by name, shapes checked before anything is converted.

use super::error::{ModelError, one_line};
use ndarray::{Array1, Array2};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use std::path::Path;

/// The tensors of one file.
pub(super) struct Weights<'a> {
    file: &'a Path,
    tensors: SafeTensors<'a>,
    /// `bert.` where the encoder stands under a task's head, else empty.
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    pub fn parse(file: &'a Path, bytes: &'a [u8]) -> Result<Self, ModelError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| {
            let hint = match error {
                SafeTensorError::MetadataIncompleteBuffer
                | SafeTensorError::HeaderTooSmall
                | SafeTensorError::InvalidHeaderLength => {
                    format!(" (the file has {} bytes: was its download cut short?)", bytes.len())
                }
                _ => String::new(),
            };
            ModelError::malformed(file, format!("not a whole safetensors file: {error}{hint}"))
        })?;
        let prefixed = tensors.iter().any(|(name, _)| name.starts_with("bert.embeddings."));
        Ok(Self { file, tensors, prefix: if prefixed { "bert." } else { "" } })
    }

    fn refuse<T>(&self, name: &str, found: String, expected: String) -> Result<T, ModelError> {
        Err(ModelError::Tensor {
            file: self.file.to_owned(),
            tensor: format!("{}{name}", self.prefix),
            found,
            expected,
        })
    }

    /// A tensor of this shape as finite f32; F16 and BF16 are exact in it.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let expected = format!("F32, F16 or BF16 {shape:?}");
        let Ok(view) = self.tensors.tensor(&format!("{}{name}", self.prefix)) else {
            return self.refuse(name, "missing".into(), expected);
        };
        // A shape may have as many dimensions as fit the file.
        let kind = |view: &TensorView<'_>| one_line(format!("{} {:?}", view.dtype(), view.shape()));
        if view.shape() != shape {
            return self.refuse(name, kind(&view), expected);
        }
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F16 => view.data().as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => view.data().as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
            _ => return self.refuse(name, kind(&view), expected),
        };
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => self.refuse(name, format!("{} at element {at}", values[at]), "finite numbers".into()),
            None => Ok(values),
        }
    }

    /// A vector.
    pub fn vector(&self, name: &str, len: usize) -> Result<Array1<f64>, ModelError> {
        Ok(self.values(name, &[len])?.into_iter().map(f64::from).collect())
    }

    /// A table that stays f32.
    pub fn table(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, ModelError> {
        let values = self.values(name, &[rows, columns])?;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("the shape was checked"))
    }
}
