//! A claim on its way through the stages.

use super::{Claim, Open, Outcome, Proof, Stage, Verdict};
use crate::certify::bounds::Objective;
use crate::certify::branch::{Leaf, Node, Statistics, Tree};
use crate::certify::proof::{self, Derivation, Region, Start};

/// A claim on its way.
pub(super) struct Pending<'c> {
    pub(super) claim: &'c Claim,
    /// One for each constraint of each clause: (clause, constraint).
    pub(super) objectives: Vec<(usize, usize)>,
    pub(super) seconds: f64,
    pub(super) unstable: Vec<usize>,
    pub(super) region: Option<Region>,
    /// Slopes of the passes that bound single neurons.
    pub(super) starts: Vec<Start>,
    pub(super) decided: Option<Outcome>,
    /// Best bound of each clause so far, by the device or proved.
    pub(super) lower: Vec<f32>,
}

impl<'c> Pending<'c> {
    pub(super) fn new(claim: &'c Claim) -> Pending<'c> {
        let clauses = claim.property.clauses.iter().enumerate();
        let objectives = clauses.flat_map(|(k, clause)| (0..clause.len()).map(move |c| (k, c))).collect();
        let lower = vec![f32::NEG_INFINITY; claim.property.clauses.len()];
        Pending {
            claim,
            objectives,
            seconds: 0.0,
            unstable: Vec::new(),
            region: None,
            starts: Vec::new(),
            decided: None,
            lower,
        }
    }

    pub(super) fn native(&self) -> Vec<proof::Objective> {
        let constraint = |&(k, c): &(usize, usize)| &self.claim.property.clauses[k][c];
        let all = self.objectives.iter().map(constraint);
        all.map(|c| proof::Objective::exact(c.coefficients.clone(), c.bound)).collect()
    }

    pub(super) fn outcome(&self, verdict: Verdict, stage: Stage) -> Outcome {
        Outcome {
            verdict,
            stage,
            margin: None,
            seconds: self.seconds,
            search: Statistics::default(),
            unstable: self.unstable.clone(),
            open: None,
            counter_example: None,
            proof: None,
        }
    }

    pub(super) fn falsified(&mut self, stage: Stage, point: Vec<f64>) {
        self.decided = Some(Outcome { counter_example: Some(point), ..self.outcome(Verdict::Falsified, stage) });
    }

    /// Decides the claim if every clause has a constraint whose proved bound, in the order of the objectives, is positive.
    pub(super) fn try_certify(&mut self, stage: Stage, bounds: &[f64], crown: bool) -> bool {
        self.note(&bounds.iter().map(|&b| b as f32).collect::<Vec<f32>>());
        let mut margin = f64::INFINITY;
        let mut trees = Vec::new();
        for clause in 0..self.claim.property.clauses.len() {
            let of_clause = self.objectives.iter().zip(bounds).filter(|((k, _), _)| *k == clause);
            let Some((&(_, constraint), &lower)) = of_clause.max_by(|a, b| a.1.total_cmp(b.1)) else { return false };
            if lower <= 0.0 || lower.is_nan() {
                return false;
            }
            margin = margin.min(lower);
            let weights = Leaf::only(constraint, self.claim.property.clauses[clause].len());
            let leaf = Leaf { weights, slopes: Vec::new(), multipliers: Vec::new(), lower };
            trees.push(Tree { nodes: vec![Node::Leaf(leaf)] });
        }
        let derivation = if crown { Derivation::Crown(Vec::new()) } else { Derivation::Interval };
        let proof = Proof { derivation, table: Vec::new(), trees };
        self.decided =
            Some(Outcome { margin: Some(margin), proof: Some(proof), ..self.outcome(Verdict::Certified, stage) });
        true
    }

    /// The objectives as a device takes them.
    pub(super) fn device(&self, sample: usize) -> Vec<Objective> {
        let constraint = |&(k, c): &(usize, usize)| &self.claim.property.clauses[k][c];
        let all = self.objectives.iter().map(constraint);
        all.map(|c| Objective::of(sample, c)).collect()
    }

    /// Right-hand sides of the objectives.
    pub(super) fn thresholds(&self) -> Vec<f32> {
        self.objectives.iter().map(|&(k, c)| self.claim.property.clauses[k][c].bound as f32).collect()
    }

    /// Notes bounds (of coefficients · y − bound, in the order of the objectives); whether they prove every clause.
    pub(super) fn note(&mut self, bounds: &[f32]) -> bool {
        for (&(clause, _), &bound) in self.objectives.iter().zip(bounds) {
            self.lower[clause] = self.lower[clause].max(bound);
        }
        self.lower.iter().all(|&l| l > 0.0)
    }

    /// What is open, for the given reason.
    pub(super) fn open(&self, reason: &str) -> Option<Open> {
        let worst = self.lower.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        worst.map(|(clause, &gap)| Open { clause, gap, reason: reason.to_string() })
    }
}
