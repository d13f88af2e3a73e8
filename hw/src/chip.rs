//! The chip: registers, controller, what a sequence has, layers, and AXI to card and host. Siblings: `sim`, `tests/chip.rs`.
//! Paper: SpAtten section IV-A, Fig. 8.
//! Why: the program starts what takes long and waits for its end; so nothing here decides anything but whose turn a stream is, and
//! that stands in the program (`arch::firmware`).
//! Differs from the paper: it has no host side.
//!
//! ```text
//!  csr <--> [csr] <--> [controller] -- layer, factor, command --> [layer_engine] <-- request, response --+
//!                        |   | ^ word                              ^ lists   | read                       |
//!                        |   | |                       [token_store] <-------+--> [survivor_select]       |
//!                        |   | +--------------------------------------------------------------------------+--> [axi_master] card
//!                        +---+--------------------------------------------------------------------------------> [axi_master] host
//! ```

use crate::axi_master::AxiMaster;
use crate::controller::Controller;
use crate::csr::Csr;
use crate::hdl::*;
use crate::layer_engine::LayerEngine;
use crate::leaf::Join;
use crate::matrix_fetcher::id_bits;
use crate::survivor_select::SurvivorSelect;
use crate::token_store::TokenStore;
use crate::verdict_map::VerdictMap;
use spatten_arch::ArchConfig;
use spatten_arch::firmware::{self, Field, Pop, Port, Push};
use spatten_arch::registers::Counter;

/// The whole accelerator.
///
/// `csr_*`: AXI4-Lite, as `csr`. `card_*`: AXI4, one per memory channel; `host_*`: AXI4 to host memory; both as `axi_master`.
/// `interrupt_line`, `interrupt_message`: as `csr`.
///
/// # Timing   that of its parts
#[derive(LogicBlock)]
pub struct Chip {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: as after power-up. No answer may come for what was asked before.
    pub reset: Signal<In, Bit>,
    /// Address of a write.
    pub csr_aw_valid: Signal<In, Bit>,
    /// It would be taken.
    pub csr_aw_ready: Signal<Out, Bit>,
    /// Byte.
    pub csr_aw_address: Wire<In>,
    /// Data of a write.
    pub csr_w_valid: Signal<In, Bit>,
    /// It would be taken.
    pub csr_w_ready: Signal<Out, Bit>,
    /// A word.
    pub csr_w_data: Wire<In>,
    /// Its bytes that are written.
    pub csr_w_strobe: Wire<In>,
    /// A write is answered.
    pub csr_b_valid: Signal<Out, Bit>,
    /// The answer is taken.
    pub csr_b_ready: Signal<In, Bit>,
    /// `OKAY` or `SLVERR`.
    pub csr_b_response: Wire<Out>,
    /// Address of a read.
    pub csr_ar_valid: Signal<In, Bit>,
    /// It would be taken.
    pub csr_ar_ready: Signal<Out, Bit>,
    /// Byte.
    pub csr_ar_address: Wire<In>,
    /// A read is answered.
    pub csr_r_valid: Signal<Out, Bit>,
    /// The answer is taken.
    pub csr_r_ready: Signal<In, Bit>,
    /// The word.
    pub csr_r_data: Wire<Out>,
    /// `OKAY` or `SLVERR`.
    pub csr_r_response: Wire<Out>,
    /// An address is offered.
    pub card_ar_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub card_ar_ready: Vec<Signal<In, Bit>>,
    /// Byte.
    pub card_ar_address: Vec<Wire<Out>>,
    /// Comes back with the word.
    pub card_ar_id: Vec<Wire<Out>>,
    /// Beats of the burst, less one.
    pub card_ar_length: Vec<Wire<Out>>,
    /// log2(bytes of a beat).
    pub card_ar_size: Vec<Wire<Out>>,
    /// INCR.
    pub card_ar_burst: Vec<Wire<Out>>,
    /// A word comes.
    pub card_r_valid: Vec<Signal<In, Bit>>,
    /// It would be taken.
    pub card_r_ready: Vec<Signal<Out, Bit>>,
    /// Of the address.
    pub card_r_id: Vec<Wire<In>>,
    /// The word.
    pub card_r_data: Vec<Wire<In>>,
    /// Bit 1: an error.
    pub card_r_response: Vec<Wire<In>>,
    /// An address is offered.
    pub card_aw_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub card_aw_ready: Vec<Signal<In, Bit>>,
    /// Byte.
    pub card_aw_address: Vec<Wire<Out>>,
    /// Beats of the burst, less one.
    pub card_aw_length: Vec<Wire<Out>>,
    /// log2(bytes of a beat).
    pub card_aw_size: Vec<Wire<Out>>,
    /// INCR.
    pub card_aw_burst: Vec<Wire<Out>>,
    /// A word is offered.
    pub card_w_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub card_w_ready: Vec<Signal<In, Bit>>,
    /// The word.
    pub card_w_data: Vec<Wire<Out>>,
    /// Its bytes.
    pub card_w_strobe: Vec<Wire<Out>>,
    /// It is the burst's last one.
    pub card_w_last: Vec<Signal<Out, Bit>>,
    /// A write is answered.
    pub card_b_valid: Vec<Signal<In, Bit>>,
    /// That is taken.
    pub card_b_ready: Vec<Signal<Out, Bit>>,
    /// Bit 1: an error.
    pub card_b_response: Vec<Wire<In>>,
    /// An address is offered.
    pub host_ar_valid: Signal<Out, Bit>,
    /// It is taken.
    pub host_ar_ready: Signal<In, Bit>,
    /// Byte.
    pub host_ar_address: Wire<Out>,
    /// Comes back with the word.
    pub host_ar_id: Wire<Out>,
    /// Beats of the burst, less one.
    pub host_ar_length: Wire<Out>,
    /// log2(bytes of a beat).
    pub host_ar_size: Wire<Out>,
    /// INCR.
    pub host_ar_burst: Wire<Out>,
    /// A word comes.
    pub host_r_valid: Signal<In, Bit>,
    /// It would be taken.
    pub host_r_ready: Signal<Out, Bit>,
    /// Of the address.
    pub host_r_id: Wire<In>,
    /// The word.
    pub host_r_data: Wire<In>,
    /// Bit 1: an error.
    pub host_r_response: Wire<In>,
    /// An address is offered.
    pub host_aw_valid: Signal<Out, Bit>,
    /// It is taken.
    pub host_aw_ready: Signal<In, Bit>,
    /// Byte.
    pub host_aw_address: Wire<Out>,
    /// Beats of the burst, less one.
    pub host_aw_length: Wire<Out>,
    /// log2(bytes of a beat).
    pub host_aw_size: Wire<Out>,
    /// INCR.
    pub host_aw_burst: Wire<Out>,
    /// A word is offered.
    pub host_w_valid: Signal<Out, Bit>,
    /// It is taken.
    pub host_w_ready: Signal<In, Bit>,
    /// The word.
    pub host_w_data: Wire<Out>,
    /// Its bytes.
    pub host_w_strobe: Wire<Out>,
    /// It is the burst's last one.
    pub host_w_last: Signal<Out, Bit>,
    /// A write is answered.
    pub host_b_valid: Signal<In, Bit>,
    /// That is taken.
    pub host_b_ready: Signal<Out, Bit>,
    /// Bit 1: an error.
    pub host_b_response: Wire<In>,
    /// Something enabled has happened.
    pub interrupt_line: Signal<Out, Bit>,
    /// Something enabled happens.
    pub interrupt_message: Signal<Out, Bit>,
    f_a: Param,
    f_b: Param,
    f_c: Param,
    f_d: Param,
    f_e: Param,
    f_f: Param,
    f_read_to_select: Param,
    f_status: Param,
    f_error: Param,
    f_submission_head: Param,
    f_completion_tail: Param,
    f_new_lists: Param,
    f_dim: Param,
    f_heads: Param,
    f_group: Param,
    f_mask_low: Param,
    f_mask_high: Param,
    f_kind: Param,
    f_first_row: Param,
    f_share: Param,
    f_progressive: Param,
    f_threshold: Param,
    f_split: Param,
    f_lsbs_k: Param,
    f_lsbs_v: Param,
    f_lsbs_q: Param,
    f_bits_k: Param,
    f_bits_v: Param,
    f_bits_q: Param,
    f_base0: Param,
    f_stride0: Param,
    to_layer: Param,
    to_factor: Param,
    to_command: Param,
    to_head_load: Param,
    to_map: Param,
    to_select: Param,
    to_store: Param,
    to_read: Param,
    to_host_read: Param,
    to_write: Param,
    to_host_write: Param,
    to_flush: Param,
    to_event: Param,
    to_job: Param,
    from_done: Param,
    from_store_done: Param,
    from_head_read: Param,
    from_word: Param,
    from_map_done: Param,
    from_host_word: Param,
    from_written: Param,
    from_host_written: Param,
    see_token_saturations: Param,
    see_head_saturations: Param,
    see_store_count: Param,
    see_head_importance: Param,
    see_write_errors: Param,
    see_flat_rows: Param,
    see_host_errors: Param,
    see_enable: Param,
    see_submission_base: Param,
    see_submission_level: Param,
    see_submission_tail: Param,
    see_completion_base: Param,
    see_completion_level: Param,
    see_completion_head: Param,
    f_data: Param,
    see_data: Param,
    elements: Param,
    channels: Param,
    lanes: Param,
    bases: Param,
    id_bits: Param,
    increments: Param,
    cycles: Param,
    busy_cycles: Param,
    dot_cycles: Param,
    jobs: Param,
    sixty_four: Param,
    csr_block: Csr,
    controller: Controller,
    store: TokenStore,
    select: SurvivorSelect,
    engine: LayerEngine,
    map: VerdictMap,
    cards: Vec<AxiMaster>,
    host_master: AxiMaster,
    /// A word that was written to host memory is there, or could not be written.
    host_there: Dff<Bit>,
    host_failed: Dff<Bit>,
    /// Per channel: the program asks for a word of it; the word that is there is the program's.
    asks: Vec<Signal<Local, Bit>>,
    asked: Vec<Signal<Local, Bit>>,
    is_word: Vec<Signal<Local, Bit>>,
    any_word: Vec<Signal<Local, Bit>>,
    word: Vec<Wire<Local>>,
    seen_word: Wire<Local>,
    ranks: Signal<Local, Bit>,
    all_bytes: Param,
    ones: Wire<Local>,
    data: Join,
    host_errors: Join,
    word_level: Param,
    errors: Vec<Wire<Local>>,
}

impl Chip {
    /// At the size of a configuration, with its program.
    pub fn new(config: &ArchConfig) -> Self {
        let engine = LayerEngine::new(config);
        let csr = Csr::new(config);
        let cards = vec_of(config.channels, || AxiMaster::new(config));
        let host = AxiMaster::host(config);
        let word = 8 * config.channel_bytes;
        Self {
            name: ModuleName::new("chip"),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Fields have 64 bits, whatever is in them; places of survivors are not asked for.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            csr_aw_valid: Default::default(),
            csr_aw_ready: Default::default(),
            csr_aw_address: Wire::unsigned(csr.aw_address.width()),
            csr_w_valid: Default::default(),
            csr_w_ready: Default::default(),
            csr_w_data: Wire::unsigned(csr.w_data.width()),
            csr_w_strobe: Wire::unsigned(csr.w_strobe.width()),
            csr_b_valid: Default::default(),
            csr_b_ready: Default::default(),
            csr_b_response: Wire::unsigned(csr.b_response.width()),
            csr_ar_valid: Default::default(),
            csr_ar_ready: Default::default(),
            csr_ar_address: Wire::unsigned(csr.ar_address.width()),
            csr_r_valid: Default::default(),
            csr_r_ready: Default::default(),
            csr_r_data: Wire::unsigned(csr.r_data.width()),
            csr_r_response: Wire::unsigned(csr.r_response.width()),
            card_ar_valid: vec_of(config.channels, Default::default),
            card_ar_ready: vec_of(config.channels, Default::default),
            card_ar_address: vec_of(config.channels, || Wire::unsigned(cards[0].ar_address.width())),
            card_ar_id: vec_of(config.channels, || Wire::unsigned(cards[0].ar_id.width())),
            card_ar_length: vec_of(config.channels, || Wire::unsigned(cards[0].ar_length.width())),
            card_ar_size: vec_of(config.channels, || Wire::unsigned(cards[0].ar_size.width())),
            card_ar_burst: vec_of(config.channels, || Wire::unsigned(cards[0].ar_burst.width())),
            card_r_valid: vec_of(config.channels, Default::default),
            card_r_ready: vec_of(config.channels, Default::default),
            card_r_id: vec_of(config.channels, || Wire::unsigned(cards[0].r_id.width())),
            card_r_data: vec_of(config.channels, || Wire::unsigned(cards[0].r_data.width())),
            card_r_response: vec_of(config.channels, || Wire::unsigned(cards[0].r_response.width())),
            card_aw_valid: vec_of(config.channels, Default::default),
            card_aw_ready: vec_of(config.channels, Default::default),
            card_aw_address: vec_of(config.channels, || Wire::unsigned(cards[0].aw_address.width())),
            card_aw_length: vec_of(config.channels, || Wire::unsigned(cards[0].aw_length.width())),
            card_aw_size: vec_of(config.channels, || Wire::unsigned(cards[0].aw_size.width())),
            card_aw_burst: vec_of(config.channels, || Wire::unsigned(cards[0].aw_burst.width())),
            card_w_valid: vec_of(config.channels, Default::default),
            card_w_ready: vec_of(config.channels, Default::default),
            card_w_data: vec_of(config.channels, || Wire::unsigned(cards[0].w_data.width())),
            card_w_strobe: vec_of(config.channels, || Wire::unsigned(cards[0].w_strobe.width())),
            card_w_last: vec_of(config.channels, Default::default),
            card_b_valid: vec_of(config.channels, Default::default),
            card_b_ready: vec_of(config.channels, Default::default),
            card_b_response: vec_of(config.channels, || Wire::unsigned(cards[0].b_response.width())),
            host_ar_valid: Default::default(),
            host_ar_ready: Default::default(),
            host_ar_address: Wire::unsigned(host.ar_address.width()),
            host_ar_id: Wire::unsigned(host.ar_id.width()),
            host_ar_length: Wire::unsigned(host.ar_length.width()),
            host_ar_size: Wire::unsigned(host.ar_size.width()),
            host_ar_burst: Wire::unsigned(host.ar_burst.width()),
            host_r_valid: Default::default(),
            host_r_ready: Default::default(),
            host_r_id: Wire::unsigned(host.r_id.width()),
            host_r_data: Wire::unsigned(host.r_data.width()),
            host_r_response: Wire::unsigned(host.r_response.width()),
            host_aw_valid: Default::default(),
            host_aw_ready: Default::default(),
            host_aw_address: Wire::unsigned(host.aw_address.width()),
            host_aw_length: Wire::unsigned(host.aw_length.width()),
            host_aw_size: Wire::unsigned(host.aw_size.width()),
            host_aw_burst: Wire::unsigned(host.aw_burst.width()),
            host_w_valid: Default::default(),
            host_w_ready: Default::default(),
            host_w_data: Wire::unsigned(host.w_data.width()),
            host_w_strobe: Wire::unsigned(host.w_strobe.width()),
            host_w_last: Default::default(),
            host_b_valid: Default::default(),
            host_b_ready: Default::default(),
            host_b_response: Wire::unsigned(host.b_response.width()),
            interrupt_line: Default::default(),
            interrupt_message: Default::default(),
            f_a: Param::new(Field::A.at()),
            f_b: Param::new(Field::B.at()),
            f_c: Param::new(Field::C.at()),
            f_d: Param::new(Field::D.at()),
            f_e: Param::new(Field::E.at()),
            f_f: Param::new(Field::F.at()),
            f_read_to_select: Param::new(Field::ReadToSelect.at()),
            f_status: Param::new(Field::Status.at()),
            f_error: Param::new(Field::Error.at()),
            f_submission_head: Param::new(Field::SubmissionHead.at()),
            f_completion_tail: Param::new(Field::CompletionTail.at()),
            f_new_lists: Param::new(Field::NewLists.at()),
            f_dim: Param::new(Field::Dim.at()),
            f_heads: Param::new(Field::Heads.at()),
            f_group: Param::new(Field::Group.at()),
            f_mask_low: Param::new(Field::MaskLow.at()),
            f_mask_high: Param::new(Field::MaskHigh.at()),
            f_kind: Param::new(Field::Kind.at()),
            f_first_row: Param::new(Field::FirstRow.at()),
            f_share: Param::new(Field::Share.at()),
            f_progressive: Param::new(Field::Progressive.at()),
            f_threshold: Param::new(Field::Threshold.at()),
            f_split: Param::new(Field::Split.at()),
            f_lsbs_k: Param::new(Field::LsbsK.at()),
            f_lsbs_v: Param::new(Field::LsbsV.at()),
            f_lsbs_q: Param::new(Field::LsbsQ.at()),
            f_bits_k: Param::new(Field::BitsK.at()),
            f_bits_v: Param::new(Field::BitsV.at()),
            f_bits_q: Param::new(Field::BitsQ.at()),
            f_base0: Param::new(Field::Base0.at()),
            f_stride0: Param::new(Field::Stride0.at()),
            to_layer: Param::new(Push::Layer.at()),
            to_factor: Param::new(Push::Factor.at()),
            to_command: Param::new(Push::Command.at()),
            to_head_load: Param::new(Push::HeadLoad.at()),
            to_map: Param::new(Push::Map.at()),
            to_select: Param::new(Push::Select.at()),
            to_store: Param::new(Push::Store.at()),
            to_read: Param::new(Push::Read.at()),
            to_host_read: Param::new(Push::HostRead.at()),
            to_write: Param::new(Push::Write.at()),
            to_host_write: Param::new(Push::HostWrite.at()),
            to_flush: Param::new(Push::Flush.at()),
            to_event: Param::new(Push::Event.at()),
            to_job: Param::new(Push::Job.at()),
            from_done: Param::new(Pop::Done.at()),
            from_store_done: Param::new(Pop::StoreDone.at()),
            from_head_read: Param::new(Pop::HeadRead.at()),
            from_word: Param::new(Pop::Word.at()),
            from_map_done: Param::new(Pop::MapDone.at()),
            from_host_word: Param::new(Pop::HostWord.at()),
            from_written: Param::new(Pop::Written.at()),
            from_host_written: Param::new(Pop::HostWritten.at()),
            see_token_saturations: Param::new(Port::TokenSaturations.at()),
            see_head_saturations: Param::new(Port::HeadSaturations.at()),
            see_store_count: Param::new(Port::StoreCount.at()),
            see_head_importance: Param::new(Port::HeadImportance.at()),
            see_write_errors: Param::new(Port::WriteErrors.at()),
            see_flat_rows: Param::new(Port::FlatRows.at()),
            see_host_errors: Param::new(Port::HostErrors.at()),
            see_enable: Param::new(Port::Enable.at()),
            see_submission_base: Param::new(Port::SubmissionBase.at()),
            see_submission_level: Param::new(Port::SubmissionLevel.at()),
            see_submission_tail: Param::new(Port::SubmissionTail.at()),
            see_completion_base: Param::new(Port::CompletionBase.at()),
            see_completion_level: Param::new(Port::CompletionLevel.at()),
            see_completion_head: Param::new(Port::CompletionHead.at()),
            f_data: Param::new(Field::ALL.len()),
            see_data: Param::new(Port::ALL.len()),
            elements: Param::new(firmware::elements(config)),
            channels: Param::new(config.channels),
            lanes: Param::new(config.softmax_lanes),
            bases: Param::new(engine.layer_base.len()),
            id_bits: Param::new(id_bits(config)),
            increments: Param::new(Counter::ALL.len()),
            cycles: Param::new(Counter::Cycles as usize),
            busy_cycles: Param::new(Counter::Busy as usize),
            dot_cycles: Param::new(Counter::Dot as usize),
            jobs: Param::new(Counter::Jobs as usize),
            sixty_four: Param::new(64),
            controller: Controller::of(config),
            store: TokenStore::new(config),
            select: SurvivorSelect::new(config),
            csr_block: csr,
            engine,
            map: VerdictMap::new(config),
            cards,
            host_master: host,
            host_there: Default::default(),
            host_failed: Default::default(),
            asks: vec_of(config.channels, Default::default),
            asked: vec_of(config.channels, Default::default),
            is_word: vec_of(config.channels, Default::default),
            any_word: vec_of(config.channels, Default::default),
            word: vec_of(config.channels, || Wire::unsigned(word)),
            seen_word: Wire::unsigned(word),
            ranks: Default::default(),
            all_bytes: Param::new(usize::MAX >> (64 - config.channel_bytes)),
            ones: Wire::unsigned(config.channel_bytes),
            data: Join::new(firmware::elements(config), 64),
            host_errors: Join::new(2, 1),
            word_level: Param::new(config.channel_bytes.ilog2() as usize),
            errors: vec_of(config.channels, || Wire::unsigned(config.channels)),
        }
    }
}

impl Logic for Chip {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, host_there, host_failed);
        clock!(self, clock, csr_block, controller, store, select, engine, map, host_master);
        self.csr_block.reset.next = self.reset.val();
        self.controller.reset.next = self.reset.val();
        self.store.reset.next = self.reset.val();
        self.select.reset.next = self.reset.val();
        self.engine.reset.next = self.reset.val();
        self.map.reset.next = self.reset.val();
        self.host_master.reset.next = self.reset.val();

        self.csr_block.aw_valid.next = self.csr_aw_valid.val();
        self.csr_aw_ready.next = self.csr_block.aw_ready.val();
        self.csr_block.aw_address.next = self.csr_aw_address.val();
        self.csr_block.w_valid.next = self.csr_w_valid.val();
        self.csr_w_ready.next = self.csr_block.w_ready.val();
        self.csr_block.w_data.next = self.csr_w_data.val();
        self.csr_block.w_strobe.next = self.csr_w_strobe.val();
        self.csr_b_valid.next = self.csr_block.b_valid.val();
        self.csr_block.b_ready.next = self.csr_b_ready.val();
        self.csr_b_response.next = self.csr_block.b_response.val();
        self.csr_block.ar_valid.next = self.csr_ar_valid.val();
        self.csr_ar_ready.next = self.csr_block.ar_ready.val();
        self.csr_block.ar_address.next = self.csr_ar_address.val();
        self.csr_r_valid.next = self.csr_block.r_valid.val();
        self.csr_block.r_ready.next = self.csr_r_ready.val();
        self.csr_r_data.next = self.csr_block.r_data.val();
        self.csr_r_response.next = self.csr_block.r_response.val();
        self.host_ar_valid.next = self.host_master.ar_valid.val();
        self.host_master.ar_ready.next = self.host_ar_ready.val();
        self.host_ar_address.next = self.host_master.ar_address.val();
        self.host_ar_id.next = self.host_master.ar_id.val();
        self.host_ar_length.next = self.host_master.ar_length.val();
        self.host_ar_size.next = self.host_master.ar_size.val();
        self.host_ar_burst.next = self.host_master.ar_burst.val();
        self.host_master.r_valid.next = self.host_r_valid.val();
        self.host_r_ready.next = self.host_master.r_ready.val();
        self.host_master.r_id.next = self.host_r_id.val();
        self.host_master.r_data.next = self.host_r_data.val();
        self.host_master.r_response.next = self.host_r_response.val();
        self.host_aw_valid.next = self.host_master.aw_valid.val();
        self.host_master.aw_ready.next = self.host_aw_ready.val();
        self.host_aw_address.next = self.host_master.aw_address.val();
        self.host_aw_length.next = self.host_master.aw_length.val();
        self.host_aw_size.next = self.host_master.aw_size.val();
        self.host_aw_burst.next = self.host_master.aw_burst.val();
        self.host_w_valid.next = self.host_master.w_valid.val();
        self.host_master.w_ready.next = self.host_w_ready.val();
        self.host_w_data.next = self.host_master.w_data.val();
        self.host_w_strobe.next = self.host_master.w_strobe.val();
        self.host_w_last.next = self.host_master.w_last.val();
        self.host_master.b_valid.next = self.host_b_valid.val();
        self.host_b_ready.next = self.host_master.b_ready.val();
        self.host_master.b_response.next = self.host_b_response.val();
        self.interrupt_line.next = self.csr_block.interrupt_line.val();
        self.interrupt_message.next = self.csr_block.interrupt_message.val();
        for i in 0..self.channels.val() {
            self.cards[i].clock.next = self.clock.val();
            self.cards[i].reset.next = self.reset.val();
            self.cards[i].clear.next = false;
            self.card_ar_valid[i].next = self.cards[i].ar_valid.val();
            self.cards[i].ar_ready.next = self.card_ar_ready[i].val();
            self.card_ar_address[i].next = self.cards[i].ar_address.val();
            self.card_ar_id[i].next = self.cards[i].ar_id.val();
            self.card_ar_length[i].next = self.cards[i].ar_length.val();
            self.card_ar_size[i].next = self.cards[i].ar_size.val();
            self.card_ar_burst[i].next = self.cards[i].ar_burst.val();
            self.cards[i].r_valid.next = self.card_r_valid[i].val();
            self.card_r_ready[i].next = self.cards[i].r_ready.val();
            self.cards[i].r_id.next = self.card_r_id[i].val();
            self.cards[i].r_data.next = self.card_r_data[i].val();
            self.cards[i].r_response.next = self.card_r_response[i].val();
            self.card_aw_valid[i].next = self.cards[i].aw_valid.val();
            self.cards[i].aw_ready.next = self.card_aw_ready[i].val();
            self.card_aw_address[i].next = self.cards[i].aw_address.val();
            self.card_aw_length[i].next = self.cards[i].aw_length.val();
            self.card_aw_size[i].next = self.cards[i].aw_size.val();
            self.card_aw_burst[i].next = self.cards[i].aw_burst.val();
            self.card_w_valid[i].next = self.cards[i].w_valid.val();
            self.cards[i].w_ready.next = self.card_w_ready[i].val();
            self.card_w_data[i].next = self.cards[i].w_data.val();
            self.card_w_strobe[i].next = self.cards[i].w_strobe.val();
            self.card_w_last[i].next = self.cards[i].w_last.val();
            self.cards[i].b_valid.next = self.card_b_valid[i].val();
            self.card_b_ready[i].next = self.cards[i].b_ready.val();
            self.cards[i].b_response.next = self.card_b_response[i].val();
        }

        // Registers.
        self.csr_block.status.next = self.controller.out[self.f_status.val()].val();
        self.csr_block.error.next = self.controller.out[self.f_error.val()].val();
        self.csr_block.submission_head.next = self.controller.out[self.f_submission_head.val()].val();
        self.csr_block.completion_tail.next = self.controller.out[self.f_completion_tail.val()].val();
        self.csr_block.topk_longest.next = 0.into();
        self.csr_block.events.next = 0.into();
        if self.controller.push_valid[self.to_event.val()].val() {
            self.csr_block.events.next = self.controller.out[self.f_a.val()].val();
        }
        self.controller.push_ready[self.to_event.val()].next = true;
        self.controller.push_ready[self.to_job.val()].next = true;
        self.controller.port[self.see_enable.val()].next = self.csr_block.enable.val().into();
        self.controller.port[self.see_submission_base.val()].next = self.csr_block.submission_base.val();
        self.controller.port[self.see_submission_level.val()].next = self.csr_block.submission_level.val();
        self.controller.port[self.see_submission_tail.val()].next = self.csr_block.submission_tail.val();
        self.controller.port[self.see_completion_base.val()].next = self.csr_block.completion_base.val();
        self.controller.port[self.see_completion_level.val()].next = self.csr_block.completion_level.val();
        self.controller.port[self.see_completion_head.val()].next = self.csr_block.completion_head.val();
        for i in 0..self.increments.val() {
            self.csr_block.increment[i].next = 0.into();
        }
        self.csr_block.increment[self.cycles.val()].next = self.csr_block.enable.val().into();
        self.csr_block.increment[self.busy_cycles.val()].next =
            self.controller.out[self.f_status.val()].val().get_bit(1).into();
        self.csr_block.increment[self.dot_cycles.val()].next = self.engine.busy.val().into();
        self.csr_block.increment[self.jobs.val()].next = self.controller.push_valid[self.to_job.val()].val().into();

        // Layers.
        self.engine.layer_valid.next = self.controller.push_valid[self.to_layer.val()].val();
        self.controller.push_ready[self.to_layer.val()].next = self.engine.layer_ready.val();
        self.engine.layer_new_keys.next = self.controller.out[self.f_new_lists.val()].val().get_bit(0);
        self.engine.layer_new_queries.next = self.controller.out[self.f_new_lists.val()].val().get_bit(1);
        self.engine.layer_dim.next = self.controller.out[self.f_dim.val()].val();
        self.engine.layer_heads.next = self.controller.out[self.f_heads.val()].val();
        self.engine.layer_group.next = self.controller.out[self.f_group.val()].val();
        self.engine.layer_first_row.next = self.controller.out[self.f_first_row.val()].val();
        self.engine.layer_share.next = self.controller.out[self.f_share.val()].val();
        self.engine.layer_mask.next = (self.controller.out[self.f_mask_high.val()].val() << 64)
            | self.controller.out[self.f_mask_low.val()].val();
        self.engine.layer_causal.next = self.controller.out[self.f_kind.val()].val().get_bit(0);
        self.engine.layer_scaled.next = self.controller.out[self.f_kind.val()].val().get_bit(1);
        self.engine.layer_weighted.next = self.controller.out[self.f_kind.val()].val().get_bit(2);
        self.engine.layer_progressive.next = self.controller.out[self.f_progressive.val()].val().get_bit(0);
        self.engine.layer_threshold_inverse.next = self.controller.out[self.f_threshold.val()].val();
        self.engine.layer_split.next = self.controller.out[self.f_split.val()].val();
        self.engine.layer_lsb_bits[0].next = self.controller.out[self.f_lsbs_k.val()].val();
        self.engine.layer_lsb_bits[1].next = self.controller.out[self.f_lsbs_v.val()].val();
        self.engine.layer_lsb_bits[2].next = self.controller.out[self.f_lsbs_q.val()].val();
        self.engine.layer_bits[0].next = self.controller.out[self.f_bits_k.val()].val();
        self.engine.layer_bits[1].next = self.controller.out[self.f_bits_v.val()].val();
        self.engine.layer_bits[2].next = self.controller.out[self.f_bits_q.val()].val();
        for i in 0..self.bases.val() {
            self.engine.layer_base[i].next = self.controller.out[self.f_base0.val() + i].val();
            self.engine.layer_stride[i].next = self.controller.out[self.f_stride0.val() + i].val();
        }
        self.engine.factor_valid.next = self.controller.push_valid[self.to_factor.val()].val();
        self.controller.push_ready[self.to_factor.val()].next = self.engine.factor_ready.val();
        self.engine.factor_logit.next = self.controller.out[self.f_a.val()].val();
        self.engine.factor_importance.next = self.controller.out[self.f_b.val()].val();

        // Which rows are computed again.
        self.map.job_valid.next = self.controller.push_valid[self.to_map.val()].val();
        self.controller.push_ready[self.to_map.val()].next = self.map.job_ready.val();
        self.map.job_write.next = self.controller.out[self.f_a.val()].val().get_bit(0);
        self.map.job_base.next = self.controller.out[self.f_b.val()].val();
        self.map.job_stride.next = self.controller.out[self.f_c.val()].val();
        self.map.job_rows.next = self.controller.out[self.f_d.val()].val();
        self.map.verdict_valid.next = self.engine.refetched_valid.val();
        self.engine.refetched_ready.next = self.map.verdict_ready.val();
        self.map.verdict_index.next = self.engine.refetched_index.val();
        self.map.verdict_head.next = self.engine.refetched_head.val();
        self.map.verdict_flat.next = self.engine.refetched_flat.val();
        self.map.verdict_last.next = self.engine.refetched_last.val();
        self.controller.pop_valid[self.from_map_done.val()].next = self.map.done_valid.val();
        self.map.done_ready.next = self.controller.pop_ready[self.from_map_done.val()].val();
        self.controller.port[self.see_flat_rows.val()].next = self.engine.flat_rows.val();

        // Importance.
        self.engine.command_valid.next = self.controller.push_valid[self.to_command.val()].val();
        self.controller.push_ready[self.to_command.val()].next = self.engine.command_ready.val();
        self.engine.command_op.next = self.controller.out[self.f_a.val()].val();
        self.engine.command_heads.next = self.controller.out[self.f_b.val()].val().get_bit(0);
        self.engine.command_mean.next = self.controller.out[self.f_b.val()].val().get_bit(1);
        self.engine.command_weighted.next = false;
        self.engine.command_count.next = self.controller.out[self.f_c.val()].val();
        self.engine.command_gamma.next = self.controller.out[self.f_d.val()].val();
        self.engine.command_rows.next = 0.into();
        self.engine.command_head_rows.next = 0.into();
        self.engine.head_load_valid.next = self.controller.push_valid[self.to_head_load.val()].val();
        self.controller.push_ready[self.to_head_load.val()].next = self.engine.head_load_ready.val();
        self.engine.head_load_importance.next = self.controller.out[self.f_a.val()].val();
        self.controller.pop_valid[self.from_done.val()].next = self.engine.done_valid.val();
        self.engine.done_ready.next = self.controller.pop_ready[self.from_done.val()].val();
        self.controller.port[self.see_token_saturations.val()].next = self.engine.done_token_saturations.val();
        self.controller.port[self.see_head_saturations.val()].next = self.engine.done_head_saturations.val();
        self.controller.pop_valid[self.from_head_read.val()].next = self.engine.head_read_valid.val();
        self.engine.head_read_ready.next = self.controller.pop_ready[self.from_head_read.val()].val();
        self.controller.port[self.see_head_importance.val()].next = self.engine.head_read_importance.val();
        self.ranks.next = self.controller.out[self.f_read_to_select.val()].val().get_bit(0);
        self.store.read_valid.next = self.engine.read_valid.val() & !self.ranks.val();
        self.select.in_valid.next = self.engine.read_valid.val() & self.ranks.val();
        self.engine.read_ready.next =
            (self.store.read_ready.val() & !self.ranks.val()) | (self.select.in_ready.val() & self.ranks.val());
        self.store.read_count.next = self.engine.read_count.val();
        self.store.read_last.next = self.engine.read_last.val();
        self.select.in_count.next = self.engine.read_count.val();
        self.select.in_last.next = self.engine.read_last.val();
        self.engine.load_valid.next = self.store.load_valid.val();
        self.store.load_ready.next = self.engine.load_ready.val();
        for i in 0..self.lanes.val() {
            self.store.read_importance[i].next = self.engine.read_importance[i].val();
            self.store.read_rows[i].next = self.engine.read_rows[i].val();
            self.select.in_importance[i].next = self.engine.read_importance[i].val();
            self.engine.load_importance[i].next = self.store.load_importance[i].val();
            self.engine.load_rows[i].next = self.store.load_rows[i].val();
            self.select.list_index[i].next = self.store.list_index[i].val();
            self.select.list_pinned[i].next = self.store.list_pinned[i].val();
            self.store.kept_index[i].next = self.select.kept_index[i].val();
        }

        // Tokens.
        self.store.command_valid.next = self.controller.push_valid[self.to_store.val()].val();
        self.controller.push_ready[self.to_store.val()].next = self.store.command_ready.val();
        self.store.command_op.next = self.controller.out[self.f_a.val()].val();
        self.store.command_from.next = self.controller.out[self.f_c.val()].val();
        self.store.command_to.next = self.controller.out[self.f_d.val()].val();
        self.store.command_x.next = self.controller.out[self.f_e.val()].val();
        self.store.command_y.next = self.controller.out[self.f_f.val()].val();
        self.store.command_listed.next = self.controller.out[self.f_b.val()].val().get_bit(0);
        self.controller.pop_valid[self.from_store_done.val()].next = self.store.done_valid.val();
        self.store.done_ready.next = self.controller.pop_ready[self.from_store_done.val()].val();
        self.controller.port[self.see_store_count.val()].next = self.store.done_count.val();
        self.engine.key_list_valid.next = self.store.key_list_valid.val();
        self.store.key_list_ready.next = self.engine.key_list_ready.val();
        self.engine.key_list_count.next = self.store.key_list_count.val();
        self.engine.key_list_last.next = self.store.key_list_last.val();
        self.engine.query_list_valid.next = self.store.query_list_valid.val();
        self.store.query_list_ready.next = self.engine.query_list_ready.val();
        self.engine.query_list_count.next = self.store.query_list_count.val();
        self.engine.query_list_last.next = self.store.query_list_last.val();
        self.select.select_valid.next = self.controller.push_valid[self.to_select.val()].val();
        self.controller.push_ready[self.to_select.val()].next = self.select.select_ready.val();
        self.select.select_keep.next = self.controller.out[self.f_a.val()].val();
        self.select.select_new_list.next = true;
        self.select.list_valid.next = self.store.list_valid.val();
        self.store.list_ready.next = self.select.list_ready.val();
        self.select.list_count.next = self.store.list_count.val();
        self.select.list_last.next = self.store.list_last.val();
        self.store.kept_valid.next = self.select.kept_valid.val();
        self.select.kept_ready.next = self.store.kept_ready.val();
        self.store.kept_count.next = self.select.kept_count.val();
        self.store.kept_last.next = self.select.kept_last.val();

        // Words that are written: the program writes none while tokens are dumped or a layer is there.
        self.engine.word_valid.next = self.store.word_valid.val()
            | self.map.word_valid.val()
            | self.controller.push_valid[self.to_write.val()].val();
        self.map.word_ready.next = self.engine.word_ready.val() & !self.store.word_valid.val();
        self.store.word_ready.next = self.engine.word_ready.val();
        self.controller.push_ready[self.to_write.val()].next =
            self.engine.word_ready.val() & !self.store.word_valid.val() & !self.map.word_valid.val();
        self.engine.word_channel.next = self.controller.out[self.f_a.val()].val();
        self.engine.word_address.next = self.controller.out[self.f_b.val()].val();
        self.engine.word_strobe.next = self.controller.out[self.f_c.val()].val();
        for i in 0..self.elements.val() {
            self.data.lane[i].next = self.controller.out[self.f_data.val() + i].val();
        }
        self.engine.word_data.next = self.data.word.val();
        self.ones.next = self.all_bytes.val().into();
        self.host_master.write_data.next = self.data.word.val();
        if self.map.word_valid.val() {
            self.engine.word_channel.next = self.map.word_channel.val();
            self.engine.word_address.next = self.map.word_address.val();
            self.engine.word_data.next = self.map.word_data.val();
            self.engine.word_strobe.next = self.ones.val();
        }
        if self.store.word_valid.val() {
            self.engine.word_channel.next = self.store.word_channel.val();
            self.engine.word_address.next = self.store.word_address.val();
            self.engine.word_strobe.next = self.store.word_strobe.val();
            self.engine.word_data.next = self.store.word_data.val();
        }
        self.engine.flush_valid.next = self.controller.push_valid[self.to_flush.val()].val();
        self.controller.push_ready[self.to_flush.val()].next = self.engine.flush_ready.val();
        self.controller.pop_valid[self.from_written.val()].next = self.engine.written_valid.val();
        self.engine.written_ready.next = self.controller.pop_ready[self.from_written.val()].val();

        // Channels. The program asks for words while no layer is there, so nobody waits for anybody; whose a word is, its id says.
        for i in 0..self.channels.val() {
            self.engine.key_list_index[i].next = self.store.key_list_index[i].val();
            self.engine.query_list_index[i].next = self.store.query_list_index[i].val();
            self.asks[i].next =
                self.controller.push_valid[self.to_read.val()].val() & (self.controller.out[self.f_a.val()].val() == i);
            self.cards[i].request_valid.next = self.engine.request_valid[i].val() | self.asks[i].val();
            self.engine.request_ready[i].next = self.cards[i].request_ready.val() & !self.asks[i].val();
            self.cards[i].request_address.next = self.engine.request_address[i].val();
            self.cards[i].request_id.next = self.engine.request_id[i].val();
            if self.asks[i].val() {
                self.cards[i].request_address.next = self.controller.out[self.f_b.val()].val();
                self.cards[i].request_id.next = (1 << self.id_bits.val()).into();
            }
            self.is_word[i].next =
                self.cards[i].response_valid.val() & self.cards[i].response_id.val().get_bit(self.id_bits.val());
            self.engine.response_valid[i].next = self.cards[i].response_valid.val() & !self.is_word[i].val();
            self.engine.response_id[i].next = self.cards[i].response_id.val();
            self.engine.response_data[i].next = self.cards[i].response_data.val();
            self.cards[i].response_ready.next = (self.engine.response_ready[i].val() & !self.is_word[i].val())
                | (self.controller.pop_ready[self.from_word.val()].val() & self.is_word[i].val());
            self.cards[i].write_valid.next = self.engine.write_valid[i].val();
            self.engine.write_ready[i].next = self.cards[i].write_ready.val();
            self.cards[i].write_address.next = self.engine.write_address[i].val();
            self.cards[i].write_data.next = self.engine.write_data[i].val();
            self.cards[i].write_strobe.next = self.engine.write_strobe[i].val();
            self.engine.acknowledge_valid[i].next = self.cards[i].acknowledge_valid.val();
            self.engine.acknowledge_error[i].next = self.cards[i].acknowledge_error.val();
            if i == 0 {
                self.asked[0].next = self.asks[0].val() & self.cards[0].request_ready.val();
                self.any_word[0].next = self.is_word[0].val();
                self.word[0].next = self.cards[0].response_data.val();
                self.errors[0].next = self.engine.written_error[0].val().into();
            } else {
                self.asked[i].next = self.asked[i - 1].val() | (self.asks[i].val() & self.cards[i].request_ready.val());
                self.any_word[i].next = self.any_word[i - 1].val() | self.is_word[i].val();
                self.word[i].next = self.word[i - 1].val();
                if self.is_word[i].val() {
                    self.word[i].next = self.cards[i].response_data.val();
                }
                self.errors[i].next = self.errors[i - 1].val();
                if self.engine.written_error[i].val() {
                    self.errors[i].next = self.errors[i - 1].val() | (1 << i);
                }
            }
        }
        self.controller.push_ready[self.to_read.val()].next = self.asked[self.channels.val() - 1].val();
        self.controller.pop_valid[self.from_word.val()].next = self.any_word[self.channels.val() - 1].val();
        self.controller.port[self.see_write_errors.val()].next = self.errors[self.channels.val() - 1].val();

        // The host: one word at a time.
        self.host_master.request_valid.next = self.controller.push_valid[self.to_host_read.val()].val();
        self.controller.push_ready[self.to_host_read.val()].next = self.host_master.request_ready.val();
        self.host_master.request_address.next = self.controller.out[self.f_b.val()].val() >> self.word_level.val();
        self.host_master.request_id.next = 0.into();
        self.controller.pop_valid[self.from_host_word.val()].next = self.host_master.response_valid.val();
        self.host_master.response_ready.next = self.controller.pop_ready[self.from_host_word.val()].val();
        self.host_master.write_valid.next = self.controller.push_valid[self.to_host_write.val()].val();
        self.controller.push_ready[self.to_host_write.val()].next = self.host_master.write_ready.val();
        self.host_master.write_address.next = self.controller.out[self.f_b.val()].val() >> self.word_level.val();
        self.host_master.write_strobe.next = self.controller.out[self.f_c.val()].val();
        self.host_master.clear.next = false;
        if self.host_master.acknowledge_valid.val() {
            self.host_there.d.next = true;
            self.host_failed.d.next = self.host_master.acknowledge_error.val();
        }
        if self.controller.pop_ready[self.from_host_written.val()].val() & self.host_there.q.val() {
            self.host_there.d.next = false;
        }
        self.controller.pop_valid[self.from_host_written.val()].next = self.host_there.q.val();
        self.host_errors.lane[0].next = self.host_master.read_failed.val().into();
        self.host_errors.lane[1].next = self.host_failed.q.val().into();
        self.controller.port[self.see_host_errors.val()].next = self.host_errors.word.val();
        self.seen_word.next = self.word[self.channels.val() - 1].val();
        if self.host_master.response_valid.val() {
            self.seen_word.next = self.host_master.response_data.val();
        }
        for i in 0..self.elements.val() {
            self.controller.port[self.see_data.val() + i].next = self.seen_word.val() >> (self.sixty_four.val() * i);
        }
        if self.reset.val() {
            self.host_there.d.next = false;
        }
    }
}
