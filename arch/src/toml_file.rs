//! Reading TOML files with errors that fit on one line.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// No configuration or plan comes near this; a larger file is the wrong file and is not read into memory.
const MAX_BYTES: u64 = 16 << 20;

/// A file could not be read or is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{path}: cannot read {what}: {source}")]
    Read {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A directory, device or other thing that is not a plain file.
    #[error("{path}: expected a file with {what}, found a {found}")]
    NotAFile {
        /// What the file should hold.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// Larger than any such file can sensibly be.
    #[error("{path}: {bytes} bytes is too large for {what}, expected at most {MAX_BYTES}")]
    TooLarge {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Text that is not TOML or has unknown keys or wrong types.
    #[error("{origin}{line}: {message}")]
    Parse {
        /// File name, or a label for text from elsewhere.
        origin: String,
        /// `:LINE`, or empty where the parser gives no place.
        line: String,
        /// What was found and what was expected.
        message: String,
    },
}

pub(crate) fn read(path: &Path, what: &'static str) -> Result<String, FileError> {
    let read_error = |source| FileError::Read { what, path: path.into(), source };
    let meta = std::fs::metadata(path).map_err(read_error)?;
    if !meta.is_file() {
        let found = if meta.is_dir() { "directory" } else { "special file" };
        return Err(FileError::NotAFile { what, path: path.into(), found });
    }
    if meta.len() > MAX_BYTES {
        return Err(FileError::TooLarge { what, path: path.into(), bytes: meta.len() });
    }
    std::fs::read_to_string(path).map_err(read_error)
}

/// Reads a TOML file; `what` says in errors what it should hold.
///
/// # Errors   not a plain file, larger than 16 MiB, not UTF-8, not TOML, unknown keys or wrong types
pub fn load<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, FileError> {
    parse(&read(path, what)?, &path.display().to_string())
}

/// Text that may come from a file, fit for one line of a terminal.
pub fn one_line(text: &str) -> String {
    text.replace('\n', "; ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The same from text; errors name it `origin`.
///
/// # Errors   not TOML, unknown keys or wrong types
pub fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|e| FileError::Parse {
        origin: one_line(origin),
        line: match e.span() {
            Some(span) => format!(":{}", 1 + text[..span.start.min(text.len())].matches('\n').count()),
            None => String::new(),
        },
        message: one_line(e.message()),
    })
}
