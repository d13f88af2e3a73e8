//! Table of constants.

use crate::hdl::*;

/// A table that is looked up within the cycle; words come from `arch::rom`.
///
/// # Timing   `word` follows `index` in the same cycle: put registers around it
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
        assert!(words.len().is_power_of_two() && words.len() > 1, "{} words of rom_{name}", words.len());
        if let Some(word) = words.iter().find(|&&w| bits < 64 && w >> bits != 0) {
            panic!("word {word:#x} of rom_{name} has more than {bits} bits");
        }
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
        let (bits, address) = (self.word.width(), self.index.width());
        let line = |(i, w): (usize, &u64)| {
            let label = if i + 1 == self._words.len() { "default".into() } else { format!("{address}'d{i}") };
            format!("        {label}: value = {bits}'h{w:x};\n")
        };
        let lines: String = self._words.iter().enumerate().map(line).collect();
        Verilog::Custom(format!(
            "reg [{}:0] value;\nalways @(*)\n    case (index)\n{lines}    endcase\nassign word = value;\n",
            bits - 1
        ))
    }
}
