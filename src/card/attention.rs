//! A sequence and the card that it has for itself, as `spatten run` and `spatten infer` see a device.

use super::{CardDevice, CardSequence, Counters, DeviceError};
use ndarray::{Array2, Array3};
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::attention::{Attention, LayerInput, LayerOutput};
use spatten_golden::cascade::{LayerReport, Sequence};
use spatten_golden::quantiser::Calibration;
use spatten_golden::run::Sequential;

/// Attention on a card.
///
/// [`Attention`] has no errors. So the first one is kept, every layer after it is 0 and prunes nothing, and who has used the
/// device asks [`CardAttention::finish`], which is the only way to its counters.
pub struct CardAttention {
    card: Box<dyn CardDevice>,
    sequence: CardSequence,
    begun: Counters,
    error: Option<DeviceError>,
}

/// Cycles, bytes and stalls of a run.
#[derive(Debug, Clone)]
pub struct Timing {
    /// By step and layer.
    pub layers: Vec<Counters>,
    /// Of the whole run, with what lies between layers.
    pub total: Counters,
}

impl CardAttention {
    /// Begins a sequence (in generation its first step) on a card.
    ///
    /// # Errors   where the card does not do what it is told
    ///
    /// # Panics   as [`CardSequence::begin`]
    #[track_caller]
    pub fn new(
        mut card: Box<dyn CardDevice>,
        config: &ArchConfig,
        sequence: Sequence,
        plan: &Plan,
        calibration: Option<Calibration>,
    ) -> Result<Self, DeviceError> {
        let begun = card.counters();
        let sequence = CardSequence::begin(&mut *card, config, 0, sequence, plan, calibration)?;
        Ok(Self { card, sequence, begun, error: None })
    }

    /// Ends the sequence.
    ///
    /// # Errors   the first that the card made
    pub fn finish(mut self) -> Result<Timing, DeviceError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let layers = self.sequence.timing().to_vec();
        self.sequence.end(&mut *self.card)?;
        Ok(Timing { layers, total: self.card.counters().since(&self.begun) })
    }
}

impl Attention for CardAttention {
    fn queries(&self) -> &[usize] {
        self.sequence.queries()
    }

    fn survivors(&self) -> &[usize] {
        self.sequence.survivors()
    }

    fn heads_alive(&self) -> &[usize] {
        self.sequence.heads_alive()
    }

    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput {
        let (heads, rows, dim) = input.q.dim();
        if self.error.is_none() {
            match self.sequence.layer(&mut *self.card, input) {
                Ok(output) => return output,
                Err(error) => self.error = Some(error),
            }
        }
        LayerOutput { out: Array3::zeros((heads, rows, dim)), refetched: Array2::from_elem((heads, rows), false) }
    }
}

impl Sequential for CardAttention {
    fn next_step(&mut self) {
        if self.error.is_none() {
            self.error = self.sequence.next_step(&mut *self.card).err();
        }
    }

    fn token_importance(&self) -> Vec<f64> {
        self.sequence.token_importance()
    }

    fn head_importance(&self) -> Vec<f64> {
        self.sequence.head_importance()
    }

    fn reports(&self) -> &[LayerReport] {
        self.sequence.reports()
    }
}
