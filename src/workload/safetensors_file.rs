//! Workloads in safetensors files: `q`, `k`, `v`, optional `mask`, metadata `mode` and `scale`.

use super::{Workload, WorkloadError, array4, cut, finish, list_names, mask_values, parse_mode, quote};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use safetensors::{SafeTensorError, SafeTensors};
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use spatten_golden::trace::Mode;
use std::collections::HashSet;
use std::fmt;

/// Bytes of the header's length, before the header.
const LENGTH_BYTES: usize = 8;

/// A header takes some hundred bytes per tensor; the parsed form takes several times its text.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Reads a trace from safetensors in memory; `origin` stands for the file in messages.
///
/// # Errors
/// Where the header is damaged, a tensor is missing or has the wrong type, rank or values, or tensors do not belong
/// together.
pub fn from_safetensors(bytes: &[u8], origin: &str) -> Result<Workload, WorkloadError> {
    let (header_bytes, meta) = read_header(bytes, origin)?;
    let data = &bytes[LENGTH_BYTES + header_bytes..];
    // The crate has checked that the offsets are in range, do not overlap and hold exactly what shape and type need.
    let tensor = |name: &str| meta.info(name).map(|info| (info, &data[info.data_offsets.0..info.data_offsets.1]));
    let names = || {
        let mut names = meta.offset_keys();
        names.sort();
        names
    };
    let main = |name: &'static str| {
        let (info, data) = tensor(name).ok_or_else(|| WorkloadError::Missing {
            origin: origin.into(),
            tensor: name,
            found: list_names(&names()),
        })?;
        expect_dtype(origin, name, info, &[Dtype::F32])?;
        array4(origin, name, &info.shape, false, data)
    };
    let qkv = [main("q")?, main("k")?, main("v")?];
    let mask = match tensor("mask") {
        Some((info, data)) => {
            expect_dtype(origin, "mask", info, &[Dtype::U8, Dtype::BOOL])?;
            Some(mask_values(origin, &info.shape, data)?)
        }
        None => None,
    };
    let word = |key: &str| meta.metadata().as_ref().and_then(|m| m.get(key));
    let mode = word("mode").map_or(Ok(Mode::default()), |w| parse_mode(origin, w))?;
    let scale = match word("scale") {
        Some(text) => Some(text.trim().parse().map_err(|_| WorkloadError::Metadata {
            origin: origin.into(),
            key: "scale",
            value: quote(text),
            expected: "a number",
        })?),
        None => None,
    };
    let ignored = names().into_iter().filter(|n| !["q", "k", "v", "mask"].contains(&n.as_str())).collect();
    finish(origin, qkv, mask, mode, scale, ignored)
}

fn expect_dtype(origin: &str, name: &str, info: &TensorInfo, accepted: &[Dtype]) -> Result<(), WorkloadError> {
    if accepted.contains(&info.dtype) {
        return Ok(());
    }
    let words: Vec<String> = accepted.iter().map(Dtype::to_string).collect();
    Err(WorkloadError::Tensor {
        origin: origin.into(),
        tensor: name.into(),
        found: format!("type {}", info.dtype),
        expected: words.join(" or "),
    })
}

fn read_header(bytes: &[u8], origin: &str) -> Result<(usize, Metadata), WorkloadError> {
    let bad = |part: &str, found: String, expected: String| {
        Err(WorkloadError::Container { origin: origin.into(), part: part.into(), found, expected })
    };
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return bad("header", format!("a file of {} bytes", bytes.len()), "an 8-byte length and a header".into());
    };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        let found = format!("length {length} with {} bytes after it", rest.len());
        return bad("header", found, "a header inside the file (truncated?)".into());
    }
    if length > MAX_HEADER_BYTES {
        let what = "a header".into();
        return Err(WorkloadError::TooLarge { origin: origin.into(), what, bytes: length, limit: MAX_HEADER_BYTES });
    }
    let header = &rest[..length as usize];
    match SafeTensors::read_metadata(bytes) {
        Ok(found) => match serde_json::from_slice::<Unique>(header) {
            Ok(_) => Ok(found),
            Err(e) => bad("header", cut(&e.to_string()), "each name once".into()),
        },
        Err(SafeTensorError::InvalidHeaderDeserialization(e)) => {
            bad("header", cut(&e.to_string()), "JSON with dtype, shape and data_offsets of each tensor".into())
        }
        Err(SafeTensorError::InvalidOffset(name)) => {
            let found = format!("tensor {} begins inside or after a gap behind another", quote(&name));
            bad("data_offsets", found, "tensors one after another without overlap or gap".into())
        }
        Err(SafeTensorError::MetadataIncompleteBuffer) => {
            let described = serde_json::from_slice::<Metadata>(header).map_or(0, |m| m.data_len());
            let there = rest.len() - header.len();
            let hint = if there < described { "(truncated?)" } else { "(something was appended?)" };
            bad("data", format!("{there} bytes"), format!("the {described} bytes that the header describes {hint}"))
        }
        Err(
            SafeTensorError::TensorInvalidInfo | SafeTensorError::ValidationOverflow | SafeTensorError::MisalignedSlice,
        ) => {
            let (part, found) = wrong_size(header);
            bad(&part, found, "data_offsets as far apart as shape and type need".into())
        }
        Err(e) => bad("header", cut(&e.to_string()), "a safetensors header".into()),
    }
}

/// An object whose keys differ, and whose values that are objects are the same. The format disallows a name twice; the crate
/// takes the last one.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut seen = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if seen.contains(&key) {
                        return Err(A::Error::custom(format!("{} twice", quote(&key))));
                    }
                    seen.insert(key);
                    map.next_value::<Unique>()?;
                }
                Ok(Unique)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Unique)
            }

            fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique)
            }

            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique)
            }
        }
        d.deserialize_any(Keys)
    }
}

/// Which tensor the crate refused without naming it.
fn wrong_size(header: &[u8]) -> (String, String) {
    let tensors: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).unwrap_or_default();
    for (name, value) in tensors {
        let Ok(info) = serde_json::from_value::<TensorInfo>(value) else { continue };
        let count = info.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let bits = count.and_then(|n| n.checked_mul(info.dtype.bitsize()));
        let (from, to) = info.data_offsets;
        if bits.is_none_or(|b| b % 8 != 0 || to.checked_sub(from) != Some(b / 8)) {
            let shape = cut(&format!("{:?}", info.shape));
            return (format!("tensor {}", quote(&name)), format!("{} {shape} in bytes {from}..{to}", info.dtype));
        }
    }
    ("header".into(), "a tensor whose size overflows".into())
}
