//! What a sequence has of each token: importance, rows, flags; and the list of those that are left. Siblings: `sim`, `tests/token_store.rs`.
//! Paper: SpAtten section III-A (cumulative importance, survivors), which does not say where they are kept.
//! Why: everything is by the token's number, and the list is derived from it; so what a layer prunes stays where it is, and what a
//! context is, is this memory. One token per cycle: a layer of n keys takes n/8 cycles of multipliers *per row*.
//! Differs from the paper: see above.
//!
//! ```text
//!  numbers, or the list --> tokens' values, flags --> queue --> flags again, list      (scan, take, init)
//!                                                         +---> values  <-- read       (save)
//!                                                         +---> beats --> key_list, query_list, list, load, word
//! ```

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{Join, Ram, ReadPort};
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};
use spatten_arch::token_store::{FLAG_BITS, OP_BITS, Op, QUERIES_REAL_BIT, ROW_BITS, scan_bit};

/// Tokens between memory and what becomes of them.
const PLACES: usize = 8;
/// Bits of a token as others see it: value, then flags.
const STATE_BITS: usize = 64;

/// What the block is doing.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Takes a command.
    Idle,
    /// Walks over tokens.
    Walk,
    /// Gives the last beat.
    Last,
    /// Reports.
    Done,
}

/// Tokens of one sequence.
///
/// A command walks over tokens `from..to`, or (`listed`) over places `from..to` of the list, and does `arch::token_store::Op` with
/// each; `x` and `y` are what that says. Then a beat of `done` has its `count`.
///
/// # Shapes   beats of streams are full but for a walk's last one; a walk that gives nothing gives a beat of none; lanes
/// from `count` on are 0
/// # Timing   a command takes 1 cycle, a token 1, as long as beats are taken, and its first 4 more; the last beat 1, `done` 1
#[derive(LogicBlock)]
pub struct TokenStore {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the command, and no token.
    pub reset: Signal<In, Bit>,
    /// A command is offered.
    pub command_valid: Signal<In, Bit>,
    /// It would be taken.
    pub command_ready: Signal<Out, Bit>,
    /// `Op`
    pub command_op: Wire<In>,
    /// Walks over the list.
    pub command_listed: Signal<In, Bit>,
    /// First one.
    pub command_from: Wire<In>,
    /// The one behind the last.
    pub command_to: Wire<In>,
    /// See `Op`.
    pub command_x: Wire<In>,
    /// See `Op`.
    pub command_y: Wire<In>,
    /// A command is done.
    pub done_valid: Signal<Out, Bit>,
    /// That is taken.
    pub done_ready: Signal<In, Bit>,
    /// What it counted.
    pub done_count: Wire<Out>,
    /// Keys of a layer.
    pub key_list_valid: Signal<Out, Bit>,
    /// They are taken.
    pub key_list_ready: Signal<In, Bit>,
    /// Tokens.
    pub key_list_index: Vec<Wire<Out>>,
    /// How many.
    pub key_list_count: Wire<Out>,
    /// The last ones.
    pub key_list_last: Signal<Out, Bit>,
    /// Queries of a layer.
    pub query_list_valid: Signal<Out, Bit>,
    /// They are taken.
    pub query_list_ready: Signal<In, Bit>,
    /// Their rows.
    pub query_list_index: Vec<Wire<Out>>,
    /// How many.
    pub query_list_count: Wire<Out>,
    /// The last ones.
    pub query_list_last: Signal<Out, Bit>,
    /// Who may survive.
    pub list_valid: Signal<Out, Bit>,
    /// They are taken.
    pub list_ready: Signal<In, Bit>,
    /// Tokens.
    pub list_index: Vec<Wire<Out>>,
    /// They are always kept.
    pub list_pinned: Vec<Signal<Out, Bit>>,
    /// How many.
    pub list_count: Wire<Out>,
    /// The last ones.
    pub list_last: Signal<Out, Bit>,
    /// Importances to go on from.
    pub load_valid: Signal<Out, Bit>,
    /// They are taken.
    pub load_ready: Signal<In, Bit>,
    /// Importances.
    pub load_importance: Vec<Wire<Out>>,
    /// Rows that could see them.
    pub load_rows: Vec<Wire<Out>>,
    /// A word for memory.
    pub word_valid: Signal<Out, Bit>,
    /// It is taken.
    pub word_ready: Signal<In, Bit>,
    /// Its channel.
    pub word_channel: Wire<Out>,
    /// Word of the channel.
    pub word_address: Wire<Out>,
    /// The word.
    pub word_data: Wire<Out>,
    /// Bytes of it that are written.
    pub word_strobe: Wire<Out>,
    /// Importances that were read.
    pub read_valid: Signal<In, Bit>,
    /// They would be taken.
    pub read_ready: Signal<Out, Bit>,
    /// Importances.
    pub read_importance: Vec<Wire<In>>,
    /// Rows that could see them.
    pub read_rows: Vec<Wire<In>>,
    /// How many.
    pub read_count: Wire<In>,
    /// The last ones.
    pub read_last: Signal<In, Bit>,
    /// Who survives.
    pub kept_valid: Signal<In, Bit>,
    /// They would be taken.
    pub kept_ready: Signal<Out, Bit>,
    /// Tokens.
    pub kept_index: Vec<Wire<In>>,
    /// How many.
    pub kept_count: Wire<In>,
    /// The last ones.
    pub kept_last: Signal<In, Bit>,

    lanes: Param,
    most: Param,
    channels: Param,
    per_word: Param,
    sum_bits: Param,
    value_bits: Param,
    op_init: Param,
    op_scan: Param,
    op_keys: Param,
    op_queries: Param,
    op_candidates: Param,
    op_save: Param,
    op_take: Param,
    op_load: Param,
    op_put: Param,
    op_dump: Param,
    sixteen: Param,
    joins: Param,
    pins_current: Param,
    sets: Param,
    reselects: Param,
    only_real: Param,
    state: Dff<State>,
    op: Reg,
    listed: Dff<Bit>,
    x: Reg,
    y: Reg,
    begins: Signal<Local, Bit>,
    // Memories.
    list: Ram,
    values: Ram,
    flags: Ram,
    // The walk.
    next: Reg,
    stop: Reg,
    issues: Signal<Local, Bit>,
    room: Credits,
    stage_one: Dff<Bit>,
    number_one: Reg,
    stage_two: Dff<Bit>,
    token_two: Reg,
    stage_three: Dff<Bit>,
    token_three: Reg,
    queue: Fifo,
    /// Tokens that are on their way.
    left: Reg,
    // The token at hand.
    there: Signal<Local, Bit>,
    token: Wire<Local>,
    state_bits: Wire<Local>,
    was: Wire<Local>,
    goes: Signal<Local, Bit>,
    // What a scan makes of it.
    first: Reg,
    offset: Wire<Local>,
    current: Signal<Local, Bit>,
    is_real: Signal<Local, Bit>,
    pin: Signal<Local, Bit>,
    alive: Signal<Local, Bit>,
    marks: Join,
    become_flags: Wire<Local>,
    rank: Reg,
    count: Reg,
    // What comes in.
    in_full: Dff<Bit>,
    in_lane: Vec<Reg>,
    in_count: Reg,
    in_last: Dff<Bit>,
    in_at: Reg,
    in_ended: Dff<Bit>,
    in_open: Signal<Local, Bit>,
    in_value: Vec<Wire<Local>>,
    in_there: Signal<Local, Bit>,
    in_uses: Signal<Local, Bit>,
    survives: Signal<Local, Bit>,
    // Beats.
    packs: Signal<Local, Bit>,
    passes: Signal<Local, Bit>,
    item: Wire<Local>,
    limit: Wire<Local>,
    lane: Vec<Reg>,
    filled: Reg,
    shown: Vec<Wire<Local>>,
    full: Signal<Local, Bit>,
    offers: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    channel: Reg,
    address: Reg,
    word: Join,
    strobe: Join,
}

impl TokenStore {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, channels, keys) = (config.softmax_lanes, config.channels, config.keys_on_chip);
        let per_word = config.channel_bytes / 8;
        let most = lanes.max(channels).max(per_word);
        let sum_bits = Formats::new(config).token_importance.width() as usize;
        let value_bits = sum_bits + ROW_BITS;
        assert!(per_word > 0 && value_bits + FLAG_BITS == STATE_BITS, "a token is {STATE_BITS} bits of a word");
        let (number, count) = (bits_for(keys - 1), bits_for(keys));
        let op = |op: Op| Param::new(op as usize);
        Self {
            name: ModuleName::new("token_store"),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Commands use some bits of x and y; lanes are as wide as the widest beat.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_op: Wire::unsigned(OP_BITS),
            command_listed: Default::default(),
            command_from: Wire::unsigned(count),
            command_to: Wire::unsigned(count),
            command_x: Wire::unsigned(64),
            command_y: Wire::unsigned(64),
            done_valid: Default::default(),
            done_ready: Default::default(),
            done_count: Wire::unsigned(count),
            key_list_valid: Default::default(),
            key_list_ready: Default::default(),
            key_list_index: vec_of(channels, || Wire::unsigned(TOKEN_BITS)),
            key_list_count: Wire::unsigned(bits_for(channels)),
            key_list_last: Default::default(),
            query_list_valid: Default::default(),
            query_list_ready: Default::default(),
            query_list_index: vec_of(channels, || Wire::unsigned(TOKEN_BITS)),
            query_list_count: Wire::unsigned(bits_for(channels)),
            query_list_last: Default::default(),
            list_valid: Default::default(),
            list_ready: Default::default(),
            list_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            list_pinned: vec_of(lanes, Default::default),
            list_count: Wire::unsigned(bits_for(lanes)),
            list_last: Default::default(),
            load_valid: Default::default(),
            load_ready: Default::default(),
            load_importance: vec_of(lanes, || Wire::unsigned(sum_bits)),
            load_rows: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_channel: Wire::unsigned(bits_for(channels - 1)),
            word_address: Wire::unsigned(ADDRESS_BITS),
            word_data: Wire::unsigned(8 * config.channel_bytes),
            word_strobe: Wire::unsigned(config.channel_bytes),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_importance: vec_of(lanes, || Wire::unsigned(sum_bits)),
            read_rows: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            read_count: Wire::unsigned(bits_for(lanes)),
            read_last: Default::default(),
            kept_valid: Default::default(),
            kept_ready: Default::default(),
            kept_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            kept_count: Wire::unsigned(bits_for(lanes)),
            kept_last: Default::default(),
            lanes: Param::new(lanes),
            most: Param::new(most),
            channels: Param::new(channels),
            per_word: Param::new(per_word),
            sum_bits: Param::new(sum_bits),
            value_bits: Param::new(value_bits),
            op_init: op(Op::Init),
            op_scan: op(Op::Scan),
            op_keys: op(Op::Keys),
            op_queries: op(Op::Queries),
            op_candidates: op(Op::Candidates),
            op_save: op(Op::Save),
            op_take: op(Op::Take),
            op_load: op(Op::Load),
            op_put: op(Op::Put),
            op_dump: op(Op::Dump),
            sixteen: Param::new(TOKEN_BITS),
            joins: Param::new(scan_bit::JOINS as usize),
            pins_current: Param::new(scan_bit::PIN_CURRENT as usize),
            sets: Param::new(scan_bit::SETS as usize),
            reselects: Param::new(scan_bit::RESELECT as usize),
            only_real: Param::new(QUERIES_REAL_BIT as usize),
            state: Default::default(),
            op: Reg::unsigned(OP_BITS),
            listed: Default::default(),
            x: Reg::unsigned(64),
            y: Reg::unsigned(64),
            begins: Default::default(),
            list: Ram::new(TOKEN_BITS, keys, ReadPort::Registered),
            values: Ram::new(value_bits, keys, ReadPort::Registered),
            flags: Ram::new(FLAG_BITS, keys, ReadPort::Registered),
            next: Reg::unsigned(count),
            stop: Reg::unsigned(count),
            issues: Default::default(),
            room: Credits::new(PLACES),
            stage_one: Default::default(),
            number_one: Reg::unsigned(number),
            stage_two: Default::default(),
            token_two: Reg::unsigned(TOKEN_BITS),
            stage_three: Default::default(),
            token_three: Reg::unsigned(TOKEN_BITS),
            queue: Fifo::new(TOKEN_BITS + FLAG_BITS + value_bits, PLACES),
            left: Reg::unsigned(count),
            there: Default::default(),
            token: Wire::unsigned(TOKEN_BITS),
            state_bits: Wire::unsigned(FLAG_BITS + value_bits),
            was: Wire::unsigned(FLAG_BITS),
            goes: Default::default(),
            first: Reg::unsigned(count),
            offset: Wire::unsigned(6),
            current: Default::default(),
            is_real: Default::default(),
            pin: Default::default(),
            alive: Default::default(),
            marks: Join::new(4, 1),
            become_flags: Wire::unsigned(FLAG_BITS),
            rank: Reg::unsigned(count),
            count: Reg::unsigned(count),
            in_full: Default::default(),
            in_lane: vec_of(lanes, || Reg::unsigned(value_bits)),
            in_count: Reg::unsigned(bits_for(lanes)),
            in_last: Default::default(),
            in_at: Reg::unsigned(bits_for(lanes)),
            in_ended: Default::default(),
            in_open: Default::default(),
            in_value: vec_of(lanes, || Wire::unsigned(value_bits)),
            in_there: Default::default(),
            in_uses: Default::default(),
            survives: Default::default(),
            packs: Default::default(),
            passes: Default::default(),
            item: Wire::unsigned(STATE_BITS),
            limit: Wire::unsigned(bits_for(most)),
            lane: vec_of(most, || Reg::unsigned(STATE_BITS)),
            filled: Reg::unsigned(bits_for(most)),
            shown: vec_of(most, || Wire::unsigned(STATE_BITS)),
            full: Default::default(),
            offers: Default::default(),
            taken: Default::default(),
            moves: Default::default(),
            channel: Reg::unsigned(bits_for(channels - 1)),
            address: Reg::unsigned(ADDRESS_BITS),
            word: Join::new(per_word, STATE_BITS),
            strobe: Join::new(per_word, STATE_BITS / 8),
        }
    }
}

impl Logic for TokenStore {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            op,
            listed,
            x,
            y,
            next,
            stop,
            stage_one,
            number_one,
            stage_two,
            token_two,
            stage_three,
            token_three,
            left,
            first,
            rank,
            count,
            in_full,
            in_count,
            in_last,
            in_at,
            in_ended,
            filled,
            channel,
            address
        );
        clock!(self, clock, list, values, flags, room, queue);
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        // Commands.
        self.command_ready.next = self.state.q.val() == State::Idle;
        self.begins.next = self.command_valid.val() & (self.state.q.val() == State::Idle);
        self.done_valid.next = self.state.q.val() == State::Done;
        self.done_count.next = self.count.q.val();

        // The walk.
        self.issues.next =
            (self.state.q.val() == State::Walk) & (self.next.q.val() < self.stop.q.val()) & self.room.available.val();
        self.room.take.next = self.issues.val();
        self.next.d.next = self.next.q.val() + self.issues.val();
        self.list.read_address.next = self.next.q.val();
        self.stage_one.d.next = self.issues.val();
        self.number_one.d.next = self.next.q.val();
        self.stage_two.d.next = self.stage_one.q.val();
        self.token_two.d.next = self.number_one.q.val();
        if self.listed.q.val() {
            self.token_two.d.next = self.list.read_data.val();
        }
        self.values.read_address.next = self.token_two.q.val();
        self.flags.read_address.next = self.token_two.q.val();
        self.stage_three.d.next = self.stage_two.q.val();
        self.token_three.d.next = self.token_two.q.val();
        self.queue.in_valid.next = self.stage_three.q.val();
        self.queue.in_data.next = (((self.flags.read_data.val() << self.value_bits.val())
            | self.values.read_data.val())
            << self.sixteen.val())
            | self.token_three.q.val();
        self.there.next = self.queue.out_valid.val();
        self.token.next = self.queue.out_data.val();
        self.state_bits.next = self.queue.out_data.val() >> self.sixteen.val();
        self.was.next = self.state_bits.val() >> self.value_bits.val();
        self.queue.out_ready.next = self.goes.val();
        self.room.give.next = self.goes.val();

        // Flags.
        self.offset.next = self.token.val() - self.first.q.val();
        self.current.next = self.token.val() == ((self.x.q.val() >> 32) & 65535);
        self.is_real.next = self.was.val().get_bit(0) | (self.current.val() & self.x.q.val().get_bit(self.joins.val()));
        self.pin.next = self.is_real.val()
            & (self.was.val().get_bit(1)
                | (self.rank.q.val() < (self.x.q.val() & 65535))
                | (self.rank.q.val() >= ((self.x.q.val() >> 16) & 65535))
                | (self.current.val() & self.x.q.val().get_bit(self.pins_current.val())));
        self.marks.lane[0].next = self.is_real.val().into();
        self.marks.lane[1].next = self.was.val().get_bit(1).into();
        self.marks.lane[2].next = self.pin.val().into();
        self.marks.lane[3].next = self.alive.val().into();
        self.alive.next = self.was.val().get_bit(3);
        self.become_flags.next = self.was.val();
        if self.op.q.val() == self.op_init.val() {
            self.alive.next = false;
            self.become_flags.next =
                ((self.x.q.val() >> self.offset.val()) & 1) | (((self.y.q.val() >> self.offset.val()) & 1) << 1);
        }
        if (self.op.q.val() == self.op_scan.val()) & self.x.q.val().get_bit(self.sets.val()) {
            self.alive.next = (self.was.val().get_bit(3)
                | (self.current.val() & self.x.q.val().get_bit(self.joins.val())))
                & !self.x.q.val().get_bit(self.reselects.val())
                | (self.is_real.val() & self.x.q.val().get_bit(self.reselects.val()));
            self.become_flags.next = self.marks.word.val();
        }
        if self.op.q.val() == self.op_take.val() {
            self.alive.next = self.survives.val();
            self.become_flags.next = self.was.val() & 7;
            if self.survives.val() {
                self.become_flags.next = (self.was.val() & 7) + 8;
            }
        }
        if self.op.q.val() == self.op_put.val() {
            self.become_flags.next = self.x.q.val() >> self.value_bits.val();
        }
        self.flags.write_enable.next = self.goes.val()
            & ((self.op.q.val() == self.op_init.val())
                | (self.op.q.val() == self.op_scan.val())
                | (self.op.q.val() == self.op_take.val())
                | (self.op.q.val() == self.op_put.val()));
        self.flags.write_address.next = self.token.val();
        self.flags.write_data.next = self.become_flags.val();
        self.list.write_enable.next = self.goes.val()
            & self.alive.val()
            & ((self.op.q.val() == self.op_scan.val()) | (self.op.q.val() == self.op_take.val()));
        self.list.write_address.next = self.count.q.val();
        self.list.write_data.next = self.token.val();

        // Values.
        self.values.write_enable.next = self.goes.val()
            & ((self.op.q.val() == self.op_init.val())
                | (self.op.q.val() == self.op_save.val())
                | (self.op.q.val() == self.op_put.val()));
        self.values.write_address.next = self.token.val();
        self.values.write_data.next = self.x.q.val();
        if self.op.q.val() == self.op_init.val() {
            self.values.write_data.next = 0.into();
        }
        if self.op.q.val() == self.op_save.val() {
            self.values.write_data.next = self.in_value[self.lanes.val() - 1].val();
        }

        // What comes in.
        self.in_open.next = (self.state.q.val() == State::Walk) & !self.in_full.q.val() & !self.in_ended.q.val();
        self.read_ready.next = self.in_open.val() & (self.op.q.val() == self.op_save.val());
        self.kept_ready.next = self.in_open.val() & (self.op.q.val() == self.op_take.val());
        self.in_there.next = self.in_full.q.val() & (self.in_at.q.val() < self.in_count.q.val());
        self.survives.next = self.in_there.val() & (self.in_value[self.lanes.val() - 1].val() == self.token.val());
        self.in_uses.next = self.goes.val()
            & ((self.op.q.val() == self.op_save.val())
                | ((self.op.q.val() == self.op_take.val()) & self.survives.val()));
        for i in 0..self.lanes.val() {
            self.in_lane[i].clock.next = self.clock.val();
            self.in_lane[i].d.next = self.in_lane[i].q.val();
            if self.in_open.val() {
                self.in_lane[i].d.next =
                    (self.read_rows[i].val() << self.sum_bits.val()) | self.read_importance[i].val();
                if self.op.q.val() == self.op_take.val() {
                    self.in_lane[i].d.next = self.kept_index[i].val();
                }
            }
            if i == 0 {
                self.in_value[0].next = self.in_lane[0].q.val();
            } else {
                self.in_value[i].next = self.in_value[i - 1].val();
                if self.in_at.q.val() == i {
                    self.in_value[i].next = self.in_lane[i].q.val();
                }
            }
        }
        if self.in_full.q.val() {
            self.in_at.d.next = self.in_at.q.val() + self.in_uses.val();
            if (self.in_at.q.val() + self.in_uses.val()) == self.in_count.q.val() {
                self.in_full.d.next = false;
                self.in_ended.d.next = self.in_last.q.val();
            }
        }
        if self.in_open.val() {
            self.in_at.d.next = 0.into();
            if self.op.q.val() == self.op_take.val() {
                self.in_full.d.next = self.kept_valid.val();
                self.in_count.d.next = self.kept_count.val();
                self.in_last.d.next = self.kept_last.val();
            }
            if self.op.q.val() == self.op_save.val() {
                self.in_full.d.next = self.read_valid.val();
                self.in_count.d.next = self.read_count.val();
                self.in_last.d.next = self.read_last.val();
            }
        }

        // Beats. One is offered when it is full and another token is there, or none is to come.
        self.packs.next = (self.op.q.val() == self.op_keys.val())
            | (self.op.q.val() == self.op_queries.val())
            | (self.op.q.val() == self.op_candidates.val())
            | (self.op.q.val() == self.op_load.val())
            | (self.op.q.val() == self.op_dump.val());
        self.passes.next = (self.op.q.val() != self.op_queries.val())
            | ((self.token.val() >= (self.x.q.val() & 65535))
                & (!self.x.q.val().get_bit(self.only_real.val()) | self.was.val().get_bit(0)));
        self.item.next = self.state_bits.val();
        if (self.op.q.val() == self.op_keys.val()) | (self.op.q.val() == self.op_candidates.val()) {
            self.item.next = (((self.was.val() >> 2) & 1) << self.sixteen.val()) | self.token.val();
        }
        if self.op.q.val() == self.op_queries.val() {
            self.item.next = (self.token.val() - (self.x.q.val() >> 16)) & 65535;
        }
        self.limit.next = self.lanes.val().into();
        if (self.op.q.val() == self.op_keys.val()) | (self.op.q.val() == self.op_queries.val()) {
            self.limit.next = self.channels.val().into();
        }
        if self.op.q.val() == self.op_dump.val() {
            self.limit.next = self.per_word.val().into();
        }
        self.full.next = self.filled.q.val() == self.limit.val();
        self.offers.next = (self.there.val() & self.packs.val() & self.passes.val() & self.full.val())
            | (self.state.q.val() == State::Last);
        self.key_list_valid.next = self.offers.val() & (self.op.q.val() == self.op_keys.val());
        self.query_list_valid.next = self.offers.val() & (self.op.q.val() == self.op_queries.val());
        self.list_valid.next = self.offers.val() & (self.op.q.val() == self.op_candidates.val());
        self.load_valid.next = self.offers.val() & (self.op.q.val() == self.op_load.val());
        self.word_valid.next = self.offers.val() & (self.op.q.val() == self.op_dump.val());
        self.taken.next = self.offers.val()
            & ((self.key_list_ready.val() & (self.op.q.val() == self.op_keys.val()))
                | (self.query_list_ready.val() & (self.op.q.val() == self.op_queries.val()))
                | (self.list_ready.val() & (self.op.q.val() == self.op_candidates.val()))
                | (self.load_ready.val() & (self.op.q.val() == self.op_load.val()))
                | (self.word_ready.val() & (self.op.q.val() == self.op_dump.val())));
        self.goes.next = self.there.val()
            & (!self.packs.val() | !self.passes.val() | !self.full.val() | self.taken.val())
            & ((self.op.q.val() != self.op_save.val()) | self.in_there.val())
            & ((self.op.q.val() != self.op_take.val()) | self.in_there.val() | self.in_ended.q.val());
        self.moves.next = self.goes.val() & self.packs.val() & self.passes.val();
        if self.moves.val() {
            self.filled.d.next = self.filled.q.val() + 1;
            if self.full.val() {
                self.filled.d.next = 1.into();
            }
        }
        for i in 0..self.most.val() {
            self.lane[i].clock.next = self.clock.val();
            self.lane[i].d.next = self.lane[i].q.val();
            if i == 0 {
                if self.moves.val() & (self.full.val() | !self.filled.q.val().any()) {
                    self.lane[0].d.next = self.item.val();
                }
            } else {
                if self.moves.val() & !self.full.val() & (self.filled.q.val() == i) {
                    self.lane[i].d.next = self.item.val();
                }
            }
        }
        for i in 0..self.most.val() {
            self.shown[i].next = 0.into();
            if self.filled.q.val() > i {
                self.shown[i].next = self.lane[i].q.val();
            }
        }
        for i in 0..self.channels.val() {
            self.key_list_index[i].next = self.shown[i].val();
            self.query_list_index[i].next = self.shown[i].val();
        }
        for i in 0..self.lanes.val() {
            self.list_index[i].next = self.shown[i].val();
            self.list_pinned[i].next = self.shown[i].val().get_bit(16);
            self.load_importance[i].next = self.shown[i].val();
            self.load_rows[i].next = self.shown[i].val() >> self.sum_bits.val();
        }
        for i in 0..self.per_word.val() {
            self.word.lane[i].next = self.shown[i].val();
            self.strobe.lane[i].next = 0.into();
            if self.filled.q.val() > i {
                self.strobe.lane[i].next = 255.into();
            }
        }
        self.key_list_count.next = self.filled.q.val();
        self.query_list_count.next = self.filled.q.val();
        self.list_count.next = self.filled.q.val();
        self.key_list_last.next = self.state.q.val() == State::Last;
        self.query_list_last.next = self.state.q.val() == State::Last;
        self.list_last.next = self.state.q.val() == State::Last;
        self.word_channel.next = self.channel.q.val();
        self.word_address.next = self.address.q.val();
        self.word_data.next = self.word.word.val();
        self.word_strobe.next = self.strobe.word.val();
        if self.taken.val() {
            self.channel.d.next = self.channel.q.val() + 1;
            if (self.channel.q.val() + 1) == self.channels.val() {
                self.channel.d.next = 0.into();
                self.address.d.next = self.address.q.val() + 1;
            }
        }

        // Counts, and what comes next.
        if self.goes.val() {
            self.left.d.next = self.left.q.val() - 1;
            self.rank.d.next = self.rank.q.val() + self.is_real.val();
            self.count.d.next = self.count.q.val() + self.passes.val();
            if (self.op.q.val() == self.op_scan.val()) | (self.op.q.val() == self.op_take.val()) {
                self.count.d.next = self.count.q.val() + self.alive.val();
            }
            if self.op.q.val() == self.op_init.val() {
                self.count.d.next = self.count.q.val() + self.become_flags.val().get_bit(0);
            }
        }
        match self.state.q.val() {
            State::Idle => {
                if self.begins.val() {
                    self.state.d.next = State::Walk;
                    self.op.d.next = self.command_op.val();
                    self.listed.d.next = self.command_listed.val();
                    self.x.d.next = self.command_x.val();
                    self.y.d.next = self.command_y.val();
                    self.next.d.next = self.command_from.val();
                    self.first.d.next = self.command_from.val();
                    self.stop.d.next = self.command_to.val();
                    self.left.d.next = 0.into();
                    if self.command_from.val() < self.command_to.val() {
                        self.left.d.next = self.command_to.val() - self.command_from.val();
                    }
                    self.rank.d.next = 0.into();
                    self.count.d.next = 0.into();
                    self.filled.d.next = 0.into();
                    self.in_full.d.next = false;
                    self.in_ended.d.next = false;
                    self.channel.d.next = self.command_y.val();
                    self.address.d.next = self.command_x.val();
                }
            }
            State::Walk => {
                if !self.left.q.val().any() & ((self.op.q.val() != self.op_take.val()) | self.in_ended.q.val()) {
                    self.state.d.next = State::Done;
                    if self.packs.val() {
                        self.state.d.next = State::Last;
                    }
                }
            }
            State::Last => {
                if self.taken.val() {
                    self.state.d.next = State::Done;
                }
            }
            State::Done => {
                if self.done_ready.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
            self.stage_one.d.next = false;
            self.stage_two.d.next = false;
            self.stage_three.d.next = false;
        }
    }
}
