//! Parts of the two lists as tokens of fetch jobs.

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use spatten_arch::layout::TOKEN_BITS;

/// Commands that wait.
const COMMANDS: usize = 4;
/// Beats of tokens inside.
const PLACES: usize = 4;

/// A command gives the tokens of a list from word `from` (of `lanes` tokens) on, up to and without number `to`; none is one beat of 0.
/// With `single` it gives the last of them alone. Lanes behind the last token are 0.
///
/// # Timing   a beat is there 2 cycles after its command is taken from its queue (1 cycle), one per cycle, commands without a gap
#[derive(LogicBlock)]
pub struct TokenLists {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets commands and beats.
    pub reset: Signal<In, Bit>,
    /// Word that is read of both lists.
    pub address: Wire<Out>,
    /// What the list of keys has at the word of the cycle before.
    pub keys: Vec<Wire<In>>,
    /// The same of queries.
    pub query_rows: Vec<Wire<In>>,
    /// Nothing is left to be read.
    pub idle: Signal<Out, Bit>,
    /// A command is offered.
    pub command_valid: Signal<In, Bit>,
    /// It would be taken.
    pub command_ready: Signal<Out, Bit>,
    /// Of the list of queries.
    pub command_queries: Signal<In, Bit>,
    /// First word.
    pub command_from: Wire<In>,
    /// Tokens before its end.
    pub command_to: Wire<In>,
    /// The last one of them alone.
    pub command_single: Signal<In, Bit>,
    /// Tokens are there.
    pub out_valid: Signal<Out, Bit>,
    /// They are taken.
    pub out_ready: Signal<In, Bit>,
    /// The tokens.
    pub out_index: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The command's last ones.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    level: Param,
    word_bits: Param,
    single_tag: Param,
    flags: Vec<Wire<Local>>,
    picked: Vec<Wire<Local>>,
    commands: Fifo,
    next_from: Wire<Local>,
    next_to: Wire<Local>,
    next_final: Wire<Local>,
    active: Dff<Bit>,
    queries: Dff<Bit>,
    single: Dff<Bit>,
    at: Reg,
    final_word: Reg,
    tail: Reg,
    is_last: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    room: Credits,
    held: Dff<Bit>,
    held_queries: Dff<Bit>,
    held_single: Dff<Bit>,
    held_lane: Reg,
    held_tag: Reg,
    held_count: Wire<Local>,
    full_tag: Param,
    queue: LaneFifo,
}

impl TokenLists {
    /// Lists of up to `keys` tokens in words of `lanes`.
    pub fn new(lanes: usize, keys: usize) -> Self {
        let words = super::words(lanes, keys);
        let (word, count, lane) = (bits_for(words - 1), bits_for(keys), bits_for(lanes));
        Self {
            name: ModuleName::new(format!("token_lists_{lanes}x{keys}")),
            unused: Waiver::new("UNUSEDSIGNAL", "Of one lane, the word of a number is the number."),
            clock: Default::default(),
            reset: Default::default(),
            address: Wire::unsigned(word),
            keys: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            query_rows: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            idle: Default::default(),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_queries: Default::default(),
            command_from: Wire::unsigned(word),
            command_to: Wire::unsigned(count),
            command_single: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            out_count: Wire::unsigned(lane),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            level: Param::new(lanes.ilog2() as usize),
            word_bits: Param::new(word),
            single_tag: Param::new(3),
            flags: vec_of(2, || Wire::unsigned(1)),
            picked: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            commands: Fifo::new(2 + word + count, COMMANDS),
            next_from: Wire::unsigned(word),
            next_to: Wire::unsigned(count),
            next_final: Wire::unsigned(word),
            active: Default::default(),
            queries: Default::default(),
            single: Default::default(),
            at: Reg::unsigned(word),
            final_word: Reg::unsigned(word),
            tail: Reg::unsigned(lane),
            is_last: Default::default(),
            free: Default::default(),
            issue: Default::default(),
            room: Credits::new(PLACES),
            held: Default::default(),
            held_queries: Default::default(),
            held_single: Default::default(),
            held_lane: Reg::unsigned(bits_for(lanes - 1)),
            held_tag: Reg::unsigned(lane + 1),
            held_count: Wire::unsigned(lane),
            full_tag: Param::new(2 * lanes),
            queue: LaneFifo::new(lanes, TOKEN_BITS, lane + 1, PLACES),
        }
    }
}

impl Logic for TokenLists {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, active, queries, single, at, final_word, tail, held, held_queries, held_tag);
        dff_setup!(self, clock, held_single, held_lane);
        clock!(self, clock, commands, room, queue);
        self.commands.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        // Commands.
        self.commands.in_valid.next = self.command_valid.val();
        self.command_ready.next = self.commands.in_ready.val();
        self.flags[0].next = self.command_queries.val().into();
        self.flags[1].next = self.command_single.val().into();
        self.commands.in_data.next = (self.command_to.val() << (self.word_bits.val() + 2))
            | (self.command_from.val() << 2)
            | (self.flags[1].val() << 1)
            | self.flags[0].val();
        self.next_from.next = self.commands.out_data.val() >> 2;
        self.next_to.next = self.commands.out_data.val() >> (self.word_bits.val() + 2);
        self.next_final.next = 0.into();
        if self.next_to.val().any() {
            self.next_final.next = (self.next_to.val() - 1) >> self.level.val();
        }
        self.is_last.next = self.at.q.val() == self.final_word.q.val();
        self.issue.next = self.active.q.val() & self.room.available.val();
        self.free.next =
            !self.active.q.val() | (self.room.available.val() & (self.at.q.val() == self.final_word.q.val()));
        self.idle.next = !self.active.q.val() & !self.commands.out_valid.val();
        self.commands.out_ready.next = self.free.val();
        if self.issue.val() {
            self.at.d.next = self.at.q.val() + 1;
            if self.is_last.val() {
                self.active.d.next = false;
            }
        }
        if self.free.val() & self.commands.out_valid.val() {
            self.active.d.next = true;
            self.queries.d.next = self.commands.out_data.val().get_bit(0);
            self.single.d.next = self.commands.out_data.val().get_bit(1);
            self.at.d.next = self.next_from.val();
            self.final_word.d.next = self.next_final.val();
            self.tail.d.next = self.next_to.val() - (self.next_final.val() << self.level.val());
        }
        self.address.next = self.at.q.val();
        self.room.take.next = self.issue.val();
        self.room.give.next = self.queue.popped.val();
        self.held.d.next = self.issue.val();
        self.held_queries.d.next = self.queries.q.val();
        self.held_tag.d.next = self.full_tag.val().into();
        if self.is_last.val() {
            self.held_tag.d.next = (self.tail.q.val() << 1) | 1;
        }
        self.held_single.d.next = self.single.q.val();
        self.held_lane.d.next = self.tail.q.val() - 1;
        if self.single.q.val() {
            self.held_tag.d.next = self.single_tag.val().into();
        }
        self.held_count.next = self.held_tag.q.val() >> 1;
        self.queue.push.next = self.held.q.val();
        self.queue.in_tag.next = self.held_tag.q.val();
        for i in 0..self.lanes.val() {
            self.queue.in_data[i].next = self.keys[i].val();
            if self.held_queries.q.val() {
                self.queue.in_data[i].next = self.query_rows[i].val();
            }
            if self.held_count.val() < i + 1 {
                self.queue.in_data[i].next = 0.into();
            }
            self.out_index[i].next = self.queue.out_data[i].val();
            if i == 0 {
                self.picked[0].next = self.query_rows[0].val();
            } else {
                self.picked[i].next = self.picked[i - 1].val();
                if self.held_lane.q.val() == i {
                    self.picked[i].next = self.query_rows[i].val();
                }
            }
        }
        if self.held_single.q.val() {
            self.queue.in_data[0].next = self.picked[self.lanes.val() - 1].val();
        }
        self.out_valid.next = self.queue.out_valid.val();
        self.queue.out_ready.next = self.out_ready.val();
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.active.d.next = false;
            self.held.d.next = false;
        }
    }
}
