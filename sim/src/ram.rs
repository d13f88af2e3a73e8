//! Memory with one write and one read port. Siblings: `hw`, `tests/ram.rs`.

/// A memory whose word is there one cycle after its address (block RAM).
///
/// Words hold `T::default()` until they are written; those of the RTL hold anything.
#[derive(Debug, Clone)]
pub struct Ram<T> {
    words: Vec<T>,
    read: T,
}

impl<T: Clone + Default> Ram<T> {
    /// `depth` words.
    pub fn new(depth: usize) -> Self {
        Self { words: vec![T::default(); depth], read: T::default() }
    }

    /// The word of the address of the last cycle.
    pub fn read_data(&self) -> &T {
        &self.read
    }

    /// One rising edge. Of an address that is read and written in one cycle nothing may be expected: hardware differs,
    /// and the RTL shows the inverse in simulation. Here it is the old word.
    pub fn clock(&mut self, read_address: usize, write: Option<(usize, T)>) {
        self.read.clone_from(&self.words[read_address]);
        if let Some((address, word)) = write {
            self.words[address] = word;
        }
    }

    /// The word at an address now: what a memory read in the cycle of its address (LUT RAM) shows.
    pub fn word(&self, address: usize) -> &T {
        &self.words[address]
    }
}
