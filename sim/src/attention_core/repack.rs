//! Beats of one number of lanes to beats of another, in time.

/// Elements of a row, by number: whose they are is `T`.
#[derive(Debug, Clone)]
pub struct Beat<T> {
    /// The row.
    pub row: T,
    /// Elements in the beat.
    pub count: usize,
    /// The row ends.
    pub last: bool,
}

/// The block.
#[derive(Debug, Clone)]
pub struct Repack<T> {
    lanes: usize,
    /// Input beats that make a full output beat; 1 where they are cut.
    beats: usize,
    held: [usize; 2],
    /// What waits: of a wide beat, what is left.
    word: Option<Beat<T>>,
}

impl<T> Repack<T> {
    /// From beats of `group` to beats of `lanes`.
    pub fn new(group: usize, lanes: usize) -> Self {
        Self { lanes, beats: (lanes / group).max(1), held: [0; 2], word: None }
    }

    fn ends(&self) -> bool {
        self.word.as_ref().is_some_and(|word| word.count <= self.lanes)
    }

    /// Whether a beat is accepted, if the output's sink is ready or not.
    pub fn ready(&self, sink: bool) -> bool {
        self.word.is_none() || (sink && self.ends())
    }

    /// The row on offer, how many of its elements, and whether it ends.
    pub fn front(&self) -> Option<(&T, usize, bool)> {
        self.word.as_ref().map(|word| (&word.row, word.count.min(self.lanes), word.last && self.ends()))
    }

    /// One rising edge.
    pub fn clock(&mut self, push: Option<Beat<T>>, taken: bool) {
        if taken {
            if self.ends() {
                self.word = None;
            } else if let Some(word) = &mut self.word {
                word.count -= self.lanes;
            }
        }
        if let Some(beat) = push {
            let [beats, count] = &mut self.held;
            *beats += 1;
            *count += beat.count;
            if beat.last || *beats == self.beats {
                self.word = Some(Beat { count: *count, ..beat });
                self.held = [0; 2];
            }
        }
    }
}
