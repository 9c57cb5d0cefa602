//! Bounds of single neurons by ascent: α-CROWN with slopes of their own for every start of a backward pass (Xu et al. 2021, §3.2).
//!
//! Every unstable neuron is bounded from both sides as well as its own slopes allow, layer after layer, each with the bounds of those
//! before it. What is gained there is gained for everything that passes through the layer later: for slopes that are as good as they
//! can be, tighter bounds of a ReLU's input never make a bound worse.

use std::time::Instant;

use super::extent::{Extent, Origin, extents};
use super::programs::{Given, MOST_ELEMENTS, Programs};
use super::rows::Relaxer;
use super::weights::image;
use super::{Bounds, Parameters, Schedule};
use crate::certify::proof::{Side, Start};
use crate::device::Session;
use crate::error::Result;

/// Slopes of all starts of one sample; further starts are left with the bounds they have. 64 MiB.
const MOST_SLOPES: usize = 1 << 24;

/// Numbers of rows that programs are made for.
const SIZES: [usize; 3] = [32, 128, 512];

/// Ascents from the neurons of one layer.
pub(super) struct Starts {
    /// What their rows have of each ReLU layer.
    extents: Vec<Option<Extent>>,
    /// Of several numbers of rows.
    programs: Vec<Programs>,
}

/// One sample on its way through the layers.
struct Sample {
    /// Its place in the batch.
    at: usize,
    /// (ReLU layer, neuron) of earlier layers that slopes are given for, ascending.
    entries: Vec<(usize, usize)>,
    /// Their default slopes.
    defaults: Vec<f32>,
    starts: Vec<Start>,
    /// Slopes that further starts may have.
    left: usize,
}

/// One backward pass: an end of a neuron's interval.
#[derive(Clone, Copy)]
struct Row {
    /// Place in the list of samples.
    listed: usize,
    /// Place in the batch.
    sample: usize,
    neuron: usize,
    side: Side,
}

impl Starts {
    /// Frees the programs.
    pub(super) fn release(self, session: &mut dyn Session) {
        self.programs.into_iter().for_each(|programs| programs.release(session));
    }
}

impl Relaxer<'_> {
    /// Tightens the bounds of the unstable ReLU inputs of `samples` by ascents from the default slopes. Returns the slopes of each of these
    /// samples: for the unstable neurons of earlier layers by the bounds that are left at the end, in ascending order. After `deadline`
    /// no further ascent begins. The session's bounds follow.
    pub async fn ascend(
        &mut self,
        session: &mut dyn Session,
        bounds: &mut Bounds,
        samples: &[usize],
        schedule: &Schedule,
        deadline: Instant,
    ) -> Result<Vec<Vec<Start>>> {
        let begin = |&at: &usize| Sample {
            at,
            entries: Vec::new(),
            defaults: Vec::new(),
            starts: Vec::new(),
            left: MOST_SLOPES,
        };
        let mut samples: Vec<Sample> = samples.iter().map(begin).collect();
        for number in 0..bounds.layers.len() {
            if !self.is_exact(number) {
                self.ascend_layer(session, bounds, number, &mut samples, schedule, deadline).await?;
                self.place_layer(session, bounds, number)?;
            }
            let (layer, features) = (&bounds.layers[number], self.shared().features(number));
            for sample in &mut samples {
                for neuron in (0..features).filter(|n| layer.is_unstable(sample.at * features + n)) {
                    sample.entries.push((number, neuron));
                    sample.defaults.push(layer.default_slope(sample.at * features + neuron));
                }
            }
        }
        let sorted = |mut sample: Sample| {
            sample.starts.sort_by_key(|start| (start.layer, start.neuron, start.side));
            sample.starts
        };
        Ok(samples.into_iter().map(sorted).collect())
    }

    /// One layer.
    async fn ascend_layer(
        &mut self,
        session: &mut dyn Session,
        bounds: &mut Bounds,
        number: usize,
        samples: &mut [Sample],
        schedule: &Schedule,
        deadline: Instant,
    ) -> Result<()> {
        let features = self.shared().features(number);
        let mut rows = Vec::new();
        for (listed, sample) in samples.iter_mut().enumerate() {
            let (layer, each) = (&bounds.layers[number], 2 * sample.entries.len());
            let unstable = (0..features).filter(|n| layer.is_unstable(sample.at * features + n));
            for neuron in unstable.take(sample.left / each.max(1)) {
                rows.extend([Side::Lower, Side::Upper].map(|side| Row { listed, sample: sample.at, neuron, side }));
                sample.left -= each;
            }
        }
        if rows.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        let which = self.programs(session, number, rows.len())?;
        let Starts { extents, programs } = self.starts[number].as_ref().expect("made above");
        let programs = &programs[which];
        for chunk in rows.chunks(programs.rows()) {
            if Instant::now() >= deadline {
                break;
            }
            let given = self.given(bounds, number, chunk);
            let places: Vec<[usize; 2]> =
                given.records.chunks(4).map(|record| [record[2] as usize, record[3] as usize]).collect();
            let mut parameters = self.defaults(bounds, extents, chunk, &places);
            let zeros = vec![0.0; chunk.len()];
            let found = programs.run(session, &given, &zeros, &mut parameters, schedule, Some(deadline)).await?;
            for (r, (row, &lower)) in chunk.iter().zip(&found.lower).enumerate() {
                let (layer, i) = (&mut bounds.layers[number], row.sample * features + row.neuron);
                // Rounding may not turn a bound around.
                match row.side {
                    Side::Lower => layer.lower[i] = layer.lower[i].max(lower).min(layer.center[i]),
                    Side::Upper => layer.upper[i] = layer.upper[i].min(-lower).max(layer.center[i]),
                }
                let slopes = self.slopes(&samples[row.listed], extents, &parameters, r, places[r]);
                samples[row.listed].starts.push(Start { layer: number, neuron: row.neuron, side: row.side, slopes });
            }
        }
        Ok(())
    }

    /// The smallest programs from layer `number` that take `rows` rows, or the largest there may be.
    fn programs(&mut self, session: &mut dyn Session, number: usize, rows: usize) -> Result<usize> {
        let (shared, origin) = (self.shared(), Origin::Neurons(number));
        if self.starts[number].is_none() {
            self.starts[number] = Some(Starts { extents: extents(&shared, origin)?, programs: Vec::new() });
        }
        let starts = self.starts[number].as_mut().expect("made above");
        let elements: usize = starts.extents.iter().flatten().map(Extent::elements).sum();
        let most = (MOST_ELEMENTS / elements.max(1)).clamp(2, SIZES[2]);
        let wanted = SIZES.into_iter().find(|&size| size >= rows).unwrap_or(SIZES[2]).min(most);
        if let Some(at) = starts.programs.iter().position(|programs| programs.rows() == wanted) {
            return Ok(at);
        }
        let tag = format!("start.{number}.{wanted}");
        starts.programs.push(Programs::new(session, &shared, origin, starts.extents.clone(), wanted, false, &tag)?);
        Ok(starts.programs.len() - 1)
    }

    fn given(&self, bounds: &Bounds, number: usize, rows: &[Row]) -> Given {
        let [_, height, width] = image(&self.network().nodes()[self.shared().relu_input(number)].shape);
        let features = self.shared().features(number);
        let mut given = Given { records: Vec::new(), values: Vec::new(), middles: Vec::new() };
        for row in rows {
            let at = row.neuron;
            let record = [row.sample, at / (height * width), at / width % height, at % width];
            given.records.extend(record.map(|word| word as u32));
            let sign = if row.side == Side::Lower { 1.0 } else { -1.0 };
            given.values.push(sign);
            given.middles.push(sign * bounds.layers[number].center[row.sample * features + at]);
        }
        given
    }

    /// Default slopes, laid out as the rows' windows.
    fn defaults(&self, bounds: &Bounds, extents: &[Option<Extent>], rows: &[Row], places: &[[usize; 2]]) -> Parameters {
        let mut slopes = Vec::with_capacity(extents.len());
        for (number, extent) in extents.iter().enumerate() {
            let Some(extent) = extent else {
                slopes.push(Vec::new());
                continue;
            };
            let layer = &bounds.layers[number];
            let [_, height, width] = image(&self.network().nodes()[self.shared().relu_input(number)].shape);
            let features = self.shared().features(number);
            let mut values = vec![0.0; rows.len() * extent.elements()];
            for ((values, row), &start) in values.chunks_mut(extent.elements()).zip(rows).zip(places) {
                for (e, value) in values.iter_mut().enumerate() {
                    if let Some(neuron) = extent.neuron(start, e, [height, width]) {
                        *value = layer.default_slope(row.sample * features + neuron);
                    }
                }
            }
            slopes.push(values);
        }
        Parameters { slopes, ..Parameters::default() }
    }

    /// The slopes of row `r`, which began at `start`, for the entries of a sample: the default ones for those it does not meet.
    fn slopes(
        &self,
        sample: &Sample,
        extents: &[Option<Extent>],
        parameters: &Parameters,
        r: usize,
        start: [usize; 2],
    ) -> Vec<f32> {
        let slope = |(&(number, neuron), &default): (&(usize, usize), &f32)| {
            let [_, height, width] = image(&self.network().nodes()[self.shared().relu_input(number)].shape);
            let extent = extents[number].as_ref();
            let met = extent.and_then(|extent| {
                let element = extent.element(start, neuron, [height, width])?;
                Some(parameters.slopes[number][r * extent.elements() + element])
            });
            met.unwrap_or(default)
        };
        sample.entries.iter().zip(&sample.defaults).map(slope).collect()
    }
}
