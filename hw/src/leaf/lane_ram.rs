//! Memory of words that are lanes: [`Ram`](super::Ram) with a port per lane, because kernels do not concatenate.

use super::ReadPort;
use crate::hdl::*;
use crate::ram::text;

/// `depth` words of `lanes` lanes of `bits`, one written and one read per cycle.
///
/// # Timing   a word written in cycle `t` is read by the address of cycle `t + 1`
#[derive(LogicBlock)]
pub struct LaneRam {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Writes `write_data` to `write_address`.
    pub write_enable: Signal<In, Bit>,
    /// Word to write.
    pub write_address: Wire<In>,
    /// Its lanes.
    pub write_data: Vec<Wire<In>>,
    /// Word to read.
    pub read_address: Wire<In>,
    /// Its lanes, when [`ReadPort`] says.
    pub read_data: Vec<Wire<Out>>,
    _depth: usize,
    _read: ReadPort,
    _words: Vec<Vec<Num>>,
}

impl LaneRam {
    /// Of any depth from 2.
    pub fn new(lanes: usize, bits: usize, depth: usize, read: ReadPort) -> Self {
        let address = bits_for(depth - 1);
        let kind = match read {
            ReadPort::Direct => "direct",
            ReadPort::Registered => "block",
        };
        Self {
            name: ModuleName::new(format!("lane_ram_{kind}_{lanes}x{bits}x{depth}")),
            clock: Default::default(),
            write_enable: Default::default(),
            write_address: Wire::unsigned(address),
            write_data: vec_of(lanes, || Wire::unsigned(bits)),
            read_address: Wire::unsigned(address),
            read_data: vec_of(lanes, || Wire::unsigned(bits)),
            _depth: depth,
            _read: read,
            _words: vec![vec![Num::default(); lanes]; depth],
        }
    }
}

impl Logic for LaneRam {
    fn update(&mut self) {
        let at = self.read_address.val().index();
        let edge = self.clock.pos_edge();
        let writes = self.write_enable.val() && self.write_address.val().index() == at;
        let collides = self._read == ReadPort::Registered && writes;
        if self._read == ReadPort::Direct || edge {
            for (i, lane) in self.read_data.iter_mut().enumerate() {
                let word = self._words.get(at).map(|word| word[i].clone()).unwrap_or_default();
                lane.next = if collides { !word } else { word };
            }
        }
        if edge && self.write_enable.val() {
            let at = self.write_address.val().index();
            for (word, lane) in self._words[at].iter_mut().zip(&self.write_data) {
                *word = lane.val();
            }
        }
    }

    fn connect(&mut self) {
        for lane in &mut self.read_data {
            lane.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let bits: usize = self.write_data.iter().map(Wire::width).sum();
        Verilog::Custom(text(bits, self._depth, self._read))
    }
}
