//! Memory with one write and one read port: the one wrapper of every memory. Siblings: `sim`, `tests/ram.rs`.
//! Paper: SpAtten Table I (196 KB each for K and V).
//! Why: synthesis infers LUT RAM or block RAM from the shape of the text, so the shape stands in one place.

use crate::hdl::*;

/// When read data appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPort {
    /// In the cycle of the address: distributed (LUT) RAM, for short queues.
    Direct,
    /// In the next cycle: block RAM. The word of an address that is written in the same cycle is undefined: what FPGAs
    /// give differs, and defining it costs a comparator and a bypass per memory. Simulation shows its inverse there, so
    /// that a block that depends on it fails its test.
    Registered,
}

/// `depth` words of `bits`, one written and one read per cycle.
///
/// # Timing   a word written in cycle `t` is read by the address of cycle `t + 1`
#[derive(LogicBlock)]
pub struct Ram {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Writes `write_data` to `write_address`.
    pub write_enable: Signal<In, Bit>,
    /// Word to write.
    pub write_address: Wire<In>,
    /// Its value.
    pub write_data: Wire<In>,
    /// Word to read.
    pub read_address: Wire<In>,
    /// Its value, when [`ReadPort`] says.
    pub read_data: Wire<Out>,
    _depth: usize,
    _read: ReadPort,
    _words: Vec<Num>,
}

impl Ram {
    /// Of any depth from 2.
    pub fn new(bits: usize, depth: usize, read: ReadPort) -> Self {
        let address = bits_for(depth - 1);
        let kind = match read {
            ReadPort::Direct => "direct",
            ReadPort::Registered => "block",
        };
        Self {
            name: ModuleName::new(format!("ram_{kind}_{bits}x{depth}")),
            clock: Default::default(),
            write_enable: Default::default(),
            write_address: Wire::unsigned(address),
            write_data: Wire::unsigned(bits),
            read_address: Wire::unsigned(address),
            read_data: Wire::unsigned(bits),
            _depth: depth,
            _read: read,
            _words: vec![Num::default(); depth],
        }
    }
}

impl Logic for Ram {
    fn update(&mut self) {
        let at = self.read_address.val().index();
        let word = self._words.get(at).cloned().unwrap_or_default();
        if self._read == ReadPort::Direct {
            self.read_data.next = word.clone();
        }
        if self.clock.pos_edge() {
            let collides = self.write_enable.val() && self.write_address.val().index() == at;
            if self._read == ReadPort::Registered {
                self.read_data.next = if collides { !word } else { word };
            }
            if self.write_enable.val() {
                let at = self.write_address.val().index();
                self._words[at] = self.write_data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(text(self.write_data.width(), self._depth, self._read))
    }
}

/// The memory as Verilog.
pub(crate) fn text(bits: usize, depth: usize, read: ReadPort) -> String {
    let (top, last) = (bits - 1, depth - 1);
    let write = "always @(posedge clock) if (write_enable) words[write_address] <= write_data;";
    match read {
        ReadPort::Direct => format!(
            "(* ram_style = \"distributed\" *)\nreg [{top}:0] words [0:{last}];\n{write}\n\
             assign read_data = words[read_address];\n"
        ),
        ReadPort::Registered => format!(
            "(* no_rw_check, ram_style = \"block\" *)\nreg [{top}:0] words [0:{last}];\n{write}\n\
             reg [{top}:0] word;\n\
             `ifdef SYNTHESIS\n\
             always @(posedge clock) word <= words[read_address];\n\
             `else\n\
             // Undefined in hardware: the inverse finds who depends on it.\n\
             always @(posedge clock)\n    \
             word <= words[read_address] ^ {{{bits}{{write_enable && write_address == read_address}}}};\n\
             `endif\n\
             assign read_data = word;\n"
        ),
    }
}
