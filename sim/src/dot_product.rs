//! Query times keys and the score scale. Siblings: `golden`, `hw`, `tests/dot_product.rs`.
//!
//! [`Timing`] says when, for a payload of any kind; [`DotProduct`] adds the values.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, SCALE_MANTISSA_BITS, TOKEN_SCALE_BITS};
use spatten_golden::dot_product::{ScaleFactor, integer, scale};
use std::collections::VecDeque;

/// Query rows that are held.
const ROWS: usize = 2;

/// Cycles from the beat that completes a key to its logits on the output.
pub fn latency(config: &ArchConfig) -> usize {
    let held = config.multipliers.min(HEAD_DIMS[3]);
    21 + (held / HEAD_DIMS[0]).ilog2() as usize + usize::from(config.multipliers < HEAD_DIMS[3])
}

/// Lanes of logits.
pub fn lanes(config: &ArchConfig) -> usize {
    config.multipliers / HEAD_DIMS[0]
}

/// When beats move. `T` is whatever belongs to the logits of one beat.
#[derive(Debug, Clone)]
pub struct Timing<T> {
    pipe: CreditPipe<T>,
    rows: usize,
    slice: usize,
    slices: usize,
}

impl<T> Timing<T> {
    /// As after reset, for a head dimension of [`HEAD_DIMS`].
    pub fn new(config: &ArchConfig, dim: usize) -> Self {
        let latency = latency(config);
        let pipe = CreditPipe::new(latency, (latency + 1).next_power_of_two());
        Self { pipe, rows: 0, slice: 0, slices: dim.div_ceil(config.multipliers) }
    }

    /// Whether a query row is accepted.
    pub fn query_ready(&self) -> bool {
        self.rows < ROWS
    }

    /// Whether a key beat is accepted.
    pub fn key_ready(&self) -> bool {
        self.rows > 0 && self.pipe.ready()
    }

    /// Which slice of its key the next key beat is.
    pub fn slice(&self) -> usize {
        self.slice
    }

    /// Whether the next key beat completes a key (or an empty row), so that it makes an output beat.
    pub fn completes(&self, last: bool) -> bool {
        last || self.slice + 1 == self.slices
    }

    /// The logits that are offered.
    pub fn front(&self) -> Option<&T> {
        self.pipe.front()
    }

    /// One rising edge: whether a query row was accepted, the accepted key beat's `last` and its payload where it
    /// [`completes`](Self::completes), whether the offered logits were taken.
    ///
    /// # Panics
    /// Where a beat is accepted that was not ready for, or a payload is missing or too many.
    #[track_caller]
    pub fn clock(&mut self, query: bool, key: Option<(bool, Option<T>)>, pop: bool) {
        assert!(!query || self.query_ready(), "a query row although {ROWS} are held");
        assert!(key.is_none() || self.key_ready(), "a key beat without a row or a place");
        let mut push = None;
        if let Some((last, payload)) = key {
            let completes = self.completes(last);
            assert_eq!(payload.is_some(), completes, "a payload for every completed key");
            self.slice = if completes { 0 } else { self.slice + 1 };
            self.rows -= usize::from(last);
            push = payload;
        }
        self.rows += usize::from(query);
        self.pipe.clock(push, pop);
    }
}

/// A query row.
#[derive(Debug, Clone)]
pub struct Query {
    /// Bits of an operand.
    pub operand_bits: u32,
    /// All 128, of which the low D count.
    pub operands: Vec<i16>,
    /// Its score scale.
    pub factor: ScaleFactor,
}

/// A group of keys, or a slice of one.
#[derive(Debug, Clone)]
pub struct Key {
    /// Bits of an operand.
    pub operand_bits: u32,
    /// One per multiplier.
    pub operands: Vec<i16>,
    /// One per lane.
    pub token_scale: Vec<u32>,
    /// Keys in the group.
    pub count: usize,
    /// The row ends here.
    pub last: bool,
}

/// A beat of either input stream.
#[derive(Debug, Clone)]
pub enum Input {
    /// Port 0.
    Query(Query),
    /// Port 1.
    Key(Key),
}

/// Logits of a group of keys; lanes from `count` on are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logits {
    /// One per lane.
    pub logits: Vec<i64>,
    /// Whether the lane's did not fit.
    pub saturated: Vec<bool>,
    /// Keys in the group.
    pub count: usize,
    /// The row ends here.
    pub last: bool,
}

fn operands(values: &[i16], bits: u32) -> Field {
    let lanes: Vec<i64> = values.iter().map(|&x| x.into()).collect();
    Field::signed_lanes("operands", &lanes, bits)
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Query(q) => vec![
                operands(&q.operands, q.operand_bits),
                Field::value("mantissa", q.factor.mantissa.into(), SCALE_MANTISSA_BITS),
                Field::value("shift", q.factor.shift.into(), 6),
            ],
            Self::Key(k) => {
                let scales: Vec<u64> = k.token_scale.iter().map(|&s| s.into()).collect();
                vec![
                    operands(&k.operands, k.operand_bits),
                    Field::lanes("token_scale", &scales, TOKEN_SCALE_BITS),
                    Field::value("count", k.count as u64, bits_for(k.token_scale.len())),
                    Field::flag("last", k.last),
                ]
            }
        }
    }
}

impl Beat for Logits {
    fn fields(&self) -> Vec<Field> {
        let saturated: Vec<u64> = self.saturated.iter().map(|&s| s.into()).collect();
        vec![
            Field::signed_lanes("logits", &self.logits, 24),
            Field::lanes("saturated", &saturated, 1),
            Field::value("count", self.count as u64, bits_for(self.logits.len())),
            Field::flag("last", self.last),
        ]
    }
}

/// The block with its values.
#[derive(Debug, Clone)]
pub struct DotProduct {
    timing: Timing<Logits>,
    formats: Formats,
    dim: usize,
    multipliers: usize,
    lanes: usize,
    queries: VecDeque<Query>,
    /// Sum of the slices of a key so far.
    partial: i64,
}

impl DotProduct {
    /// As after reset, for a head dimension of [`HEAD_DIMS`].
    pub fn new(config: &ArchConfig, dim: usize) -> Self {
        Self {
            timing: Timing::new(config, dim),
            formats: Formats::new(config),
            dim,
            multipliers: config.multipliers,
            lanes: lanes(config),
            queries: VecDeque::with_capacity(ROWS),
            partial: 0,
        }
    }

    /// Logits of a key beat, where it completes a key.
    fn logits(&mut self, key: &Key) -> Option<Logits> {
        let query = self.queries.front().expect("key_ready: there is a row");
        let mut out = Logits {
            logits: vec![0; self.lanes],
            saturated: vec![false; self.lanes],
            count: key.count,
            last: key.last,
        };
        let mut put = |lane: usize, dot| {
            let scaled = scale(dot, key.token_scale[lane], query.factor, &self.formats);
            (out.logits[lane], out.saturated[lane]) = scaled;
        };
        if self.dim <= self.multipliers {
            for (lane, key) in key.operands.chunks(self.dim).take(key.count).enumerate() {
                put(lane, integer(&query.operands[..self.dim], key));
            }
            return Some(out);
        }
        let from = self.timing.slice() * self.multipliers;
        self.partial += integer(&query.operands[from..from + self.multipliers], &key.operands);
        if !self.timing.completes(key.last) {
            return None;
        }
        let dot = std::mem::take(&mut self.partial);
        if key.count > 0 {
            put(0, dot);
        }
        Some(out)
    }
}

impl CycleModel for DotProduct {
    type Input = Input;
    type Output = Logits;

    fn ready(&self, port: usize) -> bool {
        if port == 0 { self.timing.query_ready() } else { self.timing.key_ready() }
    }

    fn output(&self, _port: usize) -> Option<&Logits> {
        self.timing.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let query = match accepted[0].take() {
            Some(Input::Query(query)) => Some(query),
            Some(Input::Key(_)) => panic!("a key on the port of queries"),
            None => None,
        };
        let key = match accepted[1].take() {
            Some(Input::Key(key)) => Some((key.last, self.logits(&key))),
            Some(Input::Query(_)) => panic!("a query on the port of keys"),
            None => None,
        };
        if let Some((true, _)) = key {
            self.queries.pop_front();
        }
        self.timing.clock(query.is_some(), key, taken[0]);
        self.queries.extend(query);
    }
}
