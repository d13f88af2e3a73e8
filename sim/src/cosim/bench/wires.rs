//! Streams on ports: which pins belong to which stream, and that no port is left over.

use super::traffic::Random;
use super::{Beat, BenchError, BlockBench, Field};
use crate::cosim::{Direction, Model, Pin};
use crate::cycle::CycleModel;

/// The ports of one stream; fields in the order of its beats.
pub(super) struct Wires {
    pub(super) name: String,
    pub(super) valid: Pin,
    pub(super) ready: Pin,
    pub(super) fields: Vec<(String, Pin, u32)>,
}

impl Wires {
    /// A shorter or differently ordered list would be compared in part, or with the wrong port.
    pub(super) fn assert_order(&self, fields: &[Field]) {
        let same = |(port, field): (&(String, Pin, u32), &Field)| port.0.strip_suffix(field.name).is_some();
        let same = fields.len() == self.fields.len() && self.fields.iter().zip(fields).all(same);
        assert!(same, "every beat of {} has the fields of its first beat, in the same order: {fields:?}", self.name);
    }

    pub(super) fn drive(&self, rtl: &mut Model, fields: &[Field]) {
        self.assert_order(fields);
        for (field, (_, pin, _)) in fields.iter().zip(&self.fields) {
            rtl.set_bits(*pin, &field.bits);
        }
    }

    pub(super) fn randomise(&self, rtl: &mut Model, random: &mut Random) {
        for (_, pin, width) in &self.fields {
            if *width <= 64 {
                rtl.set(*pin, random.bits());
            } else {
                let words: Vec<u32> = (0..width.div_ceil(32)).map(|_| random.bits() as u32).collect();
                rtl.set_words(*pin, &words);
            }
        }
    }
}

impl<M> BlockBench<M>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    /// Pins of all streams; every port has a use.
    pub(super) fn wire(&self, rtl: &Model) -> Result<(Vec<Wires>, Vec<Wires>), BenchError> {
        let names: Vec<&str> = self.inputs.iter().map(|s| &*s.0).chain(self.outputs.iter().map(|s| &*s.0)).collect();
        let status = self.status.iter().flat_map(|status| status(&self.model)).map(|field| field.name.to_string());
        let used = self.pins.iter().map(|(name, _)| name.clone()).chain(self.unchecked.iter().cloned()).chain(status);
        let used: Vec<String> = used.chain(["clock".into(), "reset".into()]).collect();
        used.iter().take(used.len() - 2).try_for_each(|name| rtl.pin(name).map(drop))?;
        // Of streams `in` and `in_b`, the port `in_b_data` belongs to the second; a pin `in_mode` belongs to neither.
        let stream_of = |port: &str| {
            let fits = |name: &&&str| port.strip_prefix(**name).is_some_and(|rest| rest.starts_with('_'));
            let own = used.iter().any(|name| name == port);
            names.iter().filter(fits).filter(|_| !own).max_by_key(|name| name.len()).copied()
        };
        let wires = |name: &str, first: Option<Vec<Field>>, direction| {
            let [valid, ready] = ["valid", "ready"].map(|part| rtl.pin(&format!("{name}_{part}")));
            let (valid, ready) = (valid?, ready?);
            if rtl.port(valid).width != 1 || rtl.port(ready).width != 1 {
                return Err(self.wiring(format!("valid and ready of {name} are one bit each")));
            }
            let mut fields = vec![];
            for port in rtl.ports().iter().filter(|port| stream_of(&port.name) == Some(name)) {
                let pin = rtl.pin(&port.name)?;
                let expected =
                    if pin == ready { direction == Direction::Output } else { direction == Direction::Input };
                if (port.direction == Direction::Input) != expected {
                    return Err(self.wiring(format!("port {} of stream {name} is an {:?}", port.name, port.direction)));
                }
                if pin != valid && pin != ready {
                    fields.push((port.name.clone(), pin, port.width));
                }
            }
            if let Some(first) = first {
                let described = first.iter().map(|f| (format!("{name}_{}", f.name), f.bits.width()));
                let described: Vec<_> = described.collect();
                let found: Vec<_> = fields.iter().map(|(name, _, width)| (name.clone(), *width)).collect();
                if described.len() != found.len() || described.iter().any(|field| !found.contains(field)) {
                    let text = |list: &[(String, u32)]| {
                        let mut list: Vec<_> = list.iter().map(|(name, width)| format!("{name}[{width}]")).collect();
                        list.sort();
                        list.join(" ")
                    };
                    let (described, found) = (text(&described), text(&found));
                    return Err(self.wiring(format!("beats of {name} have {described}, the module has {found}")));
                }
                let place = |name: &str| described.iter().position(|(described, _)| described == name);
                fields.sort_by_key(|(name, ..)| place(name));
            }
            Ok::<_, BenchError>(Wires { name: name.into(), valid, ready, fields })
        };
        let first = |beat: Option<&M::Input>| beat.map(Beat::fields);
        let inputs = self.inputs.iter().map(|(name, _, beats)| wires(name, first(beats.first()), Direction::Input));
        let inputs = inputs.collect::<Result<_, _>>()?;
        let expected = |beat: Option<&M::Output>| beat.map(Beat::fields);
        let outputs = self.outputs.iter().map(|(name, beats)| wires(name, expected(beats.first()), Direction::Output));
        let outputs = outputs.collect::<Result<_, _>>()?;

        match rtl.ports().iter().find(|port| stream_of(&port.name).is_none() && !used.contains(&port.name)) {
            Some(port) => {
                Err(self.wiring(format!("nothing drives or checks port {} ({:?})", port.name, port.direction)))
            }
            None => Ok((inputs, outputs)),
        }
    }
}
