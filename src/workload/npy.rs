//! The npy format: a magic, a version, a Python dictionary, and the numbers.
//! Format: numpy `lib/format.py`, versions 1.0, 2.0 and 3.0.

use super::{Workload, WorkloadError, array4, finish, mask_values, parse_mode, quote, quote_bytes};
use ndarray::Array4;
use spatten_golden::trace::Mode;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// numpy's own limit (`max_header_size`).
const MAX_HEADER_BYTES: usize = 10_000;

/// Reads a trace from the contents of `q.npy`, `k.npy`, `v.npy` and perhaps `mask.npy`: encoder, default scale.
///
/// # Errors
/// As [`super::from_npz`].
pub fn from_npy(q: &[u8], k: &[u8], v: &[u8], mask: Option<&[u8]>, origin: &str) -> Result<Workload, WorkloadError> {
    let qkv = [
        tensor4(origin, "q", q)?, //
        tensor4(origin, "k", k)?,
        tensor4(origin, "v", v)?,
    ];
    let mask = mask.map(|m| mask_tensor(origin, m)).transpose()?;
    finish(origin, qkv, mask, Mode::default(), None, vec![])
}

/// An array as it stands in the file.
struct Npy<'a> {
    /// numpy's type string, such as `<f4`.
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
    data: &'a [u8],
}

pub(super) fn tensor4(origin: &str, name: &'static str, bytes: &[u8]) -> Result<Array4<f32>, WorkloadError> {
    let npy = Npy::parse(origin, name, bytes)?;
    npy.expect_type(origin, name, &["<f4"], "f32 little-endian ('<f4')")?;
    array4(origin, name, &npy.shape, npy.fortran, npy.sized(origin, name, 4)?)
}

pub(super) fn mask_tensor(origin: &str, bytes: &[u8]) -> Result<Vec<bool>, WorkloadError> {
    let npy = Npy::parse(origin, "mask", bytes)?;
    npy.expect_type(origin, "mask", &["|u1", "<u1", "|b1"], "u8 ('|u1') or bool ('|b1')")?;
    mask_values(origin, &npy.shape, npy.sized(origin, "mask", 1)?)
}

/// The word of a 0-d string, unicode (`<U7`) or bytes (`|S7`).
pub(super) fn mode(origin: &str, bytes: &[u8]) -> Result<Mode, WorkloadError> {
    /// The longest word has 7 letters; room to quote a wrong one.
    const MAX_LETTERS: usize = 256;
    let npy = Npy::parse(origin, "mode", bytes)?;
    let letters = |prefixes: [&str; 2]| {
        let digits = prefixes.iter().find_map(|p| npy.descr.strip_prefix(p))?;
        digits.parse::<usize>().ok().filter(|n| (1..=MAX_LETTERS).contains(n))
    };
    npy.expect_scalar(origin, "mode")?;
    let word = if let Some(n) = letters(["<U", "|U"]) {
        let data = npy.sized(origin, "mode", 4 * n)?;
        let code = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        data.chunks_exact(4).map(|b| char::from_u32(code(b)).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    } else if let Some(n) = letters(["|S", "<S"]) {
        String::from_utf8_lossy(npy.sized(origin, "mode", n)?).into_owned()
    } else {
        return Err(npy.wrong_type(origin, "mode", "a string ('<U7' or '|S7')"));
    };
    parse_mode(origin, word.trim_end_matches('\0'))
}

/// The number of a 0-d f32 or f64.
pub(super) fn scale(origin: &str, bytes: &[u8]) -> Result<f64, WorkloadError> {
    let npy = Npy::parse(origin, "scale", bytes)?;
    npy.expect_type(origin, "scale", &["<f4", "<f8"], "f32 or f64 little-endian ('<f4' or '<f8')")?;
    npy.expect_scalar(origin, "scale")?;
    if npy.descr == "<f8" {
        let data = npy.sized(origin, "scale", 8)?;
        return Ok(f64::from_le_bytes(std::array::from_fn(|i| data[i])));
    }
    let data = npy.sized(origin, "scale", 4)?;
    Ok(f64::from(f32::from_le_bytes(std::array::from_fn(|i| data[i]))))
}

impl<'a> Npy<'a> {
    fn parse(origin: &str, name: &str, bytes: &'a [u8]) -> Result<Self, WorkloadError> {
        let bad = |found: String, expected: &str| WorkloadError::Container {
            origin: origin.into(),
            part: format!("npy header of {name}"),
            found,
            expected: expected.into(),
        };
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            let found = format!("{} bytes beginning with {}", bytes.len(), quote_bytes(&bytes[..bytes.len().min(8)]));
            return Err(bad(found, "the magic \\x93NUMPY"));
        };
        let (length, rest) = match rest {
            [1, 0, a, b, rest @ ..] => (u32::from(u16::from_le_bytes([*a, *b])), rest),
            [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
            [major, minor, ..] if !matches!((major, minor), (1..=3, 0)) => {
                return Err(bad(format!("version {major}.{minor}"), "version 1.0, 2.0 or 3.0"));
            }
            _ => return Err(bad(format!("{} bytes", bytes.len()), "a version and a header length (truncated?)")),
        };
        let length = length as usize;
        if length > rest.len() {
            return Err(bad(format!("length {length} with {} bytes after it", rest.len()), "a header inside the file"));
        }
        if length > MAX_HEADER_BYTES {
            return Err(bad(format!("length {length}"), "at most 10000 bytes"));
        }
        let (header, data) = rest.split_at(length);
        let text = std::str::from_utf8(header).map_err(|_| bad(quote_bytes(header), "text"))?;
        let (descr, fortran, shape) = parse_dictionary(text).map_err(|expected| bad(quote(text.trim()), expected))?;
        Ok(Self { descr, fortran, shape, data })
    }

    fn wrong_type(&self, origin: &str, name: &str, expected: &str) -> WorkloadError {
        let found = format!("type {}", quote(&self.descr));
        WorkloadError::Tensor { origin: origin.into(), tensor: name.into(), found, expected: expected.into() }
    }

    fn expect_type(&self, origin: &str, name: &str, accepted: &[&str], words: &str) -> Result<(), WorkloadError> {
        match accepted.contains(&self.descr.as_str()) {
            true => Ok(()),
            false => Err(self.wrong_type(origin, name, words)),
        }
    }

    fn expect_scalar(&self, origin: &str, name: &str) -> Result<(), WorkloadError> {
        if self.shape.is_empty() || self.shape == [1] {
            return Ok(());
        }
        let (found, expected) = (super::cut(&format!("shape {:?}", self.shape)), "a single value, shape []".into());
        Err(WorkloadError::Tensor { origin: origin.into(), tensor: name.into(), found, expected })
    }

    /// The data, exactly as many bytes as the shape needs.
    fn sized(&self, origin: &str, name: &str, item_bytes: usize) -> Result<&'a [u8], WorkloadError> {
        let bytes = self.shape.iter().try_fold(item_bytes, |n, &d| n.checked_mul(d));
        if bytes == Some(self.data.len()) {
            return Ok(self.data);
        }
        let shape = super::cut(&format!("shape {:?}", self.shape));
        Err(WorkloadError::Tensor {
            origin: origin.into(),
            tensor: name.into(),
            found: format!("{} bytes of data for {shape}", self.data.len()),
            expected: bytes.map_or("a shape that fits memory".into(), |n| format!("{n} bytes")),
        })
    }
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3, 4), }` in any order of keys; the error says what was
/// expected. Not a Python parser: nothing else can be a plain array.
fn parse_dictionary(text: &str) -> Result<(String, bool, Vec<usize>), &'static str> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let body = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or("a dictionary in braces")?;
    let mut rest = body.trim();
    while !rest.is_empty() {
        let (key, after) = string(rest).ok_or("quoted keys")?;
        let value = after.trim_start().strip_prefix(':').ok_or("a colon after each key")?.trim_start();
        let seen_before;
        (seen_before, rest) = match key {
            "descr" if value.starts_with('[') => return Err("a plain type such as '<f4', not a structured one"),
            "descr" => {
                let (word, after) = string(value).ok_or("a quoted type such as '<f4'")?;
                (descr.replace(word.to_string()).is_some(), after)
            }
            "fortran_order" => match (value.strip_prefix("True"), value.strip_prefix("False")) {
                (Some(after), _) => (fortran.replace(true).is_some(), after),
                (_, Some(after)) => (fortran.replace(false).is_some(), after),
                _ => return Err("fortran_order True or False"),
            },
            "shape" => {
                let inner = value.strip_prefix('(').ok_or("a shape in parentheses")?;
                let (inner, after) = inner.split_once(')').ok_or("a shape in parentheses")?;
                (shape.replace(dimensions(inner)?).is_some(), after)
            }
            _ => return Err("only the keys descr, fortran_order and shape"),
        };
        if seen_before {
            return Err("each key once");
        }
        rest = rest.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').ok_or("commas between entries")?.trim_start();
        }
    }
    match (descr, fortran, shape) {
        (Some(d), Some(f), Some(s)) => Ok((d, f, s)),
        _ => Err("the keys descr, fortran_order and shape"),
    }
}

/// A quoted string without escapes, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn dimensions(text: &str) -> Result<Vec<usize>, &'static str> {
    let text = text.trim();
    let text = text.strip_suffix(',').unwrap_or(text);
    if text.is_empty() {
        return Ok(vec![]);
    }
    // Python 2 wrote long integers with an L.
    let number = |t: &str| t.trim().trim_end_matches('L').parse();
    text.split(',').map(number).collect::<Result<_, _>>().map_err(|_| "whole numbers in the shape")
}
