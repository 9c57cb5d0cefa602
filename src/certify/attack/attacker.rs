//! Attacks on batches of properties, and the replay of what they find.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use super::objective::FAR;
use super::point::candidates;
use super::program::Programs;
use super::spec::{AttackSpec, Loss};
use crate::certify::network::ReluNetwork;
use crate::certify::proof::Prover;
use crate::certify::property::Property;
use crate::device::{Session, read_state_f32, write_state_f32};
use crate::error::{Error, Result};

/// What attacks have found about one property.
#[derive(Clone, Debug, PartialEq)]
pub struct Attacked {
    /// A point that breaks it: in its box, confirmed over the real numbers.
    pub counterexample: Option<Vec<f64>>,
    /// Least margin seen for each clause, by f32: the greatest c·y − b of its constraints. With the cross-entropy one number, the
    /// least over all clauses. Infinite where nothing was looked at.
    pub margins: Vec<f32>,
}

/// The point that an attack has brought closest to breaking a property.
#[derive(Clone, Debug, PartialEq)]
pub struct Strongest {
    /// Its margin, by f32: of the clause that it was found for; infinite for a property without clauses.
    pub margin: f32,
    /// As a user feeds it; empty for a property without clauses.
    pub point: Vec<f64>,
}

/// An attack on one network, compiled as it is needed.
pub struct Attacker<'a> {
    network: &'a ReluNetwork,
    prover: Arc<Prover>,
    spec: AttackSpec,
    rows: usize,
    /// By rows and constraints.
    programs: BTreeMap<(usize, usize), Programs>,
}

/// One attack of a chunk.
#[derive(Clone, Copy)]
struct Row {
    property: usize,
    /// Clause; 0 for all of them.
    target: usize,
}

/// Steps after which the host looks whether anything is left to do.
const LOOKS: [usize; 3] = [3, 10, 30];
/// Margins by f32 that may be ≤ 0 over the reals: worth a replay.
const NEAR: f32 = 1e-4;
/// Values that a row may have in all nodes of all rows together, forward and backward.
const MOST: usize = 1 << 24;

/// Rows that go at once without taking more than a few hundred MiB, 512 at most.
pub fn rows_that_fit(network: &ReluNetwork) -> usize {
    let elements: usize = network.nodes().iter().map(|node| node.shape.elements()).sum();
    (MOST / elements).clamp(1, 512)
}

impl<'a> Attacker<'a> {
    /// An attack with at most `rows` rows at once (see [`rows_that_fit`]): one row for each property and clause, or for each
    /// property with the cross-entropy. `prover` is the network's.
    ///
    /// # Errors
    /// [`Error::Config`] for an attack that can't be done on this network.
    pub fn new(network: &'a ReluNetwork, prover: Arc<Prover>, spec: AttackSpec, rows: usize) -> Result<Attacker<'a>> {
        spec.check(network.outputs())?;
        Ok(Attacker { network, prover, spec, rows: rows.max(1), programs: BTreeMap::new() })
    }

    /// What it does.
    pub fn spec(&self) -> &AttackSpec {
        &self.spec
    }

    /// Attacks `properties`, each until it is broken, the restarts are used up or `deadline` has passed; one result for each.
    /// All rows of a restart that fit go at once; the host looks at the margins after 3, 10 and 30 steps and stops a chunk of rows
    /// whose properties are all broken. The same call in a session on the same device finds the same; another seed starts
    /// elsewhere.
    ///
    /// # Errors
    /// [`Error::Config`] for a property that does not fit the network, or one that is not about a label with the cross-entropy.
    pub async fn run(
        &mut self,
        session: &mut dyn Session,
        properties: &[Property],
        seed: u64,
        deadline: Option<Instant>,
    ) -> Result<Vec<Attacked>> {
        self.check(properties)?;
        let none = |p: &Property| Attacked { counterexample: None, margins: vec![f32::INFINITY; self.targets(p)] };
        let mut found: Vec<Attacked> = properties.iter().map(none).collect();
        let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        for restart in 0..self.spec.restarts {
            let mut left: Vec<Row> = self.attacks(properties).collect();
            for chunk in 0.. {
                left.retain(|row| found[row.property].counterexample.is_none());
                if left.is_empty() || is_late() {
                    break;
                }
                let now: Vec<Row> = left.drain(..left.len().min(self.rows)).collect();
                let key = [seed as u32, (seed >> 32) as u32, restart as u32, chunk];
                let from_middle = self.spec.from_middle && restart == 0;
                self.run_chunk(session, properties, &now, (key, from_middle), &is_late, &mut found).await?;
            }
        }
        Ok(found)
    }

    /// The strongest point that the attack finds for each property: that of the least margin of any clause, by f32, from all starts and
    /// after all steps, whether it breaks the property or not. It lies in the property's box.
    ///
    /// # Errors
    /// As [`Attacker::run`].
    pub async fn strongest(
        &mut self,
        session: &mut dyn Session,
        properties: &[Property],
        seed: u64,
    ) -> Result<Vec<Strongest>> {
        self.check(properties)?;
        let none = Strongest { margin: f32::INFINITY, point: Vec::new() };
        let mut found = vec![none; properties.len()];
        let all: Vec<Row> = self.attacks(properties).collect();
        let n = self.network.input().elements();
        for restart in 0..self.spec.restarts {
            for (chunk, rows) in all.chunks(self.rows).enumerate() {
                let placed = self.place(session, properties, rows)?;
                let programs = &self.programs[&placed];
                let key = [seed as u32, (seed >> 32) as u32, restart as u32, chunk as u32];
                programs.begin(session, key, self.spec.from_middle && restart == 0)?;
                for i in std::iter::once(None).chain((0..self.spec.steps).map(Some)) {
                    programs.step(session, &self.spec, i)?;
                }
                let least = read_state_f32(session, &programs.state("least")).await?;
                let points = read_state_f32(session, &programs.state("point")).await?;
                for ((row, &margin), point) in rows.iter().zip(&least).zip(points.chunks(n)) {
                    let best = &mut found[row.property];
                    if margin < best.margin {
                        let mut inside = candidates(&properties[row.property], point);
                        *best = Strongest { margin, point: inside.swap_remove(0) };
                    }
                }
            }
        }
        Ok(found)
    }

    /// Frees the programs.
    pub fn release(self, session: &mut dyn Session) {
        self.programs.into_values().for_each(|programs| programs.release(session));
    }

    /// Refuses properties that can't be attacked.
    fn check(&self, properties: &[Property]) -> Result<()> {
        for property in properties {
            property.check(self.network.input().elements(), self.network.outputs())?;
            if self.spec.loss == Loss::CrossEntropy && label(property).is_none() {
                let message = "it is not that of one class against all others: take the margin";
                return Err(Error::Config(format!("the cross-entropy of a property's label: {message}")));
            }
        }
        Ok(())
    }

    /// All attacks of one restart.
    fn attacks(&self, properties: &[Property]) -> impl Iterator<Item = Row> {
        properties
            .iter()
            .enumerate()
            .flat_map(|(property, p)| (0..self.targets(p)).map(move |target| Row { property, target }))
    }

    fn targets(&self, property: &Property) -> usize {
        if self.spec.loss == Loss::CrossEntropy { 1 } else { property.clauses.len() }
    }

    /// One start of `rows`.
    async fn run_chunk(
        &mut self,
        session: &mut dyn Session,
        properties: &[Property],
        rows: &[Row],
        (key, from_middle): ([u32; 4], bool),
        is_late: &dyn Fn() -> bool,
        found: &mut [Attacked],
    ) -> Result<()> {
        let placed = self.place(session, properties, rows)?;
        let programs = &self.programs[&placed];
        programs.begin(session, key, from_middle)?;
        programs.step(session, &self.spec, None)?;
        for i in 0..self.spec.steps {
            programs.step(session, &self.spec, Some(i))?;
            let done = i + 1;
            let over = done == self.spec.steps || is_late();
            if over || LOOKS.contains(&done) {
                let least = read_state_f32(session, &programs.state("least")).await?;
                for (row, &margin) in rows.iter().zip(&least) {
                    let known = &mut found[row.property].margins[row.target];
                    *known = known.min(margin);
                }
                // Whether a replay could end it: some row of every property has come close.
                let close = |property: usize| {
                    let all = rows.iter().zip(&least);
                    all.filter(|(row, _)| row.property == property).any(|(_, &margin)| margin <= NEAR)
                };
                if over || rows.iter().all(|row| close(row.property)) {
                    self.replay(session, &programs.state("point"), properties, rows, &least, found).await?;
                }
                if over || rows.iter().all(|row| found[row.property].counterexample.is_some()) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tries the points of `rows` that came close, the closest first.
    async fn replay(
        &self,
        session: &mut dyn Session,
        state: &str,
        properties: &[Property],
        rows: &[Row],
        least: &[f32],
        found: &mut [Attacked],
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..rows.len()).filter(|&r| least[r] <= NEAR).collect();
        if order.is_empty() {
            return Ok(());
        }
        order.sort_by(|&a, &b| least[a].total_cmp(&least[b]));
        let points = read_state_f32(session, state).await?;
        let n = self.network.input().elements();
        for r in order {
            let (property, known) = (&properties[rows[r].property], &mut found[rows[r].property]);
            if known.counterexample.is_none() {
                known.counterexample = self.confirmed(property, &points[r * n..][..n])?;
            }
        }
        Ok(())
    }

    /// The point of the box for an iterate, if it breaks the property beyond doubt.
    fn confirmed(&self, property: &Property, iterate: &[f32]) -> Result<Option<Vec<f64>>> {
        for point in candidates(property, iterate) {
            if self.prover.refutes(property, &point)? {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }

    /// Makes the programs that take `rows` and writes their boxes and what they are about; returns the programs' key.
    fn place(&mut self, session: &mut dyn Session, properties: &[Property], rows: &[Row]) -> Result<(usize, usize)> {
        let margins = self.spec.loss != Loss::CrossEntropy;
        let clauses = rows.iter().filter(|_| margins).map(|row| properties[row.property].clauses[row.target].len());
        let constraints = clauses.max().unwrap_or(0).max(1);
        // Few sizes, so that little is compiled and little is computed in vain.
        let mut size = self.rows;
        while size.div_ceil(4) >= rows.len() && size > 1 {
            size = size.div_ceil(4);
        }
        let key = (size, constraints);
        if let Entry::Vacant(entry) = self.programs.entry(key) {
            entry.insert(Programs::new(session, self.network, &self.spec, size, constraints)?);
        }
        let programs = &self.programs[&key];
        // Rows that are missing are filled with the last.
        let padded = || (0..size).map(|r| rows[r.min(rows.len() - 1)]);
        let floats = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let lower: Vec<f32> = padded().flat_map(|row| floats(&properties[row.property].lower)).collect();
        let upper: Vec<f32> = padded().flat_map(|row| floats(&properties[row.property].upper)).collect();
        write_state_f32(session, &programs.state("lower"), &lower)?;
        write_state_f32(session, &programs.state("upper"), &upper)?;
        let outputs = self.network.outputs();
        if !margins {
            let labels: Vec<u32> =
                padded().map(|row| label(&properties[row.property]).expect("checked") as u32).collect();
            let mut mask = vec![0.0; size * outputs];
            labels.iter().enumerate().for_each(|(r, &label)| mask[r * outputs + label as usize] = FAR);
            session.write_state(&programs.state("labels"), &labels)?;
            write_state_f32(session, &programs.state("mask"), &mask)?;
            return Ok(key);
        }
        for c in 0..constraints {
            let (mut coefficients, mut bounds) = (Vec::with_capacity(size * outputs), Vec::with_capacity(size));
            for row in padded() {
                // The last constraint again where a clause has fewer; an empty clause always holds: 0 ≤ 0.
                let clause = &properties[row.property].clauses[row.target];
                match clause.get(c).or(clause.last()) {
                    Some(constraint) => {
                        coefficients.extend(floats(&constraint.coefficients));
                        bounds.push(constraint.bound as f32);
                    }
                    None => {
                        coefficients.extend(vec![0.0; outputs]);
                        bounds.push(0.0);
                    }
                }
            }
            write_state_f32(session, &programs.state(&format!("coefficients.{c}")), &coefficients)?;
            write_state_f32(session, &programs.state(&format!("bound.{c}")), &bounds)?;
        }
        Ok(key)
    }
}

/// The label of a property that is "every point has the label", whatever the order of its clauses.
fn label(property: &Property) -> Option<usize> {
    let mut label = None;
    let mut others = Vec::new();
    let classes = property.clauses.first()?.first()?.coefficients.len();
    for clause in &property.clauses {
        let [constraint] = &clause[..] else { return None };
        let at = |value: f64| constraint.coefficients.iter().position(|&c| c == value);
        let (own, other) = (at(1.0)?, at(-1.0)?);
        let rest = constraint.coefficients.iter().filter(|&&c| c != 0.0).count();
        if rest != 2 || constraint.bound != 0.0 || *label.get_or_insert(own) != own {
            return None;
        }
        others.push(other);
    }
    others.sort_unstable();
    others.dedup();
    label.filter(|_| others.len() + 1 == classes)
}
