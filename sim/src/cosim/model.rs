//! One running instance of a Verilated module.

use super::lanes::mask;
use super::{Bits, Built, CosimError};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// What registers and memories hold before reset. Verilator has two states: X is not propagated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Zeros: finds nothing, for demonstrations.
    Zeros,
    /// Random bits from a seed, so that a register that reset forgets shows. The bits differ between Verilator versions.
    Random(u64),
}

/// Which side drives a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Driven by the harness.
    Input,
    /// Driven by the module.
    Output,
}

/// A port of the top module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the Verilog text.
    pub name: String,
    /// Number of bits.
    pub width: u32,
    /// Who drives it.
    pub direction: Direction,
}

/// A port that was looked up; use it with the model that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(usize);

// `Api` and `RawPort` mirror shim.cpp.in.
#[repr(C)]
struct RawPort {
    name: *const c_char,
    width: u32,
    bytes: u32,
    input: u32,
}

#[repr(C)]
struct Api {
    version: u32,
    port_count: u32,
    ports: *const RawPort,
    create: unsafe extern "C" fn(i32, i32) -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    address: unsafe extern "C" fn(*mut c_void, u32) -> *mut c_void,
    eval: unsafe extern "C" fn(*mut c_void) -> c_int,
    step: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    time: unsafe extern "C" fn(*mut c_void) -> u64,
    stopped: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    log: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    waves_open: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    waves_close: unsafe extern "C" fn(*mut c_void),
    coverage_write: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
}

/// Where a port's value lives: `bytes` is 1, 2, 4, 8, or for more than 64 bits 4 per word.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: NonNull<u8>,
    width: u32,
    bytes: u32,
    input: bool,
}

/// A running model. Every instance has its own state, time and messages.
///
/// One cycle is: set inputs, [`eval`](Self::eval), read outputs, [`step`](Self::step).
///
/// | when | what holds |
/// | --- | --- |
/// | after `eval` | the clock is low, outputs are those of the current cycle for the inputs set |
/// | `step` | inputs settle with the clock low (as in `eval`), then the rising edge samples them |
/// | after `step` | registers are those of the next cycle, inputs are unchanged |
///
/// An input that is set after `eval` changes outputs only after another `eval` or `step`.
#[derive(Debug)]
pub struct Model {
    api: &'static Api,
    handle: NonNull<c_void>,
    top: String,
    ports: Vec<Port>,
    places: Vec<Place>,
    /// No input was set since the last `eval`.
    settled: bool,
    cycle: u64,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api {{ port_count: {} }}", self.port_count)
    }
}

// SAFETY: all state of a model is behind `handle` and is reached through `&mut self` or, read only, `&self`; it has its own
// context, and what the runtime keeps per thread is set anew on every call. (It is not Sync: raw pointers make it so.)
unsafe impl Send for Model {}

impl Model {
    /// Loads a library and constructs an instance; all inputs are 0.
    ///
    /// # Errors
    /// A library that the loader refuses, a module that stops while it is constructed.
    pub fn load(built: &Built, init: Init) -> Result<Self, CosimError> {
        let refused = |source| CosimError::Load { path: built.library.clone(), source };
        // SAFETY: the library was built by `Cache::build` from our shim and the Verilated runtime, whose initialisers only
        // construct their own globals.
        let library = unsafe { libloading::Library::new(&built.library) }.map_err(refused)?;
        // SAFETY: shim.cpp.in defines `cosim_api` with this signature.
        let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const Api>(b"cosim_api\0") }.map_err(refused)?;
        // SAFETY: it returns the address of a constant, `Api` has its layout, and the library is not unloaded (below).
        let api = unsafe { &*entry() };
        // Never unloaded: the runtime has variables per thread, which must outlive every thread that has used them. Loading
        // the same file again gives the same library, so this does not grow.
        std::mem::forget(library);
        assert_eq!(api.version, 1, "the shim is part of the cache key");

        let (randomise, seed) = match init {
            Init::Zeros => (0, 1),
            // Verilator takes a seed of 0 for "choose one".
            Init::Random(seed) => (1, (seed % (i32::MAX as u64)) as i32 + 1),
        };
        // SAFETY: `create` takes any values and returns a new model, never null; it catches exceptions.
        let handle = NonNull::new(unsafe { (api.create)(randomise, seed) }).expect("`new` does not return null");
        let (ports, places) = (vec![], vec![]);
        let mut model = Self { api, handle, top: built.top.clone(), ports, places, settled: false, cycle: 0 };
        // A model that stopped in its constructor has no ports.
        model.check_running()?;
        // SAFETY: the table has `port_count` rows and is a constant of the library.
        let rows = unsafe { std::slice::from_raw_parts(api.ports, api.port_count as usize) };
        for (i, row) in rows.iter().enumerate() {
            // SAFETY: names are string literals of the shim.
            let name = unsafe { CStr::from_ptr(row.name) }.to_string_lossy().into_owned();
            // SAFETY: `i` is below `port_count` and the model was constructed.
            let at = NonNull::new(unsafe { (api.address)(handle.as_ptr(), i as u32) }).expect("every port has storage");
            let input = row.input != 0;
            let direction = if input { Direction::Input } else { Direction::Output };
            model.ports.push(Port { name, width: row.width, direction });
            model.places.push(Place { at: at.cast(), width: row.width, bytes: row.bytes, input });
            if input {
                // Random start values reach the inputs too; a forgotten input is to be the same in every run.
                // SAFETY: the storage of port `i` has `bytes` bytes.
                unsafe { at.cast::<u8>().write_bytes(0, row.bytes as usize) };
            }
        }
        Ok(model)
    }

    /// The name of the module.
    pub fn top(&self) -> &str {
        &self.top
    }

    /// All ports, in no order that means anything.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Looks a port up. Do it once, not per cycle.
    ///
    /// # Errors
    /// [`CosimError::NoPort`], which lists the ports.
    pub fn pin(&self, name: &str) -> Result<Pin, CosimError> {
        self.ports.iter().position(|port| port.name == name).map(Pin).ok_or_else(|| {
            let mut found: Vec<_> = self.ports.iter().map(|port| port.name.clone()).collect();
            found.sort();
            CosimError::NoPort { top: self.top.clone(), name: name.into(), found }
        })
    }

    /// The port behind a pin.
    pub fn port(&self, pin: Pin) -> &Port {
        &self.ports[pin.0]
    }

    /// The value of a port of at most 64 bits.
    ///
    /// # Panics
    /// On a wider port.
    #[track_caller]
    pub fn get(&self, pin: Pin) -> u64 {
        let Place { at, width, bytes, .. } = self.places[pin.0];
        // SAFETY: `at` is the port's storage, which Verilator aligns and sizes for its type: CData, SData, IData, QData.
        unsafe {
            match bytes {
                1 => u64::from(at.read()),
                2 => u64::from(at.cast::<u16>().read()),
                4 => u64::from(at.cast::<u32>().read()),
                8 => at.cast::<u64>().read(),
                _ => panic!("{} has {width} bits: use get_words", self.ports[pin.0].name),
            }
        }
    }

    /// Drives an input of at most 64 bits; bits above its width are dropped (Verilated code indexes memories with inputs
    /// that it trusts).
    ///
    /// # Panics
    /// On an output or a wider port.
    #[track_caller]
    pub fn set(&mut self, pin: Pin, value: u64) {
        let Place { at, width, bytes, input } = self.places[pin.0];
        assert!(input, "{} is an output", self.ports[pin.0].name);
        let value = value & mask(width);
        self.settled = false;
        // SAFETY: as in `get`; the value is inside the width, and `&mut self` says that nothing else reads now.
        unsafe {
            match bytes {
                1 => at.write(value as u8),
                2 => at.cast::<u16>().write(value as u16),
                4 => at.cast::<u32>().write(value as u32),
                8 => at.cast::<u64>().write(value),
                _ => panic!("{} has {width} bits: use set_words", self.ports[pin.0].name),
            }
        }
    }

    /// The words of a port of more than 64 bits, lowest first.
    ///
    /// # Panics
    /// On a narrower port.
    #[track_caller]
    pub fn get_words(&self, pin: Pin) -> &[u32] {
        let Place { at, width, bytes, .. } = self.places[pin.0];
        assert!(width > 64, "{} has {width} bits: use get", self.ports[pin.0].name);
        // SAFETY: a wide port is a VlWide of `bytes / 4` words; it changes only through `&mut self`.
        unsafe { std::slice::from_raw_parts(at.cast::<u32>().as_ptr(), bytes as usize / 4) }
    }

    /// Drives an input of more than 64 bits; bits above its width are dropped.
    ///
    /// # Panics
    /// On an output, a narrower port, or another number of words.
    #[track_caller]
    pub fn set_words(&mut self, pin: Pin, words: &[u32]) {
        let Place { at, width, bytes, input } = self.places[pin.0];
        let name = &self.ports[pin.0].name;
        assert!(input && width > 64, "{name} ({width} bits) is an output, or narrow: use set");
        assert_eq!(words.len(), bytes as usize / 4, "words of {name} ({width} bits)");
        self.settled = false;
        // SAFETY: as in `get_words`; `&mut self` says that nothing else reads now.
        let place = unsafe { std::slice::from_raw_parts_mut(at.cast::<u32>().as_ptr(), words.len()) };
        place.copy_from_slice(words);
        if let (Some(top), used @ 1..) = (place.last_mut(), width % 32) {
            *top &= mask(used) as u32;
        }
    }

    /// The value of a port of any width.
    pub fn get_bits(&self, pin: Pin) -> Bits {
        let width = self.places[pin.0].width;
        if width > 64 { Bits::from_words(self.get_words(pin).to_vec(), width) } else { Bits::new(self.get(pin), width) }
    }

    /// Drives an input of any width.
    ///
    /// # Panics
    /// On an output or another width.
    #[track_caller]
    pub fn set_bits(&mut self, pin: Pin, value: &Bits) {
        let port = &self.ports[pin.0];
        assert_eq!(value.width(), port.width, "bits of {}", port.name);
        if port.width > 64 { self.set_words(pin, value.words()) } else { self.set(pin, narrow(value)) }
    }

    /// Whether a port of any width has this value; costs no allocation.
    pub fn shows(&self, pin: Pin, value: &Bits) -> bool {
        let width = self.places[pin.0].width;
        value.width() == width
            && if width > 64 { self.get_words(pin) == value.words() } else { self.get(pin) == narrow(value) }
    }

    /// Settles outputs for the inputs set, with the clock low. No time passes.
    ///
    /// # Errors
    /// [`CosimError::Stopped`], then and ever after.
    pub fn eval(&mut self) -> Result<(), CosimError> {
        self.check_running()?;
        // SAFETY: the model was constructed; the shim catches exceptions.
        let status = unsafe { (self.api.eval)(self.handle.as_ptr()) };
        self.settled = true;
        if status == 0 { Ok(()) } else { self.check_running() }
    }

    /// One clock period: inputs settle with the clock low, then the rising edge.
    ///
    /// # Errors
    /// [`CosimError::Stopped`], then and ever after.
    pub fn step(&mut self) -> Result<(), CosimError> {
        self.check_running()?;
        // SAFETY: the model was constructed; the shim catches exceptions.
        let status = unsafe { (self.api.step)(self.handle.as_ptr(), c_int::from(self.settled)) };
        self.settled = false;
        if status != 0 {
            return self.check_running();
        }
        self.cycle += 1;
        Ok(())
    }

    /// Holds `reset` for some cycles and settles.
    ///
    /// # Errors
    /// No port `reset`, or [`CosimError::Stopped`].
    pub fn reset(&mut self, cycles: u32) -> Result<(), CosimError> {
        let reset = self.pin("reset")?;
        self.set(reset, 1);
        (0..cycles).try_for_each(|_| self.step())?;
        self.set(reset, 0);
        self.eval()
    }

    /// Clock periods since construction.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Time in a waveform: two per clock period, the rising edge at the odd ones.
    pub fn time(&self) -> u64 {
        // SAFETY: the model was constructed; this reads a number.
        unsafe { (self.api.time)(self.handle.as_ptr()) }
    }

    /// What `$display`, assertions and the runtime have printed since the last call.
    pub fn take_log(&mut self) -> String {
        // SAFETY: the text lives until the next call, and is copied before.
        unsafe { CStr::from_ptr((self.api.log)(self.handle.as_ptr())) }.to_string_lossy().into_owned()
    }

    /// Starts an FST waveform.
    ///
    /// # Errors
    /// A model that was built without, a file that cannot be written.
    pub fn open_waves(&mut self, path: &Path) -> Result<(), CosimError> {
        let file = c_path(path);
        // SAFETY: `file` is a C string that lives through the call.
        let status = unsafe { (self.api.waves_open)(self.handle.as_ptr(), file.as_ptr()) };
        self.built_with(status, "waveforms", path)
    }

    /// Ends the waveform; without one, nothing happens.
    pub fn close_waves(&mut self) {
        // SAFETY: the model was constructed.
        unsafe { (self.api.waves_close)(self.handle.as_ptr()) }
    }

    /// Writes the coverage counted so far, for `verilator_coverage`.
    ///
    /// # Errors
    /// A model that was built without, a file that cannot be written.
    pub fn write_coverage(&mut self, path: &Path) -> Result<(), CosimError> {
        let file = c_path(path);
        // SAFETY: `file` is a C string that lives through the call; the shim catches exceptions.
        let status = unsafe { (self.api.coverage_write)(self.handle.as_ptr(), file.as_ptr()) };
        self.built_with(status, "coverage", path)
    }

    fn built_with(&self, status: c_int, what: &'static str, path: &Path) -> Result<(), CosimError> {
        let error = || CosimError::NotBuilt { top: self.top.clone(), what, path: path.into() };
        if status == 0 { Ok(()) } else { Err(error()) }
    }

    fn check_running(&self) -> Result<(), CosimError> {
        // SAFETY: the text lives as long as the model is not evaluated, and is copied before.
        let stopped = unsafe { CStr::from_ptr((self.api.stopped)(self.handle.as_ptr())) };
        if stopped.is_empty() {
            return Ok(());
        }
        // SAFETY: as above, until the next call of `log`.
        let log = unsafe { CStr::from_ptr((self.api.log)(self.handle.as_ptr())) };
        let message = format!("{}\n{}", stopped.to_string_lossy(), log.to_string_lossy()).trim_end().to_string();
        Err(CosimError::Stopped { top: self.top.clone(), cycle: self.cycle, message })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `create` and is not used again.
        unsafe { (self.api.destroy)(self.handle.as_ptr()) }
    }
}

/// A value of at most 64 bits.
fn narrow(value: &Bits) -> u64 {
    value.words().iter().rev().fold(0, |high, &word| high << 32 | u64::from(word))
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path has no zero byte")
}
