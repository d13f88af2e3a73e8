//! What can be wrong with a model folder.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A model that cannot be used. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A folder that holds no model, or something that is no folder.
    #[error(
        "{}: {found}, expected a model folder with config.json, model.safetensors and tokenizer.json",
        folder.display()
    )]
    NotAModel {
        /// What was to be loaded.
        folder: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A file that cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is cut short, or not of its kind.
    #[error("{}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What its parser says.
        problem: String,
    },
    /// A model of another kind, or a number that does not fit.
    #[error("{}: {key} = {found}, expected {expected}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// Key in the file.
        key: String,
        /// Its value, `nothing` where it is absent.
        found: String,
        /// What can be used.
        expected: String,
    },
    /// A weight that is missing, or has another shape or type.
    #[error("{}: tensor {tensor}: {found}, expected {expected}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// What is there.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A text that the tokenizer refuses.
    #[error("tokenizer: {problem}")]
    Tokenize {
        /// What the tokenizer says.
        problem: String,
    },
    /// A name that stands for no model on this machine.
    #[error("model {name:?}: {problem}")]
    Unknown {
        /// The name.
        name: String,
        /// What was tried, and what to do.
        problem: String,
    },
}

impl ModelError {
    /// A parser's complaint, on one line.
    pub(super) fn malformed(file: &Path, problem: impl ToString) -> Self {
        Self::Malformed { file: file.to_owned(), problem: one_line(problem) }
    }
}

/// Any text as one printable line of bounded length: what other crates say may hold line ends, names that a file gives
/// with control characters in them, or a whole file.
pub(super) fn one_line(text: impl ToString) -> String {
    const LONGEST: usize = 200;
    let text = text.to_string();
    let mut line = spatten_arch::toml_file::one_line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread, now, will be answered as an error of the input: a panic hook has nothing to say then.
pub fn panics_are_answered() -> bool {
    GUARDED.get()
}

/// What `run` returns, or why it panicked. For the tokenizers crate alone, which indexes with what a file says: a file of
/// another's making that it stumbles over is bad input, and nothing that it was working on is used afterwards.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        message.or(payload.downcast_ref::<&str>().copied()).unwrap_or("cannot be used").to_owned()
    })
}

/// A whole file. Only the bytes that are there are allocated, whatever the file claims inside.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, ModelError> {
    let read_error = |source| ModelError::Read { file: file.to_owned(), source };
    // A device has no end, and a pipe may never begin.
    if !std::fs::metadata(file).map_err(read_error)?.is_file() {
        return Err(ModelError::malformed(file, "a directory, device or pipe, expected a file"));
    }
    std::fs::read(file).map_err(read_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_of_others_become_errors() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert!(!panics_are_answered());
        let results: [Result<(), String>; 3] =
            [guarded(|| panic!("word")), guarded(|| panic!("{}", 7)), guarded(|| std::panic::panic_any(7))];
        assert_eq!(results, ["word", "7", "cannot be used"].map(|text| Err(text.into())));
        assert!(!panics_are_answered());
    }

    #[test]
    fn other_peoples_messages_become_one_bounded_line() {
        assert_eq!(one_line("a\n  b\r\nc"), "a b c");
        assert_eq!(one_line("\u{1b}[31m\u{7f}\u{9b}"), "?[31m??", "a terminal obeys none of it");
        let long = one_line("é".repeat(1000));
        assert_eq!(long.chars().count(), 204);
        assert!(long.ends_with(" ..."));
    }
}
