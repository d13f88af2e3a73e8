//! Writing results: a file appears whole or not at all, and its bytes depend on its contents alone. And the progress bar.

use indicatif::{ProgressBar, ProgressStyle};
use safetensors::tensor::{Dtype, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The operating system refused.
    #[error("{}: cannot write: {source}", one_line(.path))]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The path names something that a file cannot replace, or lies nowhere.
    #[error("{}: cannot write: {found}, expected {expected}", one_line(.path))]
    Place {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        found: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// The path is that of another file of the same run.
    #[error("{}: cannot write: it is also {other}, expected a file of its own", one_line(.path))]
    Collision {
        /// The file.
        path: PathBuf,
        /// What else it is.
        other: &'static str,
    },
}

fn one_line(path: &Path) -> String {
    let text = path.display().to_string();
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Checks that [`write_atomically`] can work, before hours of work whose result would be lost. Leaves nothing behind.
///
/// # Errors
/// Where the folder does not exist or cannot be written, or the path is a directory or device.
pub fn check_writable(path: &Path) -> Result<(), OutputError> {
    temporary(path).map(drop)
}

/// [`check_writable`] for every output of a run, which must be neither one of its inputs nor another of its outputs. Each has
/// its name for messages.
///
/// # Errors
/// As [`check_writable`], and where two names are one file.
pub fn check_places(outputs: &[(&'static str, &Path)], inputs: &[(&'static str, &Path)]) -> Result<(), OutputError> {
    for (i, (_, path)) in outputs.iter().enumerate() {
        check_writable(path)?;
        let others = inputs.iter().chain(&outputs[..i]);
        let same = others.into_iter().find(|(_, other)| resolved(other) == resolved(path));
        if let Some((other, _)) = same {
            return Err(OutputError::Collision { path: path.to_path_buf(), other });
        }
    }
    Ok(())
}

/// One path for all names of a file, whether it exists or not.
fn resolved(path: &Path) -> PathBuf {
    let in_folder = |path: &Path| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(|| in_folder(path)).unwrap_or_else(|| path.into())
}

/// Writes to standard output. A reader that has gone has read what it wanted: that is no error.
///
/// # Errors
/// Where the system refuses, for example because the disk behind a redirection is full.
pub fn say(text: &str) -> Result<(), OutputError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(OutputError::Write { path: "standard output".into(), source: e })
        }
        _ => Ok(()),
    }
}

/// Writes a file so that it has all of `bytes` or, after an error or interruption, is as it was before.
///
/// A link is followed: the file that it names is replaced, not the link.
///
/// # Errors
/// As [`check_writable`], and where the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let write_error = |source| OutputError::Write { path: path.into(), source };
    let (mut file, target) = temporary(path)?;
    file.write_all(bytes).map_err(write_error)?;
    // The name must not reach the disk before the contents do.
    file.as_file().sync_all().map_err(write_error)?;
    file.persist(target).map_err(|e| write_error(e.error))?;
    Ok(())
}

/// An empty file beside the target, and the target with links resolved. The file is removed when dropped.
fn temporary(path: &Path) -> Result<(tempfile::NamedTempFile, PathBuf), OutputError> {
    let place = |found, expected| OutputError::Place { path: path.into(), found, expected };
    if path.as_os_str().is_empty() {
        return Err(place("an empty path", "a file name"));
    }
    // `x/` and `x/..` name folders, which `file_name` does not always say.
    let ends_in_separator = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if path.file_name().is_none() || ends_in_separator {
        return Err(place("the path of a folder", "a file name"));
    }
    let target = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(place("a directory", "a file or nothing there")),
        Ok(meta) if !meta.is_file() => return Err(place("a pipe, device or socket", "a file or nothing there")),
        Ok(_) => path.canonicalize().map_err(|source| OutputError::Write { path: path.into(), source })?,
        Err(_) => path.to_path_buf(),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match std::fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(place("its parent is not a directory", "an existing folder")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(place("its parent does not exist", "an existing folder"));
        }
        Err(source) => return Err(OutputError::Write { path: path.into(), source }),
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spatten-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // tempfile's own choice is 0600; with this the umask decides, as for any other new file.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder).map_err(|source| OutputError::Write {
        path: path.into(),
        // tempfile appends the folder; the line names the path already.
        source: source.kind().into(),
    })?;
    Ok((file, target))
}

/// Named tensors for a safetensors file.
///
/// # Examples
/// ```
/// let bytes = spatten::output::OutTensors::new()
///     .f32("out", &[1, 2], &[0.5, -1.0])
///     .u8("survivors", &[3], &[1, 0, 1])
///     .metadata("arch", "tiny")
///     .to_bytes();
/// assert_eq!(safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("out").unwrap().shape(), [1, 2]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct OutTensors {
    tensors: BTreeMap<String, OutTensor>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct OutTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &OutTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl OutTensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an f32 tensor, row by row.
    ///
    /// # Panics
    /// Where the shape does not hold as many numbers, or the name is taken.
    #[track_caller]
    #[must_use]
    pub fn f32(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.add(name, Dtype::F32, shape, values.len(), bytes)
    }

    /// Adds a u8 tensor, row by row.
    ///
    /// # Panics
    /// Where the shape does not hold as many numbers, or the name is taken.
    #[track_caller]
    #[must_use]
    pub fn u8(self, name: &str, shape: &[usize], values: &[u8]) -> Self {
        self.add(name, Dtype::U8, shape, values.len(), values.to_vec())
    }

    /// Adds a word about the whole file; a later one of the same key replaces it.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    #[track_caller]
    fn add(mut self, name: &str, dtype: Dtype, shape: &[usize], count: usize, bytes: Vec<u8>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), count, "tensor {name}: shape {shape:?} for {count} numbers");
        assert_ne!(name, METADATA, "a tensor cannot have this name");
        let before = self.tensors.insert(name.into(), OutTensor { dtype, shape: shape.to_vec(), bytes });
        assert!(before.is_none(), "tensor {name}: added twice");
        self
    }

    /// The file: the same tensors and metadata give the same bytes, in whatever order they were added.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = safetensors::serialize(&self.tensors, None).expect("shapes were checked when they were added");
        if self.metadata.is_empty() {
            return bytes;
        }
        // The crate takes metadata as a hash map and writes it in that map's order, another in every process.
        let (length, rest) = bytes.split_first_chunk::<8>().expect("a file begins with its header's length");
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let tensors = std::str::from_utf8(header).expect("a header is JSON").trim_end();
        let metadata = serde_json::to_string(&self.metadata).expect("strings are JSON");
        let comma = if self.tensors.is_empty() { "" } else { "," };
        let mut header = format!("{{\"{METADATA}\":{metadata}{comma}{}", &tensors[1..]);
        // Data begins at a multiple of 8, as the crate has it.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }
}

/// The header's key for words about the whole file.
const METADATA: &str = "__metadata__";

/// A bar on a terminal, nothing otherwise.
pub fn progress(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {eta}").expect("the template is valid");
    ProgressBar::new(length as u64).with_style(style.progress_chars("=> ")).with_message(what)
}

#[cfg(test)]
mod tests;
