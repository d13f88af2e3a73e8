//! A memory channel as an AXI4 master. Siblings: `sim`, `tests/axi_master.rs`.
//! Paper: SpAtten Table I (HBM channels).
//! Why: every AXI channel ends in a queue of two, so that no ready of the outside reaches into the chip within a cycle, nor out of it.
//! Differs from the paper: AXI4, which every memory controller of an FPGA has.

use crate::fifo::Fifo;
use crate::hdl::*;
use crate::matrix_fetcher::id_bits;
use spatten_arch::ArchConfig;
use spatten_arch::layout::ADDRESS_BITS;

/// Beats of each queue: as many as full throughput takes.
const BEATS: usize = 2;
/// AXI4 INCR.
const INCREMENT: usize = 1;

/// Single words of one channel: bursts of one beat.
///
/// `request` and `response` are those of `matrix_fetcher`, `write` and `acknowledge` those of `write_back`, for one channel; word addresses become
/// bytes. Reads carry the request's id, so memory may answer them in any order; writes all have id 0 and are answered in theirs.
/// `ar`, `r`, `aw`, `w`, `b`: AXI4 with `length` 0, `size` of a whole word, `burst` INCR; LOCK, CACHE, PROT, QOS and REGION have no ports (0).
/// `R` is one beat, so `RLAST` is not looked at.
///
/// An error response (SLVERR or DECERR) to a read gives its word all the same and sets `read_failed` until `clear`; one to a write is the
/// acknowledgement's `error`.
///
/// # Timing   a beat per cycle on each channel, 1 cycle later; an acknowledgement too
#[derive(LogicBlock)]
pub struct AxiMaster {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets beats. None may come for one from before.
    pub reset: Signal<In, Bit>,
    /// A word is asked for.
    pub request_valid: Signal<In, Bit>,
    /// That is taken.
    pub request_ready: Signal<Out, Bit>,
    /// Word of the channel.
    pub request_address: Wire<In>,
    /// Comes back with it.
    pub request_id: Wire<In>,
    /// A word is there.
    pub response_valid: Signal<Out, Bit>,
    /// It is taken.
    pub response_ready: Signal<In, Bit>,
    /// Of the request.
    pub response_id: Wire<Out>,
    /// The word.
    pub response_data: Wire<Out>,
    /// A word is written.
    pub write_valid: Signal<In, Bit>,
    /// That is taken.
    pub write_ready: Signal<Out, Bit>,
    /// Word of the channel.
    pub write_address: Wire<In>,
    /// The word.
    pub write_data: Wire<In>,
    /// Bytes of it.
    pub write_strobe: Wire<In>,
    /// The oldest write is in memory.
    pub acknowledge_valid: Signal<Out, Bit>,
    /// Or not.
    pub acknowledge_error: Signal<Out, Bit>,
    /// A read has failed since `clear`.
    pub read_failed: Signal<Out, Bit>,
    /// Forgets that; one that fails in this cycle counts.
    pub clear: Signal<In, Bit>,
    /// AR: an address is offered.
    pub ar_valid: Signal<Out, Bit>,
    /// It is taken.
    pub ar_ready: Signal<In, Bit>,
    /// Byte.
    pub ar_address: Wire<Out>,
    /// Of the request.
    pub ar_id: Wire<Out>,
    /// Beats of the burst, less one.
    pub ar_length: Wire<Out>,
    /// log2(bytes of a beat).
    pub ar_size: Wire<Out>,
    /// INCR.
    pub ar_burst: Wire<Out>,
    /// R: a word comes.
    pub r_valid: Signal<In, Bit>,
    /// It would be taken.
    pub r_ready: Signal<Out, Bit>,
    /// Of the request.
    pub r_id: Wire<In>,
    /// The word.
    pub r_data: Wire<In>,
    /// Bit 1: an error.
    pub r_response: Wire<In>,
    /// AW: an address is offered.
    pub aw_valid: Signal<Out, Bit>,
    /// It is taken.
    pub aw_ready: Signal<In, Bit>,
    /// Byte.
    pub aw_address: Wire<Out>,
    /// Beats of the burst, less one.
    pub aw_length: Wire<Out>,
    /// log2(bytes of a beat).
    pub aw_size: Wire<Out>,
    /// INCR.
    pub aw_burst: Wire<Out>,
    /// W: a word is offered.
    pub w_valid: Signal<Out, Bit>,
    /// It is taken.
    pub w_ready: Signal<In, Bit>,
    /// The word.
    pub w_data: Wire<Out>,
    /// Bytes of it.
    pub w_strobe: Wire<Out>,
    /// It is the burst's last one.
    pub w_last: Signal<Out, Bit>,
    /// B: a write is answered.
    pub b_valid: Signal<In, Bit>,
    /// That is taken.
    pub b_ready: Signal<Out, Bit>,
    /// Bit 1: an error.
    pub b_response: Wire<In>,
    size: Param,
    burst: Param,
    address_bits: Param,
    id_bits: Param,
    word_bits: Param,
    reads: Fifo,
    words: Fifo,
    addresses: Fifo,
    written: Fifo,
    read_word: Wire<Local>,
    writes: Signal<Local, Bit>,
    failed: Dff<Bit>,
    answered: Dff<Bit>,
    answered_error: Dff<Bit>,
}

impl AxiMaster {
    /// Of a memory channel. An id has one bit more than the fetcher's: whose the word is.
    pub fn new(config: &ArchConfig) -> Self {
        Self::sized("axi_master", config.channel_bytes, ADDRESS_BITS, id_bits(config) + 1)
    }

    /// Of host memory, in words as those of card memory; there is one request at a time.
    pub fn host(config: &ArchConfig) -> Self {
        let bytes = config.channel_bytes;
        Self::sized("axi_master_host", bytes, 64 - bytes.ilog2() as usize, 1)
    }

    /// For words of `bytes` and numbers of words of `address` bits.
    fn sized(name: &str, bytes: usize, address: usize, id: usize) -> Self {
        let (word, size) = (8 * bytes, bytes.ilog2() as usize);
        Self {
            name: ModuleName::new(name),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Bit 0 of an AXI response tells kinds of success, and kinds of failure, apart.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            request_valid: Default::default(),
            request_ready: Default::default(),
            request_address: Wire::unsigned(address),
            request_id: Wire::unsigned(id),
            response_valid: Default::default(),
            response_ready: Default::default(),
            response_id: Wire::unsigned(id),
            response_data: Wire::unsigned(word),
            write_valid: Default::default(),
            write_ready: Default::default(),
            write_address: Wire::unsigned(address),
            write_data: Wire::unsigned(word),
            write_strobe: Wire::unsigned(bytes),
            acknowledge_valid: Default::default(),
            acknowledge_error: Default::default(),
            read_failed: Default::default(),
            clear: Default::default(),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_address: Wire::unsigned(address + size),
            ar_id: Wire::unsigned(id),
            ar_length: Wire::unsigned(8),
            ar_size: Wire::unsigned(3),
            ar_burst: Wire::unsigned(2),
            r_valid: Default::default(),
            r_ready: Default::default(),
            r_id: Wire::unsigned(id),
            r_data: Wire::unsigned(word),
            r_response: Wire::unsigned(2),
            aw_valid: Default::default(),
            aw_ready: Default::default(),
            aw_address: Wire::unsigned(address + size),
            aw_length: Wire::unsigned(8),
            aw_size: Wire::unsigned(3),
            aw_burst: Wire::unsigned(2),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_data: Wire::unsigned(word),
            w_strobe: Wire::unsigned(bytes),
            w_last: Default::default(),
            b_valid: Default::default(),
            b_ready: Default::default(),
            b_response: Wire::unsigned(2),
            size: Param::new(size),
            burst: Param::new(INCREMENT),
            address_bits: Param::new(address),
            id_bits: Param::new(id),
            word_bits: Param::new(word),
            reads: Fifo::new(address + id, BEATS),
            words: Fifo::new(id + word, BEATS),
            addresses: Fifo::new(address, BEATS),
            written: Fifo::new(word + bytes, BEATS),
            read_word: Wire::unsigned(address),
            writes: Default::default(),
            failed: Default::default(),
            answered: Default::default(),
            answered_error: Default::default(),
        }
    }
}

impl Logic for AxiMaster {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, failed, answered, answered_error);
        clock!(self, clock, reads, words, addresses, written);
        self.reads.reset.next = self.reset.val();
        self.words.reset.next = self.reset.val();
        self.addresses.reset.next = self.reset.val();
        self.written.reset.next = self.reset.val();

        // Reads.
        self.reads.in_valid.next = self.request_valid.val();
        self.request_ready.next = self.reads.in_ready.val();
        self.reads.in_data.next = (self.request_id.val() << self.address_bits.val()) | self.request_address.val();
        self.ar_valid.next = self.reads.out_valid.val();
        self.reads.out_ready.next = self.ar_ready.val();
        self.read_word.next = self.reads.out_data.val();
        self.ar_address.next = self.read_word.val() << self.size.val();
        self.ar_id.next = self.reads.out_data.val() >> self.address_bits.val();
        self.ar_length.next = 0.into();
        self.ar_size.next = self.size.val().into();
        self.ar_burst.next = self.burst.val().into();
        self.words.in_valid.next = self.r_valid.val();
        self.r_ready.next = self.words.in_ready.val();
        self.words.in_data.next = (self.r_data.val() << self.id_bits.val()) | self.r_id.val();
        self.response_valid.next = self.words.out_valid.val();
        self.words.out_ready.next = self.response_ready.val();
        self.response_id.next = self.words.out_data.val();
        self.response_data.next = self.words.out_data.val() >> self.id_bits.val();
        if self.clear.val() {
            self.failed.d.next = false;
        }
        if self.r_valid.val() & self.words.in_ready.val() & self.r_response.val().get_bit(1) {
            self.failed.d.next = true;
        }
        self.read_failed.next = self.failed.q.val();

        // Writes: both halves are queued at once.
        self.write_ready.next = self.addresses.in_ready.val() & self.written.in_ready.val();
        self.writes.next = self.write_valid.val() & self.addresses.in_ready.val() & self.written.in_ready.val();
        self.addresses.in_valid.next = self.writes.val();
        self.addresses.in_data.next = self.write_address.val();
        self.aw_valid.next = self.addresses.out_valid.val();
        self.addresses.out_ready.next = self.aw_ready.val();
        self.aw_address.next = self.addresses.out_data.val() << self.size.val();
        self.aw_length.next = 0.into();
        self.aw_size.next = self.size.val().into();
        self.aw_burst.next = self.burst.val().into();
        self.written.in_valid.next = self.writes.val();
        self.written.in_data.next = (self.write_strobe.val() << self.word_bits.val()) | self.write_data.val();
        self.w_valid.next = self.written.out_valid.val();
        self.written.out_ready.next = self.w_ready.val();
        self.w_data.next = self.written.out_data.val();
        self.w_strobe.next = self.written.out_data.val() >> self.word_bits.val();
        self.w_last.next = true;
        self.b_ready.next = true;
        self.answered.d.next = self.b_valid.val() & !self.reset.val();
        self.answered_error.d.next = self.b_valid.val() & self.b_response.val().get_bit(1) & !self.reset.val();
        self.acknowledge_valid.next = self.answered.q.val();
        self.acknowledge_error.next = self.answered_error.q.val();
        if self.reset.val() {
            self.failed.d.next = false;
        }
    }
}
