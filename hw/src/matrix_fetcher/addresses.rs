//! Token lists to addresses: the first part of `matrix_fetcher`.

use crate::hdl::*;
use spatten_arch::ArchConfig;
pub use spatten_arch::content::TAG_BITS;
use spatten_arch::layout::{ADDRESS_BITS, GRANULE_BYTES, TOKEN_BITS};

/// Widths of what a lane is told about a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkBits {
    /// Of a channel.
    pub(crate) channel: usize,
    /// Of a granule within a word.
    pub(crate) skip: usize,
    /// Of the number of words that a chunk may touch.
    pub(crate) words: usize,
    /// Of an element.
    pub(crate) bits: usize,
}

impl ChunkBits {
    /// In a configuration.
    pub(crate) fn of(config: &ArchConfig) -> Self {
        let granules = config.channel_bytes / GRANULE_BYTES;
        let widest = config.datapath_bits as usize;
        Self {
            channel: bits_for(config.channels - 1),
            skip: bits_for(granules - 1),
            words: bits_for((granules - 1 + widest).div_ceil(granules)),
            bits: bits_for(widest),
        }
    }
}

/// Address of each lane's next chunk.
///
/// Chunk `x` of a job (token `x / chunks`, counted along the list) belongs to lane `x mod lanes`, so every step gives one
/// chunk to every lane; of the last step, lanes without a chunk are told so. A chunk that begins in the word in which the
/// lane's chunk before ended, right behind it, needs that word no more.
///
/// # Timing   `push` 7 cycles after `step`, the first step of a beat in the cycle after it is accepted; a beat of tokens takes
/// ceil(chunks / lanes) steps, and a job is accepted in the cycle of the last step of the one before
#[derive(LogicBlock)]
pub(super) struct Addresses {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    pub(super) reset: Signal<In, Bit>,
    pub(super) job_valid: Signal<In, Bit>,
    pub(super) job_ready: Signal<Out, Bit>,
    pub(super) job_base: Wire<In>,
    pub(super) job_bits: Wire<In>,
    pub(super) job_split: Wire<In>,
    pub(super) job_tag: Wire<In>,
    pub(super) token_valid: Signal<In, Bit>,
    pub(super) token_ready: Signal<Out, Bit>,
    pub(super) token: Vec<Wire<In>>,
    pub(super) token_count: Wire<In>,
    pub(super) token_last: Signal<In, Bit>,
    /// Lanes that have a place.
    pub(super) room: Vec<Signal<In, Bit>>,
    /// Takes a place in every lane.
    pub(super) step: Signal<Out, Bit>,
    /// A chunk for every lane.
    pub(super) push: Signal<Out, Bit>,
    /// There is one for this lane.
    pub(super) live: Vec<Signal<Out, Bit>>,
    /// It begins with a word that is not there yet.
    pub(super) fresh: Vec<Signal<Out, Bit>>,
    /// Granules of that word before it.
    pub(super) skip: Vec<Wire<Out>>,
    /// Words that are not there yet.
    pub(super) words: Vec<Wire<Out>>,
    /// Their channel.
    pub(super) channel: Vec<Wire<Out>>,
    /// The first of them.
    pub(super) address: Vec<Wire<Out>>,
    /// The job's last step.
    pub(super) last: Signal<Out, Bit>,
    /// Of the job.
    pub(super) tag: Wire<Out>,
    lanes: Param,
    lane_level: Param,
    granule_level: Param,
    // The job.
    active: Dff<Bit>,
    first: Dff<Bit>,
    base: Reg,
    bits: Reg,
    split: Reg,
    job: Reg,
    // The beat of tokens, and which of its steps is next; `rounds` is the last one.
    held: Dff<Bit>,
    tokens: Vec<Reg>,
    count: Reg,
    chunks: Wire<Local>,
    rounds: Reg,
    final_beat: Dff<Bit>,
    round: Reg,
    space: Vec<Signal<Local, Bit>>,
    go: Signal<Local, Bit>,
    final_round: Signal<Local, Bit>,
    accept_job: Signal<Local, Bit>,
    accept_token: Signal<Local, Bit>,
    // What goes along with a step.
    valid_s: Vec<Dff<Bit>>,
    first_s: Vec<Dff<Bit>>,
    last_s: Vec<Dff<Bit>>,
    tag_s: Vec<Reg>,
    base_s: Vec<Reg>,
    bits_s: Vec<Reg>,
    split_1: Reg,
    // 1: token and chunk of its row
    token_1: Vec<Reg>,
    part_1: Vec<Reg>,
    // 1 to 6, lane by lane
    live_s: Vec<Dff<Bit>>,
    // 2: number of the chunk in the plane
    number_2: Vec<Reg>,
    number: Vec<Wire<Local>>,
    // 3: two parts of its granule
    even: Vec<Wire<Local>>,
    odd: Vec<Wire<Local>>,
    low_3: Vec<Reg>,
    high_3: Vec<Reg>,
    channel_3: Vec<Reg>,
    // 4: its granule
    granule_4: Vec<Reg>,
    channel_4: Vec<Reg>,
    // 5: first and last
    from_5: Vec<Reg>,
    to_5: Vec<Reg>,
    channel_5: Vec<Reg>,
    // 6: against the chunk before
    after: Vec<Wire<Local>>,
    first_word: Vec<Wire<Local>>,
    last_word: Vec<Wire<Local>>,
    begin: Vec<Wire<Local>>,
    seen_word: Vec<Reg>,
    seen_channel: Vec<Reg>,
    seen_end: Vec<Reg>,
    resume_6: Vec<Dff<Bit>>,
    word_6: Vec<Reg>,
    skip_6: Vec<Reg>,
    words_6: Vec<Reg>,
    channel_6: Vec<Reg>,
    // 7
    live_7: Vec<Dff<Bit>>,
    fresh_7: Vec<Dff<Bit>>,
    skip_7: Vec<Reg>,
    words_7: Vec<Reg>,
    channel_7: Vec<Reg>,
    address_7: Vec<Reg>,
}

impl Addresses {
    /// Cycles from `step` to `push`.
    const LATENCY: usize = 7;

    /// For a configuration.
    pub(super) fn new(config: &ArchConfig) -> Self {
        let lanes = config.channels;
        let width = ChunkBits::of(config);
        let granules = config.channel_bytes / GRANULE_BYTES;
        let number = TOKEN_BITS + 2;
        let granule = number + width.bits;
        let stages = Self::LATENCY;
        Self {
            name: ModuleName::new("matrix_fetcher_addresses"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_base: Wire::unsigned(ADDRESS_BITS),
            job_bits: Wire::unsigned(width.bits),
            job_split: Wire::unsigned(2),
            job_tag: Wire::unsigned(TAG_BITS),
            token_valid: Default::default(),
            token_ready: Default::default(),
            token: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            token_count: Wire::unsigned(bits_for(lanes)),
            token_last: Default::default(),
            room: vec_of(lanes, Default::default),
            step: Default::default(),
            push: Default::default(),
            live: vec_of(lanes, Default::default),
            fresh: vec_of(lanes, Default::default),
            skip: vec_of(lanes, || Wire::unsigned(width.skip)),
            words: vec_of(lanes, || Wire::unsigned(width.words)),
            channel: vec_of(lanes, || Wire::unsigned(width.channel)),
            address: vec_of(lanes, || Wire::unsigned(ADDRESS_BITS)),
            last: Default::default(),
            tag: Wire::unsigned(TAG_BITS),
            lanes: Param::new(lanes),
            lane_level: Param::new(lanes.ilog2() as usize),
            granule_level: Param::new(granules.ilog2() as usize),
            active: Default::default(),
            first: Default::default(),
            base: Reg::unsigned(ADDRESS_BITS),
            bits: Reg::unsigned(width.bits),
            split: Reg::unsigned(2),
            job: Reg::unsigned(TAG_BITS),
            held: Default::default(),
            tokens: vec_of(lanes, || Reg::unsigned(TOKEN_BITS)),
            count: Reg::unsigned(bits_for(lanes)),
            chunks: Wire::unsigned(bits_for(4 * lanes)),
            rounds: Reg::unsigned(2),
            final_beat: Default::default(),
            round: Reg::unsigned(2),
            space: vec_of(lanes, Default::default),
            go: Default::default(),
            final_round: Default::default(),
            accept_job: Default::default(),
            accept_token: Default::default(),
            valid_s: vec_of(stages, Default::default),
            first_s: vec_of(stages - 2, Default::default),
            last_s: vec_of(stages, Default::default),
            tag_s: vec_of(stages, || Reg::unsigned(TAG_BITS)),
            base_s: vec_of(stages - 1, || Reg::unsigned(ADDRESS_BITS)),
            bits_s: vec_of(stages - 3, || Reg::unsigned(width.bits)),
            split_1: Reg::unsigned(2),
            token_1: vec_of(lanes, || Reg::unsigned(TOKEN_BITS)),
            part_1: vec_of(lanes, || Reg::unsigned(2)),
            live_s: vec_of((stages - 1) * lanes, Default::default),
            number_2: vec_of(lanes, || Reg::unsigned(number)),
            number: vec_of(lanes, || Wire::unsigned(number)),
            even: vec_of(2 * lanes, || Wire::unsigned(granule)),
            odd: vec_of(2 * lanes, || Wire::unsigned(granule)),
            low_3: vec_of(lanes, || Reg::unsigned(granule)),
            high_3: vec_of(lanes, || Reg::unsigned(granule)),
            channel_3: vec_of(lanes, || Reg::unsigned(width.channel)),
            granule_4: vec_of(lanes, || Reg::unsigned(granule)),
            channel_4: vec_of(lanes, || Reg::unsigned(width.channel)),
            from_5: vec_of(lanes, || Reg::unsigned(granule)),
            to_5: vec_of(lanes, || Reg::unsigned(granule)),
            channel_5: vec_of(lanes, || Reg::unsigned(width.channel)),
            after: vec_of(lanes, || Wire::unsigned(width.skip)),
            first_word: vec_of(lanes, || Wire::unsigned(granule)),
            last_word: vec_of(lanes, || Wire::unsigned(granule)),
            begin: vec_of(lanes, || Wire::unsigned(width.skip)),
            seen_word: vec_of(lanes, || Reg::unsigned(granule)),
            seen_channel: vec_of(lanes, || Reg::unsigned(width.channel)),
            seen_end: vec_of(lanes, || Reg::unsigned(width.skip)),
            resume_6: vec_of(lanes, Default::default),
            word_6: vec_of(lanes, || Reg::unsigned(granule)),
            skip_6: vec_of(lanes, || Reg::unsigned(width.skip)),
            words_6: vec_of(lanes, || Reg::unsigned(width.words)),
            channel_6: vec_of(lanes, || Reg::unsigned(width.channel)),
            live_7: vec_of(lanes, Default::default),
            fresh_7: vec_of(lanes, Default::default),
            skip_7: vec_of(lanes, || Reg::unsigned(width.skip)),
            words_7: vec_of(lanes, || Reg::unsigned(width.words)),
            channel_7: vec_of(lanes, || Reg::unsigned(width.channel)),
            address_7: vec_of(lanes, || Reg::unsigned(ADDRESS_BITS)),
        }
    }
}

impl Logic for Addresses {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, active, first, base, bits, split, job, held, count, rounds, final_beat, round, split_1);

        // A job is active from its acceptance to its last step.
        for i in 0..self.lanes.val() {
            if i == 0 {
                self.space[i].next = self.room[i].val();
            } else {
                self.space[i].next = self.space[i - 1].val() & self.room[i].val();
            }
        }
        self.go.next = self.held.q.val() & self.space[self.lanes.val() - 1].val();
        self.final_round.next = self.go.val() & (self.round.q.val() == self.rounds.q.val());
        self.step.next = self.go.val();
        self.token_ready.next =
            self.active.q.val() & (!self.held.q.val() | (self.final_round.val() & !self.final_beat.q.val()));
        self.accept_token.next = self.token_valid.val()
            & self.active.q.val()
            & (!self.held.q.val() | (self.final_round.val() & !self.final_beat.q.val()));
        self.job_ready.next = !self.active.q.val() | (self.final_round.val() & self.final_beat.q.val());
        self.accept_job.next =
            self.job_valid.val() & (!self.active.q.val() | (self.final_round.val() & self.final_beat.q.val()));
        if self.go.val() {
            self.first.d.next = false;
            self.round.d.next = self.round.q.val() + 1;
        }
        if self.final_round.val() {
            self.held.d.next = false;
            self.round.d.next = 0.into();
            if self.final_beat.q.val() {
                self.active.d.next = false;
            }
        }
        if self.accept_job.val() {
            self.active.d.next = true;
            self.first.d.next = true;
            self.base.d.next = self.job_base.val();
            self.bits.d.next = self.job_bits.val();
            self.split.d.next = self.job_split.val();
            self.job.d.next = self.job_tag.val();
        }
        self.chunks.next = self.token_count.val();
        if self.split.q.val() == 1 {
            self.chunks.next = self.token_count.val() << 1;
        }
        if self.split.q.val() == 2 {
            self.chunks.next = self.token_count.val() << 2;
        }
        if self.accept_token.val() {
            self.held.d.next = true;
            self.count.d.next = self.token_count.val();
            self.final_beat.d.next = self.token_last.val();
            self.rounds.d.next = 0.into();
            if self.token_count.val().any() {
                self.rounds.d.next = (self.chunks.val() - 1) >> self.lane_level.val();
            }
        }
        for i in 0..self.lanes.val() {
            self.tokens[i].clock.next = self.clock.val();
            self.tokens[i].d.next = self.tokens[i].q.val();
            if self.accept_token.val() {
                self.tokens[i].d.next = self.token[i].val();
            }
        }

        // What goes along.
        for s in 0..7 {
            self.valid_s[s].clock.next = self.clock.val();
            self.last_s[s].clock.next = self.clock.val();
            self.tag_s[s].clock.next = self.clock.val();
            if s == 0 {
                self.valid_s[s].d.next = self.go.val();
                self.last_s[s].d.next = self.final_round.val() & self.final_beat.q.val();
                self.tag_s[s].d.next = self.job.q.val();
            } else {
                self.valid_s[s].d.next = self.valid_s[s - 1].q.val();
                self.last_s[s].d.next = self.last_s[s - 1].q.val();
                self.tag_s[s].d.next = self.tag_s[s - 1].q.val();
            }
            if self.reset.val() {
                self.valid_s[s].d.next = false;
            }
        }
        for s in 0..6 {
            self.base_s[s].clock.next = self.clock.val();
            if s == 0 {
                self.base_s[s].d.next = self.base.q.val();
            } else {
                self.base_s[s].d.next = self.base_s[s - 1].q.val();
            }
        }
        for s in 0..5 {
            self.first_s[s].clock.next = self.clock.val();
            if s == 0 {
                self.first_s[s].d.next = self.first.q.val();
            } else {
                self.first_s[s].d.next = self.first_s[s - 1].q.val();
            }
        }
        for s in 0..4 {
            self.bits_s[s].clock.next = self.clock.val();
            if s == 0 {
                self.bits_s[s].d.next = self.bits.q.val();
            } else {
                self.bits_s[s].d.next = self.bits_s[s - 1].q.val();
            }
        }
        self.split_1.d.next = self.split.q.val();

        for i in 0..self.lanes.val() {
            // 1: step k of a beat gives lane i chunk k * lanes + i of the beat.
            self.token_1[i].clock.next = self.clock.val();
            self.part_1[i].clock.next = self.clock.val();
            self.live_s[i].clock.next = self.clock.val();
            self.token_1[i].d.next = self.tokens[i].q.val();
            self.part_1[i].d.next = 0.into();
            self.live_s[i].d.next = self.count.q.val() > i;
            for k in 0..2 {
                if (self.split.q.val() == 1) & (self.round.q.val() == k) {
                    self.token_1[i].d.next = self.tokens[(k * self.lanes.val() + i) >> 1].q.val();
                    self.part_1[i].d.next = ((k * self.lanes.val() + i) & 1).into();
                    self.live_s[i].d.next = self.count.q.val() > ((k * self.lanes.val() + i) >> 1);
                }
            }
            for k in 0..4 {
                if (self.split.q.val() == 2) & (self.round.q.val() == k) {
                    self.token_1[i].d.next = self.tokens[(k * self.lanes.val() + i) >> 2].q.val();
                    self.part_1[i].d.next = ((k * self.lanes.val() + i) & 3).into();
                    self.live_s[i].d.next = self.count.q.val() > ((k * self.lanes.val() + i) >> 2);
                }
            }
            for s in 1..6 {
                self.live_s[s * self.lanes.val() + i].clock.next = self.clock.val();
                self.live_s[s * self.lanes.val() + i].d.next = self.live_s[(s - 1) * self.lanes.val() + i].q.val();
            }

            // 2
            self.number_2[i].clock.next = self.clock.val();
            self.number_2[i].d.next = self.token_1[i].q.val();
            if self.split_1.q.val() == 1 {
                self.number_2[i].d.next = (self.token_1[i].q.val() << 1) | self.part_1[i].q.val();
            }
            if self.split_1.q.val() == 2 {
                self.number_2[i].d.next = (self.token_1[i].q.val() << 2) | self.part_1[i].q.val();
            }

            // 3: its place on the channel times the width; bit 4 of a width stands alone.
            self.number[i].next = self.number_2[i].q.val() >> self.lane_level.val();
            self.even[2 * i].next = 0.into();
            self.odd[2 * i].next = 0.into();
            self.even[2 * i + 1].next = 0.into();
            self.odd[2 * i + 1].next = 0.into();
            if (self.bits_s[1].q.val() & 1).any() {
                self.even[2 * i].next = self.number[i].val();
            }
            if ((self.bits_s[1].q.val() >> 1) & 1).any() {
                self.odd[2 * i].next = self.number[i].val() << 1;
            }
            if ((self.bits_s[1].q.val() >> 2) & 1).any() {
                self.even[2 * i + 1].next = self.number[i].val() << 2;
            }
            if ((self.bits_s[1].q.val() >> 3) & 1).any() {
                self.odd[2 * i + 1].next = self.number[i].val() << 3;
            }
            if ((self.bits_s[1].q.val() >> 4) & 1).any() {
                self.odd[2 * i + 1].next = self.number[i].val() << 4;
            }
            self.low_3[i].clock.next = self.clock.val();
            self.low_3[i].d.next = self.even[2 * i].val() + self.odd[2 * i].val();
            self.high_3[i].clock.next = self.clock.val();
            self.high_3[i].d.next = self.even[2 * i + 1].val() + self.odd[2 * i + 1].val();
            self.channel_3[i].clock.next = self.clock.val();
            self.channel_3[i].d.next = self.number_2[i].q.val() & (self.lanes.val() - 1);

            // 4
            self.granule_4[i].clock.next = self.clock.val();
            self.granule_4[i].d.next = self.low_3[i].q.val() + self.high_3[i].q.val();
            self.channel_4[i].clock.next = self.clock.val();
            self.channel_4[i].d.next = self.channel_3[i].q.val();

            // 5
            self.from_5[i].clock.next = self.clock.val();
            self.from_5[i].d.next = self.granule_4[i].q.val();
            self.to_5[i].clock.next = self.clock.val();
            self.to_5[i].d.next = self.granule_4[i].q.val() + self.bits_s[3].q.val() - 1;
            self.channel_5[i].clock.next = self.clock.val();
            self.channel_5[i].d.next = self.channel_4[i].q.val();

            // 6
            self.after[i].next = self.to_5[i].q.val() + 1;
            self.first_word[i].next = self.from_5[i].q.val() >> self.granule_level.val();
            self.last_word[i].next = self.to_5[i].q.val() >> self.granule_level.val();
            self.begin[i].next = self.from_5[i].q.val() & ((1 << self.granule_level.val()) - 1);
            self.seen_word[i].clock.next = self.clock.val();
            self.seen_channel[i].clock.next = self.clock.val();
            self.seen_end[i].clock.next = self.clock.val();
            self.seen_word[i].d.next = self.seen_word[i].q.val();
            self.seen_channel[i].d.next = self.seen_channel[i].q.val();
            self.seen_end[i].d.next = self.seen_end[i].q.val();
            if self.valid_s[4].q.val() {
                self.seen_word[i].d.next = self.last_word[i].val();
                self.seen_channel[i].d.next = self.channel_5[i].q.val();
                self.seen_end[i].d.next = self.after[i].val() & ((1 << self.granule_level.val()) - 1);
            }
            self.resume_6[i].clock.next = self.clock.val();
            self.resume_6[i].d.next = !self.first_s[4].q.val()
                & (self.seen_channel[i].q.val() == self.channel_5[i].q.val())
                & (self.seen_word[i].q.val() == self.first_word[i].val())
                & (self.seen_end[i].q.val() == self.begin[i].val())
                & self.begin[i].val().any();
            self.word_6[i].clock.next = self.clock.val();
            self.word_6[i].d.next = self.first_word[i].val();
            self.skip_6[i].clock.next = self.clock.val();
            self.skip_6[i].d.next = self.begin[i].val();
            self.words_6[i].clock.next = self.clock.val();
            self.words_6[i].d.next = self.last_word[i].val() - self.first_word[i].val() + 1;
            self.channel_6[i].clock.next = self.clock.val();
            self.channel_6[i].d.next = self.channel_5[i].q.val();

            // 7
            self.live_7[i].clock.next = self.clock.val();
            self.live_7[i].d.next = self.live_s[5 * self.lanes.val() + i].q.val();
            self.fresh_7[i].clock.next = self.clock.val();
            self.fresh_7[i].d.next = self.live_s[5 * self.lanes.val() + i].q.val() & !self.resume_6[i].q.val();
            self.skip_7[i].clock.next = self.clock.val();
            self.skip_7[i].d.next = 0.into();
            self.words_7[i].clock.next = self.clock.val();
            self.words_7[i].d.next = 0.into();
            if self.live_s[5 * self.lanes.val() + i].q.val() {
                self.words_7[i].d.next = self.words_6[i].q.val() - self.resume_6[i].q.val();
                if !self.resume_6[i].q.val() {
                    self.skip_7[i].d.next = self.skip_6[i].q.val();
                }
            }
            self.channel_7[i].clock.next = self.clock.val();
            self.channel_7[i].d.next = self.channel_6[i].q.val();
            self.address_7[i].clock.next = self.clock.val();
            self.address_7[i].d.next = self.base_s[5].q.val() + self.word_6[i].q.val() + self.resume_6[i].q.val();

            self.live[i].next = self.live_7[i].q.val();
            self.fresh[i].next = self.fresh_7[i].q.val();
            self.skip[i].next = self.skip_7[i].q.val();
            self.words[i].next = self.words_7[i].q.val();
            self.channel[i].next = self.channel_7[i].q.val();
            self.address[i].next = self.address_7[i].q.val();
        }
        self.push.next = self.valid_s[6].q.val();
        self.last.next = self.last_s[6].q.val();
        self.tag.next = self.tag_s[6].q.val();
        if self.reset.val() {
            self.active.d.next = false;
            self.held.d.next = false;
            self.round.d.next = 0.into();
        }
    }
}
