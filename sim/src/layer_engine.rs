//! Layers from memory to memory, in time. Siblings: `hw`, `tests/layer_engine.rs`.
//!
//! The parts' own cycle models, moved by the same handshakes as in the RTL: all of them by the state before the edge.

use crate::attention_core::{self, AttentionCore};
use crate::cosim::{Beat, Bits, Field};
use crate::cycle::CycleModel;
use crate::fetch_path::FetchPath;
use crate::importance_accumulator::{self as importance, Command};
use crate::layer_sequencer::{self as sequencer, LayerSequencer};
use crate::matrix_fetcher::{Request, id_bits};
use crate::operand_router::{self as router, OperandRouter, Operands};
use crate::write_back::{self, WriteBack};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::Content;
use spatten_arch::format::Formats;
use spatten_arch::layout::ADDRESS_BITS;

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On streams 0 to 3, `key_list`, `query_list`, `layer`, `factor`.
    Sequencer(sequencer::Input),
    /// On streams 4 to 6, `command`, `load`, `head_load`.
    Importance(importance::Input),
    /// On streams 7 and 8, `word`, `flush`; on those behind responses, `acknowledge` of each channel.
    WriteBack(write_back::Input),
    /// On streams from 9 on, `response` of each channel.
    Response {
        /// Of the request.
        id: u32,
        /// Width of it.
        id_bits: u32,
        /// The word.
        data: Bits,
    },
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Sequencer(beat) => beat.fields(),
            Self::Importance(beat) => beat.fields(),
            Self::WriteBack(beat) => beat.fields(),
            Self::Response { id, id_bits, data } => {
                vec![Field::value("id", (*id).into(), *id_bits), Field::bits("data", data.clone())]
            }
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On streams 0 to 2, `read`, `head_read`, `done`.
    Importance(importance::Output),
    /// On stream 3, `written`; on those behind requests, `write` of each channel.
    WriteBack(write_back::Output),
    /// On stream 4, `refetched`.
    Sequencer(sequencer::Verdict, sequencer::Widths),
    /// On streams from 5 on, `request` of each channel, and the width of its id.
    Request(Request, u32),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Importance(beat) => beat.fields(),
            Self::WriteBack(beat) => beat.fields(),
            Self::Sequencer(verdict, widths) => sequencer::Output::Refetched(*verdict, *widths).fields(),
            Self::Request(request, id_bits) => vec![
                Field::value("address", request.address.into(), ADDRESS_BITS as u32),
                Field::value("id", request.id.into(), *id_bits),
            ],
        }
    }
}

/// Streams before those of channels.
const INPUTS: usize = 9;
const OUTPUTS: usize = 5;

/// The block; see `hw::layer_engine` for the streams.
///
/// # Timing   that of its parts
#[derive(Debug, Clone)]
pub struct LayerEngine {
    config: ArchConfig,
    count_bits: u32,
    id_bits: u32,
    sequencer: LayerSequencer,
    fetch_path: FetchPath<Bits>,
    router: OperandRouter,
    core: AttentionCore,
    write_back: WriteBack,
    /// Where outputs of each head go, and whether it is known of the row on offer.
    planes: Vec<u32>,
    plane_known: bool,
    /// Whether a layer is inside, and whether its command is with `importance_accumulator`.
    inside: bool,
    accumulating: bool,
    out: Vec<Option<Output>>,
}

impl LayerEngine {
    /// As after reset, with all importances 0.
    pub fn new(config: &ArchConfig) -> Self {
        let never = Formats::new(config).threshold_inverse.max_raw() as u64;
        let pins = attention_core::Pins {
            dim: 0,
            scaled_keys: false,
            scaled_values: false,
            weighted: false,
            threshold_inverse: never,
        };
        Self {
            config: config.clone(),
            count_bits: importance::count_bits(config),
            id_bits: id_bits(config),
            sequencer: LayerSequencer::new(config),
            fetch_path: FetchPath::new(config),
            router: OperandRouter::new(config, router::Pins { dim: 0, scaled_queries: false }),
            core: AttentionCore::new(config, pins),
            write_back: WriteBack::new(config),
            planes: vec![0; MAX_HEADS],
            plane_known: false,
            inside: false,
            accumulating: false,
            out: vec![None; OUTPUTS + 2 * config.channels],
        }
    }

    /// In the last cycle a word of keys entered the multipliers.
    pub fn busy(&self) -> bool {
        self.core.busy()
    }

    /// Logits that did not fit, so far.
    pub fn logit_saturations(&self) -> u32 {
        self.core.logit_saturations()
    }

    /// Rows of the layer that are computed again, so far.
    pub fn flat_rows(&self) -> u32 {
        self.sequencer.flat_rows()
    }

    fn channels(&self) -> usize {
        self.config.channels
    }

    /// The layer's own command, which goes before any other.
    fn accumulate(&self) -> Option<u32> {
        match self.sequencer.output(5) {
            Some(sequencer::Output::Accumulate(rows)) => Some(*rows),
            _ => None,
        }
    }
}

impl CycleModel for LayerEngine {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        let channels = self.channels();
        match port {
            2 => self.sequencer.ready(2) && !self.inside,
            0..=3 => self.sequencer.ready(port),
            4 => self.core.ready(7) && self.accumulate().is_none(),
            5 | 6 => self.core.ready(port + 3),
            7 | 8 => self.write_back.ready(port - 5),
            _ if port < INPUTS + channels => self.fetch_path.response_ready(port - INPUTS),
            _ => self.write_back.ready(port - INPUTS - channels + 4),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let channels = self.channels();
        // What moves between the parts.
        let fetch = match self.sequencer.output(0) {
            Some(sequencer::Output::Fetch(job, _)) if self.fetch_path.job_ready() => Some(*job),
            _ => None,
        };
        let tokens = match self.sequencer.output(1) {
            Some(sequencer::Output::Tokens(tokens, _)) if self.fetch_path.tokens_ready() => Some(tokens.clone()),
            _ => None,
        };
        let query_job = match self.sequencer.output(2) {
            Some(sequencer::Output::QueryJob(job)) if self.router.job_ready() => Some(*job),
            _ => None,
        };
        let row = match self.sequencer.output(3) {
            Some(sequencer::Output::Row(row)) if self.core.ready(0) => Some(*row),
            _ => None,
        };
        let plane = match self.sequencer.output(4) {
            Some(sequencer::Output::Plane(plane)) => Some(*plane),
            _ => None,
        };
        let verdict = match self.core.output(0) {
            Some(attention_core::Output::Verdict(name, flat, _)) if self.sequencer.ready(4) => Some((*name, *flat)),
            _ => None,
        };
        let accumulate = self.accumulate().filter(|_| self.core.ready(7));
        let operands = self.fetch_path.output().filter(|_| self.router.operands_ready()).map(|(tag, last)| {
            let content = Content::of(tag).expect("jobs are of contents");
            Operands {
                data: self.fetch_path.operands().concat().into(),
                bits: self.config.datapath_bits,
                content,
                last,
            }
        });
        // Inputs of the core, by stream of the router.
        const TO_CORE: [usize; router::OUTPUTS] = [2, 3, 4, 5, 6, 1, 10, 11];
        let routed: [bool; router::OUTPUTS] = std::array::from_fn(|stream| {
            self.router.offer(router::STREAMS[stream]).is_some() && self.core.ready(TO_CORE[stream])
        });
        let outputs = match self.core.output(1) {
            Some(attention_core::Output::Outputs(outputs)) if self.plane_known && self.write_back.ready(1) => {
                Some(outputs.clone())
            }
            _ => None,
        };
        let place = match self.core.output(1) {
            Some(attention_core::Output::Outputs(row)) if !self.plane_known && self.write_back.ready(0) => {
                Some(self.planes[row.name.head])
            }
            _ => None,
        };

        // The layer at hand, which the parts know from the edge on which it is taken.
        let [mut key_list, mut query_list, mut layer, mut factor] = [None, None, None, None];
        for (port, to) in [&mut key_list, &mut query_list, &mut layer, &mut factor].into_iter().enumerate() {
            *to = match accepted[port].take() {
                Some(Input::Sequencer(input)) => Some(input),
                Some(other) => panic!("{other:?} on a stream of the sequencer"),
                None => None,
            };
        }
        let begins = layer.is_some();
        let weighted = self.sequencer.kinds()[1];
        let dim = self.sequencer.dim();
        let moved = [
            fetch.is_some(),
            tokens.is_some(),
            query_job.is_some(),
            row.is_some(),
            plane.is_some(),
            accumulate.is_some(),
            taken[4],
        ];
        let widths = sequencer::Widths::of(&self.config);
        let verdict_beat = verdict.map(|(name, flat)| sequencer::Input::Verdict(name, flat, widths));
        self.sequencer.clock(&mut [key_list, query_list, layer, factor, verdict_beat], &moved);

        // Memory to operands.
        let response = |channel: usize| match accepted[INPUTS + channel].take() {
            Some(Input::Response { id, data, .. }) => Some((id, data)),
            Some(other) => panic!("{other:?} on `response`"),
            None => None,
        };
        self.fetch_path.clock(fetch, tokens, response, |i| taken[OUTPUTS + i], operands.is_some());
        let mut beats = self.router.exchange(operands, query_job, routed);

        // The core.
        let mut to_core: Vec<Option<attention_core::Input>> = vec![None; 12];
        to_core[0] = row.map(attention_core::Input::Row);
        for (beat, port) in beats.iter_mut().zip(TO_CORE) {
            to_core[port] = beat.take();
        }
        for (port, to) in (4..7).zip(7..10) {
            to_core[to] = match accepted[port].take() {
                Some(Input::Importance(input)) => Some(attention_core::Input::Importance(input)),
                Some(other) => panic!("{other:?} on a stream of importance"),
                None => None,
            };
        }
        if let Some(rows) = accumulate {
            let command = Command::Accumulate { rows, head_rows: rows, weighted };
            to_core[7] = Some(attention_core::Input::Importance(importance::Input::Command(command, self.count_bits)));
        }
        let done = taken[2];
        self.core.clock(&mut to_core, &[verdict.is_some(), outputs.is_some(), taken[0], taken[1], done]);

        // Outputs.
        let mut to_memory: Vec<Option<write_back::Input>> = Vec::with_capacity(4 + channels);
        to_memory.push(place.map(|base| write_back::Input::Job { base, dim }));
        self.plane_known = (self.plane_known && outputs.is_none()) || place.is_some();
        if let Some(plane) = plane {
            self.planes[plane.head] = plane.base;
        }
        to_memory.push(outputs.map(|row| write_back::Input::Row {
            number: row.name.index as u32,
            outputs: row.outputs.iter().map(|&output| output as u16).collect(),
            last: true,
        }));
        for port in [7, 8].into_iter().chain((0..channels).map(|i| INPUTS + channels + i)) {
            to_memory.push(match accepted[port].take() {
                Some(Input::WriteBack(input)) => Some(input),
                Some(other) => panic!("{other:?} on a stream of write_back"),
                None => None,
            });
        }
        let mut takes = vec![taken[3]];
        takes.extend(&taken[OUTPUTS + channels..]);
        self.write_back.clock(&mut to_memory, &takes);

        // One layer after another.
        if done && self.accumulating {
            (self.inside, self.accumulating) = (false, false);
        }
        self.accumulating |= accumulate.is_some();
        if begins {
            self.inside = true;
            let dim = self.sequencer.dim();
            let [scaled, weighted] = self.sequencer.kinds();
            self.router.set(router::Pins { dim, scaled_queries: scaled });
            self.core.set(
                &self.config,
                attention_core::Pins {
                    dim,
                    scaled_keys: scaled,
                    scaled_values: scaled,
                    weighted,
                    threshold_inverse: self.sequencer.threshold_inverse(),
                },
            );
        }

        for port in 0..3 {
            self.out[port] = match self.core.output(port + 2) {
                Some(attention_core::Output::Importance(beat)) => Some(Output::Importance(beat.clone())),
                _ => None,
            };
        }
        self.out[3] = self.write_back.output(0).cloned().map(Output::WriteBack);
        self.out[4] = match self.sequencer.output(6) {
            Some(sequencer::Output::Refetched(verdict, widths)) => Some(Output::Sequencer(*verdict, *widths)),
            _ => None,
        };
        for i in 0..channels {
            self.out[OUTPUTS + i] = self.fetch_path.request(i).map(|request| Output::Request(*request, self.id_bits));
            self.out[OUTPUTS + channels + i] = self.write_back.output(1 + i).cloned().map(Output::WriteBack);
        }
    }
}
