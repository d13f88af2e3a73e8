//! The Verilated chip, with the ports of its cycle model.

use spatten_arch::ArchConfig;
use spatten_hw::emit::Design;
use spatten_hw::registry;
use spatten_sim::axi_master as axi;
use spatten_sim::chip::{INPUTS, Input, OUTPUTS, Output};
use spatten_sim::cosim::{Bits, Cache, CosimError, Init, Model, Pin, Verilog, part, put};
use spatten_sim::csr;
use spatten_sim::cycle::CycleModel;

/// A design, as the harness takes it.
pub fn text_of(design: &Design) -> Verilog {
    let start = Verilog::new(&design.top);
    design.modules.iter().fold(start, |v, m| v.file(format!("{}.v", m.name), &m.text))
}

/// The chip's Verilog, as the harness takes it.
pub fn verilog(config: &ArchConfig) -> Verilog {
    text_of(&registry::block("chip", config).expect("a registered block").unwrap_or_else(|e| panic!("chip: {e}")))
}

/// Pins of an array of AXI ports.
struct Axi {
    ports: usize,
    widths: axi::Widths,
    ar: [Pin; 4],
    r: [Pin; 5],
    aw: [Pin; 3],
    w: [Pin; 4],
    b: [Pin; 3],
}

impl Axi {
    fn new(model: &Model, prefix: &str, ports: usize, widths: axi::Widths) -> Result<Self, CosimError> {
        let pin = |name: &str| model.pin(&format!("{prefix}_{name}"));
        Ok(Self {
            ports,
            widths,
            ar: [pin("ar_valid")?, pin("ar_ready")?, pin("ar_address")?, pin("ar_id")?],
            r: [pin("r_valid")?, pin("r_ready")?, pin("r_id")?, pin("r_data")?, pin("r_response")?],
            aw: [pin("aw_valid")?, pin("aw_ready")?, pin("aw_address")?],
            w: [pin("w_valid")?, pin("w_ready")?, pin("w_data")?, pin("w_strobe")?],
            b: [pin("b_valid")?, pin("b_ready")?, pin("b_response")?],
        })
    }
}

/// The chip's RTL.
pub struct RtlChip {
    model: Model,
    channels: usize,
    card: Axi,
    host: Axi,
    csr_aw: [Pin; 3],
    csr_w: [Pin; 4],
    csr_ar: [Pin; 3],
    csr_b: [Pin; 3],
    csr_r: [Pin; 4],
    ready: Vec<bool>,
    out: Vec<Option<Output>>,
}

impl RtlChip {
    /// Verilates the chip where that has not been done, and resets it. What reset leaves open is what `init` says.
    ///
    /// # Errors
    /// Where Verilator is not there, or fails.
    pub fn new(config: &ArchConfig, init: Init) -> Result<Self, CosimError> {
        Self::of(&verilog(config), config, init)
    }

    /// The same for a Verilog text, which may be broken on purpose.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(verilog: &Verilog, config: &ArchConfig, init: Init) -> Result<Self, CosimError> {
        let mut model = Model::load(&Cache::default().build(verilog)?, init)?;
        let channels = config.channels;
        let pin = |name: &str| model.pin(name);
        let (card, host) = (axi::Widths::of(config), axi::Widths::host(config));
        let mut this = Self {
            card: Axi::new(&model, "card", channels, card)?,
            host: Axi::new(&model, "host", 1, host)?,
            csr_aw: [pin("csr_aw_valid")?, pin("csr_aw_ready")?, pin("csr_aw_address")?],
            csr_w: [pin("csr_w_valid")?, pin("csr_w_ready")?, pin("csr_w_data")?, pin("csr_w_strobe")?],
            csr_ar: [pin("csr_ar_valid")?, pin("csr_ar_ready")?, pin("csr_ar_address")?],
            csr_b: [pin("csr_b_valid")?, pin("csr_b_ready")?, pin("csr_b_response")?],
            csr_r: [pin("csr_r_valid")?, pin("csr_r_ready")?, pin("csr_r_data")?, pin("csr_r_response")?],
            channels,
            ready: vec![false; INPUTS + 2 * channels],
            out: vec![None; OUTPUTS + 3 * channels],
            model: {
                for name in ["csr_aw_valid", "csr_w_valid", "csr_ar_valid", "host_r_valid", "host_b_valid"] {
                    let pin = model.pin(name)?;
                    model.set(pin, 0);
                }
                for name in ["card_r_valid", "card_b_valid"] {
                    let pin = model.pin(name)?;
                    model.set_bits(pin, &Bits::zero(channels as u32));
                }
                model.reset(2)?;
                model
            },
        };
        this.model.eval()?;
        this.look();
        Ok(this)
    }

    /// The model, for waveforms and coverage.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Takes what the ports show.
    fn look(&mut self) {
        let m = &self.model;
        let one = |pin: Pin| m.get(pin) & 1 == 1;
        self.ready[0] = one(self.csr_aw[1]);
        self.ready[1] = one(self.csr_w[1]);
        self.ready[2] = one(self.csr_ar[1]);
        self.out[0] = one(self.csr_b[0]).then(|| {
            let refused = m.get(self.csr_b[2]) != 0;
            Output::Csr(csr::Output::Written { refused })
        });
        self.out[1] = one(self.csr_r[0]).then(|| {
            let refused = m.get(self.csr_r[3]) != 0;
            Output::Csr(csr::Output::Read { data: m.get(self.csr_r[2]) as u32, refused })
        });
        for (axi, host) in [(&self.host, true), (&self.card, false)] {
            let valid = |pin: Pin| m.get_bits(pin);
            let (r, b) = (valid(axi.r[1]), valid(axi.b[1]));
            let [ar, aw, w] = [axi.ar[0], axi.aw[0], axi.w[0]].map(valid);
            let level = axi.widths.bytes.ilog2() as usize;
            let address_bits = axi.widths.address as usize + level;
            let address = |pin: Pin, i: usize| {
                let bits = part(m.get_bits(pin).words(), i * address_bits, address_bits);
                (0..address_bits.div_ceil(32)).map(|k| u64::from(bits.words()[k]) << (32 * k)).sum::<u64>() >> level
            };
            for i in 0..axi.ports {
                let input = |kind: usize| if host { 3 + kind } else { INPUTS + kind * self.channels + i };
                let output = |kind: usize| if host { 2 + kind } else { OUTPUTS + kind * self.channels + i };
                self.ready[input(0)] = r.lane(i, 1) == 1;
                self.ready[input(1)] = b.lane(i, 1) == 1;
                self.out[output(0)] = (ar.lane(i, 1) == 1).then(|| {
                    let id_bits = axi.widths.id as usize;
                    let id = part(m.get_bits(axi.ar[3]).words(), i * id_bits, id_bits).words()[0];
                    Output::Axi(axi::Output::ReadAddress(address(axi.ar[2], i), id, axi.widths))
                });
                self.out[output(1)] = (aw.lane(i, 1) == 1)
                    .then(|| Output::Axi(axi::Output::WriteAddress(address(axi.aw[2], i), axi.widths)));
                self.out[output(2)] = (w.lane(i, 1) == 1).then(|| {
                    let bytes = axi.widths.bytes as usize;
                    let data = part(m.get_bits(axi.w[2]).words(), i * 8 * bytes, 8 * bytes);
                    let strobe = part(m.get_bits(axi.w[3]).words(), i * bytes, bytes);
                    let strobe = strobe.words().iter().rev().fold(0, |all: u128, &word| all << 32 | u128::from(word));
                    Output::Axi(axi::Output::WriteData(data, strobe, axi.widths))
                });
            }
        }
    }

    fn drive(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let m = &mut self.model;
        let csr = |input: Option<Input>| match input {
            Some(Input::Csr(csr::Input::Address(address))) => Some((u64::from(address), 0)),
            Some(Input::Csr(csr::Input::Data { data, strobe })) => Some((u64::from(data), u64::from(strobe))),
            Some(other) => panic!("{other:?} on a port of registers"),
            None => None,
        };
        let [aw, w, ar] = [0, 1, 2].map(|port| csr(accepted[port].take()));
        for (pins, beat) in [(self.csr_aw, aw), (self.csr_ar, ar)] {
            m.set(pins[0], beat.is_some().into());
            m.set(pins[2], beat.map_or(0, |beat| beat.0));
        }
        m.set(self.csr_w[0], w.is_some().into());
        m.set(self.csr_w[2], w.map_or(0, |beat| beat.0));
        m.set(self.csr_w[3], w.map_or(0, |beat| beat.1));
        m.set(self.csr_b[1], taken[0].into());
        m.set(self.csr_r[1], taken[1].into());
        for (axi, host) in [(&self.host, true), (&self.card, false)] {
            let ports = axi.ports;
            let (bytes, id_bits) = (axi.widths.bytes as usize, axi.widths.id as usize);
            let words = |bits: usize| vec![0u32; (ports * bits).div_ceil(32)];
            let (mut r_valid, mut r_id, mut r_data, mut r_response) =
                (words(1), words(id_bits), words(8 * bytes), words(2));
            let (mut b_valid, mut b_response) = (words(1), words(2));
            let mut ready = [words(1), words(1), words(1)];
            for i in 0..ports {
                let input = |kind: usize| if host { 3 + kind } else { INPUTS + kind * self.channels + i };
                let output = |kind: usize| if host { 2 + kind } else { OUTPUTS + kind * self.channels + i };
                match accepted[input(0)].take() {
                    Some(Input::Axi(axi::Input::Read(id, data, response, _))) => {
                        put(&mut r_valid, i, &[1]);
                        put(&mut r_id, i * id_bits, &[id]);
                        put(&mut r_data, i * 8 * bytes, data.words());
                        put(&mut r_response, 2 * i, &[response.into()]);
                    }
                    Some(other) => panic!("{other:?} as a word"),
                    None => {}
                }
                match accepted[input(1)].take() {
                    Some(Input::Axi(axi::Input::Written(response))) => {
                        put(&mut b_valid, i, &[1]);
                        put(&mut b_response, 2 * i, &[response.into()]);
                    }
                    Some(other) => panic!("{other:?} as an answer"),
                    None => {}
                }
                for (kind, ready) in ready.iter_mut().enumerate() {
                    put(ready, i, &[taken[output(kind)].into()]);
                }
            }
            let mut set = |pin: Pin, words: Vec<u32>, bits: usize| {
                m.set_bits(pin, &Bits::from_words(words, (ports * bits) as u32));
            };
            set(axi.r[0], r_valid, 1);
            set(axi.r[2], r_id, id_bits);
            set(axi.r[3], r_data, 8 * bytes);
            set(axi.r[4], r_response, 2);
            set(axi.b[0], b_valid, 1);
            set(axi.b[2], b_response, 2);
            for (pin, ready) in [axi.ar[1], axi.aw[1], axi.w[1]].into_iter().zip(ready) {
                set(pin, ready, 1);
            }
        }
    }
}

impl CycleModel for RtlChip {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        self.ready[port]
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    /// # Panics   where the RTL calls `$finish` or `$fatal`: it never does
    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        self.drive(accepted, taken);
        let mut step = || {
            self.model.eval()?;
            self.model.step()?;
            self.model.eval()
        };
        step().unwrap_or_else(|e| panic!("{e}"));
        self.look();
    }
}
