//! Who may use which half of a double buffer. Sibling: `hw`.

/// Two halves, filled and read in turn, or one buffer of both.
#[derive(Debug, Clone)]
pub struct Halves {
    whole: bool,
    scaled: bool,
    writing: usize,
    reading: usize,
    filled: [bool; 2],
    data_done: bool,
    scale_done: bool,
}

impl Halves {
    /// Both empty.
    pub fn new(whole: bool, scaled: bool) -> Self {
        Self { whole, scaled, writing: 0, reading: 0, filled: [false; 2], data_done: false, scale_done: false }
    }

    /// Data may be written.
    pub fn data_open(&self) -> bool {
        !self.filled[self.writing] && !self.data_done
    }

    /// Scales may be written.
    pub fn scale_open(&self) -> bool {
        !self.filled[self.writing] && !self.scale_done && self.scaled
    }

    /// The half that is written.
    pub fn write_half(&self) -> usize {
        self.writing
    }

    /// The oldest filled half, if any.
    pub fn read_half(&self) -> Option<usize> {
        self.filled[self.reading].then_some(self.reading)
    }

    /// Bit i: half i is filled.
    pub fn full(&self) -> u64 {
        u64::from(self.filled[0]) | u64::from(self.filled[1]) << 1
    }

    /// One rising edge.
    pub fn clock(&mut self, data_ends: bool, scale_ends: bool, release: bool) {
        if release {
            self.filled[self.reading] = false;
            self.reading ^= usize::from(!self.whole);
        }
        self.data_done |= data_ends;
        self.scale_done |= scale_ends;
        if self.data_done && (self.scale_done || !self.scaled) {
            (self.data_done, self.scale_done) = (false, false);
            self.filled[self.writing] = true;
            self.writing ^= usize::from(!self.whole);
        }
    }
}
