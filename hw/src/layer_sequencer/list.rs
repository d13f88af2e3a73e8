//! One list of tokens: its memory, written once and read from two places.

use crate::hdl::*;
use crate::leaf::{LaneRam, ReadPort};
use spatten_arch::layout::TOKEN_BITS;

/// Up to `keys` tokens in words of `lanes`.
///
/// Beats that are written follow each other from the beginning; with `last`, `total` is what the list holds. It is written again from the
/// beginning.
///
/// # Timing   a word is there in the cycle after its address, on both ports
#[derive(LogicBlock)]
pub struct List {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: the list is empty.
    pub reset: Signal<In, Bit>,
    /// A beat is written.
    pub write: Signal<In, Bit>,
    /// Tokens.
    pub index: Vec<Wire<In>>,
    /// How many; fewer than lanes only in the last beat.
    pub count: Wire<In>,
    /// The list ends.
    pub last: Signal<In, Bit>,
    /// Tokens of the list.
    pub total: Wire<Out>,
    /// Word that is read as tokens of a job.
    pub job_address: Wire<In>,
    /// The word.
    pub job_index: Vec<Wire<Out>>,
    /// Word that is read to compare tokens.
    pub walk_address: Wire<In>,
    /// The word.
    pub walk_index: Vec<Wire<Out>>,
    lanes: Param,
    level: Param,
    at: Reg,
    total_now: Reg,
    job_memory: LaneRam,
    walk_memory: LaneRam,
}

impl List {
    /// Of up to `keys` tokens.
    pub fn new(lanes: usize, keys: usize) -> Self {
        let words = super::words(lanes, keys);
        let (word, total) = (bits_for(words - 1), bits_for(keys));
        Self {
            name: ModuleName::new(format!("token_list_{lanes}x{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            write: Default::default(),
            index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            count: Wire::unsigned(bits_for(lanes)),
            last: Default::default(),
            total: Wire::unsigned(total),
            job_address: Wire::unsigned(word),
            job_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            walk_address: Wire::unsigned(word),
            walk_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            lanes: Param::new(lanes),
            level: Param::new(lanes.ilog2() as usize),
            at: Reg::unsigned(word),
            total_now: Reg::unsigned(total),
            job_memory: LaneRam::new(lanes, TOKEN_BITS, words, ReadPort::Registered),
            walk_memory: LaneRam::new(lanes, TOKEN_BITS, words, ReadPort::Registered),
        }
    }
}

impl Logic for List {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, at, total_now);
        clock!(self, clock, job_memory, walk_memory);
        self.job_memory.write_enable.next = self.write.val();
        self.walk_memory.write_enable.next = self.write.val();
        self.job_memory.write_address.next = self.at.q.val();
        self.walk_memory.write_address.next = self.at.q.val();
        self.job_memory.read_address.next = self.job_address.val();
        self.walk_memory.read_address.next = self.walk_address.val();
        for i in 0..self.lanes.val() {
            self.job_memory.write_data[i].next = self.index[i].val();
            self.walk_memory.write_data[i].next = self.index[i].val();
            self.job_index[i].next = self.job_memory.read_data[i].val();
            self.walk_index[i].next = self.walk_memory.read_data[i].val();
        }
        self.total.next = self.total_now.q.val();
        if self.write.val() {
            self.at.d.next = self.at.q.val() + 1;
            if self.last.val() {
                self.at.d.next = 0.into();
                self.total_now.d.next = (self.at.q.val() << self.level.val()) + self.count.val();
            }
        }
        if self.reset.val() {
            self.at.d.next = 0.into();
            self.total_now.d.next = 0.into();
        }
    }
}
