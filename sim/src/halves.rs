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
    /// The half that is read is to be added to first.
    lacks: bool,
    /// A beat that is added, and whether it is the last one.
    held: Option<bool>,
}

/// What happens to a double buffer in a cycle.
#[derive(Debug, Clone, Copy, Default)]
pub struct Events {
    /// The last of the data is written.
    pub data_ends: bool,
    /// The last of the scales is.
    pub scale_ends: bool,
    /// The half that is read is read no more,
    pub freed: bool,
    /// or not before something has been added to it.
    pub again: bool,
    /// A beat is added: the last one?
    pub add: Option<bool>,
}

impl Halves {
    /// Both empty.
    pub fn new(whole: bool, scaled: bool) -> Self {
        Self {
            whole,
            scaled,
            writing: 0,
            reading: 0,
            filled: [false; 2],
            data_done: false,
            scale_done: false,
            lacks: false,
            held: None,
        }
    }

    /// Data may be written.
    pub fn data_open(&self) -> bool {
        !self.filled[self.writing] && !self.data_done && self.held.is_none()
    }

    /// Scales may be written.
    pub fn scale_open(&self) -> bool {
        !self.filled[self.writing] && !self.scale_done && self.scaled
    }

    /// The half that is read may be added to.
    pub fn add_open(&self) -> bool {
        self.lacks && self.held != Some(true)
    }

    /// The half that is added to.
    pub fn add_half(&self) -> usize {
        self.reading
    }

    /// The half that is written.
    pub fn write_half(&self) -> usize {
        self.writing
    }

    /// The oldest filled half, if there is one that lacks nothing.
    pub fn read_half(&self) -> Option<usize> {
        (self.filled[self.reading] && !self.lacks).then_some(self.reading)
    }

    /// Bit i: half i is filled.
    pub fn full(&self) -> u64 {
        u64::from(self.filled[0]) | u64::from(self.filled[1]) << 1
    }

    /// One rising edge.
    pub fn clock(&mut self, events: Events) {
        if self.held == Some(true) {
            self.lacks = false;
        }
        self.lacks |= events.again;
        self.held = events.add;
        if events.freed {
            self.filled[self.reading] = false;
            self.reading ^= usize::from(!self.whole);
        }
        self.data_done |= events.data_ends;
        self.scale_done |= events.scale_ends;
        if self.data_done && (self.scale_done || !self.scaled) {
            (self.data_done, self.scale_done) = (false, false);
            self.filled[self.writing] = true;
            self.writing ^= usize::from(!self.whole);
        }
    }
}
