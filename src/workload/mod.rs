//! Reading workloads: traces with tensors (safetensors, npz, npy) and the authors' count files (CSV).
//!
//! A file is recognised by what it holds, never by its name. Nothing is allocated from a size that the file claims before
//! that size has been compared with the bytes that are there. Every error is one line: file, what, what was expected.

pub mod counts;
mod npy;
mod npz;
mod safetensors_file;

pub use npy::from_npy;
pub use npz::{MAX_NPZ_BYTES, from_npz};
pub use safetensors_file::from_safetensors;

use counts::CountTrace;
use ndarray::Array4;
use spatten_golden::trace::{Mode, Trace, TraceError};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A larger workload is refused before it is read: the tensors are held in memory twice while they are converted.
pub const MAX_FILE_BYTES: u64 = 8 << 30;

/// Text quoted from a file is cut here, so that a message stays one readable line.
const MAX_QUOTED_CHARS: usize = 80;

/// What a workload file holds.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one workload per run; a box would only be in the way")]
pub enum Workload {
    /// Tensors.
    Trace {
        /// Q, K, V, mask, mode and scale.
        trace: Trace,
        /// Names of the file's other tensors, sorted; the report lists them.
        ignored: Vec<String>,
    },
    /// Counts without tensors.
    Counts(CountTrace),
}

/// A workload that cannot be read or is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The operating system refused.
    #[error("{}: cannot read the workload: {source}", one_line(.path))]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A directory, pipe, device or socket.
    #[error("{}: expected a workload file, found a {found}", one_line(.path))]
    NotAFile {
        /// The path.
        path: String,
        /// What it is instead.
        found: &'static str,
    },
    /// Larger than this program reads.
    #[error("{}: {what} of {bytes} bytes is too large, expected at most {limit}", one_line(.origin))]
    TooLarge {
        /// The file.
        origin: String,
        /// The file or a part of it.
        what: String,
        /// Its size.
        bytes: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// None of the formats.
    #[error(
        "{}: the format is not recognised: {found}, expected safetensors, npz, npy or a CSV whose first line starts with \
         iteration_id",
        one_line(.origin)
    )]
    Unrecognised {
        /// The file.
        origin: String,
        /// How it begins.
        found: String,
    },
    /// The container around the tensors is damaged.
    #[error("{}: {part}: {found}, expected {expected}", one_line(.origin))]
    Container {
        /// The file.
        origin: String,
        /// Which part of it.
        part: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A tensor that must be there is not.
    #[error("{}: tensor {tensor} is missing, expected q, k and v; found {found}", one_line(.origin))]
    Missing {
        /// The file.
        origin: String,
        /// The tensor's name.
        tensor: &'static str,
        /// What the file has instead.
        found: String,
    },
    /// A tensor of the wrong type, rank or value.
    #[error("{}: tensor {tensor}: {found}, expected {expected}", one_line(.origin))]
    Tensor {
        /// The file.
        origin: String,
        /// The tensor's name.
        tensor: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A word or number about the whole trace that means nothing.
    #[error("{}: metadata {key} = {value}, expected {expected}", one_line(.origin))]
    Metadata {
        /// The file.
        origin: String,
        /// `mode` or `scale`.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        expected: &'static str,
    },
    /// Tensors that do not belong together, or numbers that are not finite.
    #[error("{}: {source}", one_line(.origin))]
    Trace {
        /// The file.
        origin: String,
        /// Which tensor and why.
        source: TraceError,
    },
    /// A line of a count file.
    #[error("{}:{line}: {what}: {found}, expected {expected}", one_line(.origin))]
    Csv {
        /// The file.
        origin: String,
        /// Line, from 1.
        line: u64,
        /// Column or part of the line.
        what: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
}

/// Reads a workload file. For a single `.npy` the path is that of `q.npy`, with `k.npy`, `v.npy` and an optional
/// `mask.npy` beside it.
///
/// # Errors
/// Where the file cannot be read, is no regular file, or is not a workload; the message names the file, the tensor or
/// line, and what was expected.
pub fn load(path: &Path) -> Result<Workload, WorkloadError> {
    let bytes = read_file(path)?;
    if bytes.starts_with(npy::MAGIC) {
        return load_npy_folder(path, bytes);
    }
    parse(&bytes, &path.display().to_string())
}

/// Reads a workload from memory; `origin` stands for the file in messages.
///
/// # Errors
/// As [`load`]; also for npy, whose three tensors are three files.
pub fn parse(bytes: &[u8], origin: &str) -> Result<Workload, WorkloadError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if text.starts_with(counts::COLUMNS[0].as_bytes()) {
        return counts::from_csv(bytes, origin).map(Workload::Counts);
    }
    if bytes.starts_with(b"PK") {
        return from_npz(bytes, origin);
    }
    if bytes.starts_with(npy::MAGIC) {
        return Err(WorkloadError::Container {
            origin: origin.into(),
            part: "npy".into(),
            found: "one tensor".into(),
            expected: "q, k and v: give the path of q.npy with k.npy and v.npy beside it, or an npz".into(),
        });
    }
    if bytes.get(8) == Some(&b'{') {
        return from_safetensors(bytes, origin);
    }
    let found = match bytes {
        [] => "an empty file".into(),
        _ => format!("{} bytes that begin with {}", bytes.len(), quote_bytes(&bytes[..bytes.len().min(16)])),
    };
    Err(WorkloadError::Unrecognised { origin: origin.into(), found })
}

/// Reads a count file from memory; see [`counts::from_csv`].
///
/// # Errors
/// As [`load`].
pub fn from_csv(bytes: &[u8], origin: &str) -> Result<Workload, WorkloadError> {
    counts::from_csv(bytes, origin).map(Workload::Counts)
}

fn load_npy_folder(path: &Path, q: Vec<u8>) -> Result<Workload, WorkloadError> {
    let origin = path.display().to_string();
    if path.file_name().is_none_or(|name| name != "q.npy") {
        return Err(WorkloadError::Container {
            origin,
            part: "npy".into(),
            found: "a file with one tensor".into(),
            expected: "the path of q.npy, with k.npy and v.npy beside it, or an npz".into(),
        });
    }
    let beside = |name: &str| path.with_file_name(name);
    let k = read_file(&beside("k.npy"))?;
    let v = read_file(&beside("v.npy"))?;
    let mask = match std::fs::symlink_metadata(beside("mask.npy")) {
        Ok(_) => Some(read_file(&beside("mask.npy"))?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(WorkloadError::Read { path: beside("mask.npy").display().to_string(), source }),
    };
    from_npy(&q, &k, &v, mask.as_deref(), &origin)
}

/// Reads a regular file; anything else is refused before it is opened, because opening a pipe can wait for ever.
fn read_file(path: &Path) -> Result<Vec<u8>, WorkloadError> {
    let name = || path.display().to_string();
    let read_error = |source| WorkloadError::Read { path: name(), source };
    if path == PathBuf::new() {
        return Err(read_error(std::io::ErrorKind::NotFound.into()));
    }
    let meta = std::fs::metadata(path).map_err(read_error)?;
    if !meta.is_file() {
        let found = if meta.is_dir() { "directory" } else { "pipe, device or socket" };
        return Err(WorkloadError::NotAFile { path: name(), found });
    }
    let too_large =
        |bytes| WorkloadError::TooLarge { origin: name(), what: "a file".into(), bytes, limit: MAX_FILE_BYTES };
    if meta.len() > MAX_FILE_BYTES {
        return Err(too_large(meta.len()));
    }
    let mut bytes = Vec::new();
    // A sparse file has the size it claims, so the memory may still not be there: that is an error, not an abort.
    bytes.try_reserve_exact(meta.len() as usize).map_err(|_| read_error(std::io::ErrorKind::OutOfMemory.into()))?;
    let file = std::fs::File::open(path).map_err(read_error)?;
    // One byte beyond the limit shows that the file grew since it was measured.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Control characters escaped, so that a file name or a library's message cannot break the line.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Text from a file in quotes, escaped and cut.
fn quote(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(MAX_QUOTED_CHARS).collect();
    let rest = if chars.next().is_some() { "..." } else { "" };
    format!("{head:?}{rest}")
}

/// Bytes from a file in quotes, escaped and cut.
fn quote_bytes(bytes: &[u8]) -> String {
    // Four bytes at most make a character, so this much is enough for the quoted length.
    quote(&String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_QUOTED_CHARS * 4 + 4)]))
}

/// A library's message, escaped and cut: it may quote the file.
fn cut(message: &str) -> String {
    let line = one_line(message);
    match line.char_indices().nth(2 * MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Names for a message: the first few, escaped and cut.
fn list_names(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "no tensors".into();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| quote(n)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Little-endian f32 of a 4-d tensor; `data` has been found to hold exactly the shape's product.
fn array4(
    origin: &str,
    tensor: &'static str,
    shape: &[usize],
    fortran: bool,
    data: &[u8],
) -> Result<Array4<f32>, WorkloadError> {
    use ndarray::ShapeBuilder;
    let bad = |expected: &str| WorkloadError::Tensor {
        origin: origin.into(),
        tensor: tensor.into(),
        found: format!("shape {}", cut(&format!("{shape:?}"))),
        expected: expected.into(),
    };
    let heads = if tensor == "q" { "[layers, heads, L0, D]" } else { "[layers, kv_heads, L1, D]" };
    let &[a, b, c, d] = shape else {
        return Err(bad(&format!("4 dimensions {heads}")));
    };
    if shape.contains(&0) {
        return Err(bad(&format!("{heads} with no dimension 0")));
    }
    let values: Vec<f32> = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let array = Array4::from_shape_vec((a, b, c, d).set_f(fortran), values)
        .map_err(|_| bad(&format!("as many numbers as the {} bytes hold", data.len())))?;
    Ok(if fortran { array.as_standard_layout().into_owned() } else { array })
}

/// The mask's bytes as booleans.
fn mask_values(origin: &str, shape: &[usize], data: &[u8]) -> Result<Vec<bool>, WorkloadError> {
    let bad = |found: String, expected: &str| WorkloadError::Tensor {
        origin: origin.into(),
        tensor: "mask".into(),
        found,
        expected: expected.into(),
    };
    if shape.len() != 1 {
        return Err(bad(format!("shape {}", cut(&format!("{shape:?}"))), "1 dimension [L1]"));
    }
    if let Some(i) = data.iter().position(|&x| x > 1) {
        return Err(bad(format!("{} at [{i}]", data[i]), "0 (padding) or 1 (a real token)"));
    }
    Ok(data.iter().map(|&x| x == 1).collect())
}

fn parse_mode(origin: &str, word: &str) -> Result<Mode, WorkloadError> {
    Mode::from_name(word).ok_or_else(|| WorkloadError::Metadata {
        origin: origin.into(),
        key: "mode",
        value: quote(word),
        expected: "encoder, causal or decode",
    })
}

fn finish(
    origin: &str,
    [q, k, v]: [Array4<f32>; 3],
    mask: Option<Vec<bool>>,
    mode: Mode,
    scale: Option<f64>,
    mut ignored: Vec<String>,
) -> Result<Workload, WorkloadError> {
    ignored.sort();
    let trace = Trace::new(q, k, v, mask, mode, scale)
        .map_err(|source| WorkloadError::Trace { origin: origin.into(), source })?;
    Ok(Workload::Trace { trace, ignored })
}

#[cfg(test)]
mod tests;
