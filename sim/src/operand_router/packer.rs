//! Beats of one number of words to beats of another, in time.

/// The block, with its words.
#[derive(Debug, Clone)]
pub(super) struct Packer<E> {
    beat: usize,
    size: usize,
    word: Vec<E>,
    /// Beats that it has.
    beats: usize,
    /// It is on offer, from here on.
    offered: Option<usize>,
    last: bool,
}

impl<E: Clone + Default> Packer<E> {
    /// From beats of `beat` words to beats of `size`.
    pub(super) fn new(beat: usize, size: usize) -> Self {
        Self { beat, size, word: vec![], beats: 0, offered: None, last: false }
    }

    /// To beats of another size, while nothing is inside.
    pub(super) fn resize(&mut self, size: usize) {
        self.size = size;
    }

    /// Nothing of the word is behind the part on offer.
    fn ends(&self) -> bool {
        self.offered.is_some_and(|from| from + self.size >= self.word.len())
    }

    /// Whether a beat is accepted, where the one on offer is `taken` and what is behind it is dropped (`cut`), or not.
    pub(super) fn ready(&self, taken: bool, cut: bool) -> bool {
        self.offered.is_none() || (taken && (cut || self.ends()))
    }

    /// The words on offer, with zeros up to `lanes`, and whether the job ends.
    pub(super) fn front(&self, lanes: usize) -> Option<(Vec<E>, bool)> {
        let from = self.offered?;
        let mut words: Vec<E> = self.word[from..].iter().take(self.size).cloned().collect();
        words.resize(lanes, E::default());
        Some((words, self.last && self.ends()))
    }

    /// One rising edge.
    pub(super) fn clock(&mut self, push: Option<(Vec<E>, bool)>, taken: bool, cut: bool) {
        if taken {
            self.offered = self.offered.map(|from| from + self.size).filter(|_| !cut && !self.ends());
        }
        let Some((words, last)) = push else { return };
        if self.beats == 0 {
            self.word.clear();
        }
        self.word.extend(words);
        self.beats += 1;
        if last || self.beats * self.beat >= self.size {
            (self.offered, self.last, self.beats) = (Some(0), last, 0);
        }
    }
}
