//! Bounds of single neurons by ascent: α-CROWN with slopes of their own for every start of a backward pass (Xu et al. 2021, §3.2).
//!
//! Every unstable neuron is bounded from both sides as well as its own slopes allow, layer after layer, each with the bounds of those
//! before it. What is gained there is gained for everything that passes through the layer later: for slopes that are as good as they
//! can be, tighter bounds of a ReLU's input never make a bound worse.

use std::time::Instant;

use super::climb::{Climb, Extent, Given, MOST_ELEMENTS, Origin};
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

/// One backward pass: an end of a neuron's interval.
#[derive(Clone, Copy)]
struct Row {
    sample: usize,
    neuron: usize,
    side: Side,
}

/// The neurons of earlier layers that slopes are given for, and their default slopes.
struct Table {
    /// (ReLU layer, neuron), ascending.
    entries: Vec<(usize, usize)>,
    defaults: Vec<f32>,
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
        let mut starts: Vec<Vec<Start>> = vec![Vec::new(); samples.len()];
        let mut tables: Vec<Table> =
            samples.iter().map(|_| Table { entries: Vec::new(), defaults: Vec::new() }).collect();
        let mut left: Vec<usize> = vec![MOST_SLOPES; samples.len()];
        for number in 0..bounds.layers.len() {
            if !self.is_exact(number) && Instant::now() < deadline {
                let features = self.shared().features(number);
                let mut rows = Vec::new();
                for (s, &sample) in samples.iter().enumerate() {
                    let layer = &bounds.layers[number];
                    let unstable = (0..features).filter(|n| layer.is_unstable(sample * features + n));
                    let affordable = left[s] / (2 * tables[s].entries.len()).max(1);
                    for neuron in unstable.take(affordable) {
                        rows.extend([Side::Lower, Side::Upper].map(|side| (s, Row { sample, neuron, side })));
                        left[s] -= 2 * tables[s].entries.len();
                    }
                }
                self.ascend_layer(session, bounds, number, &rows, &tables, schedule, deadline, &mut starts).await?;
                self.place_layer(session, bounds, number)?;
            }
            let (layer, features) = (&bounds.layers[number], self.shared().features(number));
            for (table, &sample) in tables.iter_mut().zip(samples) {
                for neuron in (0..features).filter(|n| layer.is_unstable(sample * features + n)) {
                    let i = sample * features + neuron;
                    table.entries.push((number, neuron));
                    table.defaults.push(layer.default_slope(i));
                }
            }
        }
        starts.iter_mut().for_each(|starts| starts.sort_by_key(|start| (start.layer, start.neuron, start.side)));
        Ok(starts)
    }

    /// One layer. Rows name the place of their sample in `tables` and `starts`.
    #[expect(clippy::too_many_arguments, reason = "the loop above, cut in two")]
    async fn ascend_layer(
        &mut self,
        session: &mut dyn Session,
        bounds: &mut Bounds,
        number: usize,
        rows: &[(usize, Row)],
        tables: &[Table],
        schedule: &Schedule,
        deadline: Instant,
        starts: &mut [Vec<Start>],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let at = self.climb(session, number, rows.len())?;
        for chunk in rows.chunks(self.climbs[number][at].rows()) {
            if Instant::now() >= deadline {
                break;
            }
            let climb = &self.climbs[number][at];
            let given = self.given(bounds, number, chunk);
            let placed: Vec<[usize; 2]> =
                given.records.chunks(4).map(|record| [record[2] as usize, record[3] as usize]).collect();
            let mut parameters = self.defaults(bounds, climb.extents(), chunk, &placed);
            let zeros = vec![0.0; chunk.len()];
            let found = climb.run(session, &given, &zeros, &mut parameters, schedule, Some(deadline)).await?;
            let features = self.shared().features(number);
            for (r, (&(s, row), &lower)) in chunk.iter().zip(&found.lower).enumerate() {
                let layer = &mut bounds.layers[number];
                let i = row.sample * features + row.neuron;
                // Rounding may not turn a bound around.
                match row.side {
                    Side::Lower => layer.lower[i] = layer.lower[i].max(lower).min(layer.center[i]),
                    Side::Upper => layer.upper[i] = layer.upper[i].min(-lower).max(layer.center[i]),
                }
                let slopes = self.slopes(&tables[s], climb.extents(), &parameters, r, placed[r]);
                starts[s].push(Start { layer: number, neuron: row.neuron, side: row.side, slopes });
            }
        }
        Ok(())
    }

    /// The smallest program that takes `rows` rows from layer `number`, or the largest there may be.
    fn climb(&mut self, session: &mut dyn Session, number: usize, rows: usize) -> Result<usize> {
        let shared = self.shared();
        let elements: usize =
            super::climb::extents(&shared, Origin::Neurons(number))?.iter().flatten().map(Extent::elements).sum();
        let most = (MOST_ELEMENTS / elements.max(1)).clamp(2, SIZES[2]);
        let wanted = SIZES.into_iter().find(|&size| size >= rows).unwrap_or(SIZES[2]).min(most);
        if let Some(at) = self.climbs[number].iter().position(|climb| climb.rows() == wanted) {
            return Ok(at);
        }
        let tag = format!("start.{number}.{wanted}");
        let climb = Climb::new(session, &shared, Origin::Neurons(number), wanted, false, &tag)?;
        self.climbs[number].push(climb);
        Ok(self.climbs[number].len() - 1)
    }

    fn given(&self, bounds: &Bounds, number: usize, rows: &[(usize, Row)]) -> Given {
        let [_, height, width] = image(&self.network().nodes()[self.shared().relu_input(number)].shape);
        let features = self.shared().features(number);
        let mut given = Given { records: Vec::new(), values: Vec::new(), middles: Vec::new() };
        for (_, row) in rows {
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
    fn defaults(
        &self,
        bounds: &Bounds,
        extents: &[Option<Extent>],
        rows: &[(usize, Row)],
        placed: &[[usize; 2]],
    ) -> Parameters {
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
            for ((values, (_, row)), &start) in values.chunks_mut(extent.elements()).zip(rows).zip(placed) {
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

    /// The slopes of row `r`, which began at `start`, for the neurons of a table: the default ones for those it does not meet.
    fn slopes(
        &self,
        table: &Table,
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
        table.entries.iter().zip(&table.defaults).map(slope).collect()
    }
}
