//! Tables of constants.

use crate::hdl::*;

/// A table that is looked up within the cycle; words come from `arch::rom`.
///
/// # Timing   `word` follows `index` in the same cycle. A register of the whole word right behind it invites synthesis to take
/// a block RAM, whose output is slow: then [`BlockRom`], and a register more
#[derive(LogicBlock)]
pub struct Rom {
    name: ModuleName,
    /// Which word.
    pub index: Wire<In>,
    /// Its value.
    pub word: Wire<Out>,
    _words: Vec<u64>,
}

impl Rom {
    /// The table `rom_NAME` of these words of `bits`.
    ///
    /// # Panics
    /// Where there are not a power of two (at least 2) of them, or one does not fit.
    #[track_caller]
    pub fn new(name: &str, words: Vec<u64>, bits: usize) -> Self {
        check(name, &words, bits);
        Self {
            name: ModuleName::new(format!("rom_{name}")),
            index: Wire::unsigned(bits_for(words.len() - 1)),
            word: Wire::unsigned(bits),
            _words: words,
        }
    }
}

impl Logic for Rom {
    fn update(&mut self) {
        self.word.next = (self._words[self.index.val().index()] as usize).into();
    }

    fn connect(&mut self) {
        self.word.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("{}assign word = value;\n", text(&self._words, self.index.width(), self.word.width())))
    }
}

/// A table that may lie in block RAM: its output is slow, so nothing but registers should follow.
///
/// # Timing   the word of the index of cycle `t` is there in `t + 1`
#[derive(LogicBlock)]
pub struct BlockRom {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Which word.
    pub index: Wire<In>,
    /// Its value.
    pub word: Wire<Out>,
    _words: Vec<u64>,
}

impl BlockRom {
    /// The table `rom_block_NAME` of these words of `bits`.
    ///
    /// # Panics
    /// As [`Rom::new`].
    #[track_caller]
    pub fn new(name: &str, words: Vec<u64>, bits: usize) -> Self {
        check(name, &words, bits);
        Self {
            name: ModuleName::new(format!("rom_block_{name}")),
            clock: Default::default(),
            index: Wire::unsigned(bits_for(words.len() - 1)),
            word: Wire::unsigned(bits),
            _words: words,
        }
    }
}

impl Logic for BlockRom {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.word.next = (self._words[self.index.val().index()] as usize).into();
        }
    }

    fn connect(&mut self) {
        self.word.connect();
    }

    fn hdl(&self) -> Verilog {
        let bits = self.word.width();
        Verilog::Custom(format!(
            "{}reg [{}:0] held;\nalways @(posedge clock) held <= value;\nassign word = held;\n",
            text(&self._words, self.index.width(), bits),
            bits - 1
        ))
    }
}

#[track_caller]
fn check(name: &str, words: &[u64], bits: usize) {
    assert!(words.len().is_power_of_two() && words.len() > 1, "{} words of rom_{name}", words.len());
    if let Some(word) = words.iter().find(|&&w| bits < 64 && w >> bits != 0) {
        panic!("word {word:#x} of rom_{name} has more than {bits} bits");
    }
}

/// `value` is the word of `index`.
fn text(words: &[u64], address: usize, bits: usize) -> String {
    let line = |(i, w): (usize, &u64)| {
        let label = if i + 1 == words.len() { "default".into() } else { format!("{address}'d{i}") };
        format!("        {label}: value = {bits}'h{w:x};\n")
    };
    let lines: String = words.iter().enumerate().map(line).collect();
    format!("reg [{}:0] value;\nalways @(*)\n    case (index)\n{lines}    endcase\n", bits - 1)
}
