//! From what a user calls a model to the folder that holds it.

use super::ModelError;
use std::path::{Path, PathBuf};

/// The model that `make setup` fetches.
const OWN: &str = "all-MiniLM-L6-v2";

/// Whose it is on the Hugging Face hub.
const OWNER: &str = "sentence-transformers";

/// Where `setup.sh` puts models: `$SPATTEN_CACHE`, else `$XDG_CACHE_HOME/spatten`, else `~/.cache/spatten`; `None`
/// without a home.
pub fn cache_folder() -> Option<PathBuf> {
    // As `${NAME:-...}` in the shell: an empty variable is none.
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("SPATTEN_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("spatten")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/spatten")))
}

/// The folder of a model: a folder as it is, else `all-MiniLM-L6-v2` (or `sentence-transformers/all-MiniLM-L6-v2`) in
/// the cache that `make setup` fills, else, with the feature `hub`, a name on the Hugging Face hub.
///
/// # Errors
/// One line that says what to do where there is no such model.
pub fn resolve(name_or_dir: &str) -> Result<PathBuf, ModelError> {
    resolve_in(name_or_dir, cache_folder().as_deref())
}

fn resolve_in(name: &str, cache: Option<&Path>) -> Result<PathBuf, ModelError> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.exists() {
        return Err(ModelError::NotAModel { folder: path.to_owned(), found: "a file".into() });
    }
    let own = name == OWN || name.strip_prefix(OWNER).and_then(|rest| rest.strip_prefix('/')) == Some(OWN);
    let cached = cache.map(|cache| cache.join(OWN)).filter(|_| own);
    match &cached {
        Some(folder) if folder.join("model.safetensors").is_file() => Ok(folder.clone()),
        _ => fetch(name, cached.as_deref()),
    }
}

/// What is neither a folder nor in the cache.
#[cfg(not(feature = "hub"))]
fn fetch(name: &str, cached: Option<&Path>) -> Result<PathBuf, ModelError> {
    let problem = match cached {
        Some(folder) => format!("not at {}: run `make setup`, or build with `--features hub`", folder.display()),
        None => {
            format!("no such folder; known by name is {OWN} (`make setup`), others with a build with `--features hub`")
        }
    };
    Err(ModelError::Unknown { name: name.into(), problem })
}

/// Fetches from the hub, or from its own cache on this machine.
#[cfg(feature = "hub")]
fn fetch(name: &str, _cached: Option<&Path>) -> Result<PathBuf, ModelError> {
    let wrong = |problem: &dyn std::fmt::Display| ModelError::Unknown {
        name: name.into(),
        problem: super::error::one_line(format!("Hugging Face hub: {problem}")),
    };
    let full = if name.contains('/') { name.into() } else { format!("{OWNER}/{name}") };
    let repo = hf_hub::api::sync::Api::new().map_err(|e| wrong(&e))?.model(full);
    let config = repo.get("config.json").map_err(|e| wrong(&e))?;
    for file in ["tokenizer.json", "model.safetensors"] {
        repo.get(file).map_err(|e| wrong(&e))?;
    }
    // Says how the model pools; not every model has it.
    let _ = repo.get("1_Pooling/config.json");
    config.parent().map(Path::to_owned).ok_or_else(|| wrong(&"no folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_names_and_the_cache_resolve() {
        let cache = tempfile::tempdir().unwrap();
        let here = cache.path().to_str().unwrap();
        assert_eq!(resolve_in(here, None).unwrap(), cache.path());
        let file = cache.path().join("a file");
        std::fs::write(&file, "x").unwrap();
        let message = resolve_in(file.to_str().unwrap(), None).unwrap_err().to_string();
        assert!(message.contains("a file: a file, expected a model folder"), "{message}");
        let model = cache.path().join(OWN);
        std::fs::create_dir(&model).unwrap();
        std::fs::write(model.join("model.safetensors"), "").unwrap();
        for name in [OWN, "sentence-transformers/all-MiniLM-L6-v2"] {
            assert_eq!(resolve_in(name, Some(cache.path())).unwrap(), model);
        }
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn what_is_not_there_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        for (name, has) in
            [(OWN, "run `make setup`"), ("bert-tiny", "model \"bert-tiny\": no such folder"), ("", "\"\"")]
        {
            let message = resolve_in(name, Some(cache.path())).unwrap_err().to_string();
            assert!(message.contains(has) && !message.contains('\n'), "{message}");
        }
        assert!(resolve_in(OWN, None).is_err());
    }
}
