//! Certificates of small networks, by a plain search for the tests' own use.

use std::sync::Arc;

use smallbox::certify::certificate::{About, Certificate, Checker, Tree, Verdict};
use smallbox::certify::network::ReluNetwork;
use smallbox::certify::proof::{Derivation, Leaf, Objective, Prover, Region, Side, Slopes, Split, Start};
use smallbox::certify::property::Property;

use crate::certify::nets::{dense, kinds, values};
use crate::common::random::Random;

/// A network and a certificate about it that holds.
pub struct Made {
    pub network: ReluNetwork,
    pub certificate: Certificate,
    pub center: Vec<f64>,
    pub label: usize,
}

struct Search<'a> {
    random: &'a mut Random,
    slopes: Arc<Slopes>,
    objective: Objective,
}

impl Search<'_> {
    /// A proof on the part that `path` leads to; a refinement at every other level.
    fn tree(&mut self, region: &Region, path: &mut Vec<Split>) -> Option<Tree> {
        let zeros = vec![0.0; path.len()];
        if path.len() % 2 == 1 {
            return match region.refine(path).expect("fits") {
                None => Some(Tree::refine(Tree::leaf(vec![0.0], None, zeros))),
                Some(region) => self.below(&region, path).map(Tree::refine),
            };
        }
        self.below(region, path)
    }

    fn below(&mut self, region: &Region, path: &mut Vec<Split>) -> Option<Tree> {
        for attempt in 0..4 {
            let own = (attempt % 2 == 1).then(|| {
                self.slopes.entries().iter().map(|_| self.random.uniform(0.0, 1.0) as f32).collect::<Vec<f32>>()
            });
            let size = if attempt < 2 { 0.0 } else { 0.05 };
            let beta: Vec<f32> = path.iter().map(|_| self.random.uniform(0.0, size) as f32).collect();
            let leaf = Leaf { slopes: own.as_deref(), splits: path, multipliers: &beta };
            if region.lower_bounds(std::slice::from_ref(&self.objective), &[leaf]).expect("fits")[0] > 0.0 {
                return Some(Tree::leaf(vec![1.0], own, beta));
            }
        }
        if path.len() >= 14 {
            return None;
        }
        // The unstable neuron of the widest interval that is not split.
        let mut widest: Option<(f64, usize, usize)> = None;
        for layer in 0..region.prover().layers() {
            let (lower, upper) = region.bounds(layer);
            for neuron in region.unstable(layer) {
                let width = upper[neuron].min(-lower[neuron]);
                let taken = path.iter().any(|s| (s.layer, s.neuron) == (layer, neuron));
                if !taken && widest.is_none_or(|(w, ..)| width > w) {
                    widest = Some((width, layer, neuron));
                }
            }
        }
        let (_, layer, neuron) = widest?;
        let [active, inactive] = [true, false].map(|active| {
            path.push(Split { layer, neuron, active });
            let tree = self.tree(region, path);
            path.pop();
            tree
        });
        Some(Tree::split(layer, neuron, active?, inactive?))
    }
}

pub fn argmax(y: &[f64]) -> usize {
    (0..y.len()).max_by(|&a, &b| y[a].total_cmp(&y[b])).expect("an output")
}

/// A certificate that the network's answer at `center` is the answer in the box of `radius`, if the search finds one.
pub fn make(network: &ReluNetwork, center: &[f64], radius: f64, random: &mut Random) -> Option<Made> {
    let prover = Arc::new(Prover::new(network).expect("fits"));
    let label = argmax(values(network, center).last().expect("an output"));
    let (lower, upper): (Vec<f64>, Vec<f64>) = center.iter().map(|c| (c - radius, c + radius)).unzip();
    let property = Property::label(lower, upper, prover.outputs(), label);
    let first = Region::interval(&prover, &property.lower, &property.upper).expect("fits");
    let all = (0..prover.layers()).flat_map(|layer| first.unstable(layer).into_iter().map(move |n| (layer, n)));
    let slopes = Arc::new(Slopes::new(&prover, all.filter(|_| random.below(4) != 0).collect()).expect("ascending"));
    let mut starts = Vec::new();
    for &(layer, neuron) in slopes.entries().iter().filter(|entry| entry.0 > 0) {
        let own = (0..slopes.before(layer)).map(|_| random.uniform(0.0, 1.0) as f32).collect();
        if random.below(2) == 0 {
            starts.push(Start { layer, neuron, side: Side::Upper, slopes: own });
        }
    }
    let derivation = if random.below(4) == 0 { Derivation::Interval } else { Derivation::Crown(starts) };
    let region = Region::new(&prover, &property.lower, &property.upper, &slopes, derivation.clone()).expect("fits");
    let mut trees = Vec::new();
    for clause in &property.clauses {
        let objective = Objective::combination(prover.outputs(), &[(1.0, &clause[0])]);
        let mut search = Search { random, slopes: Arc::clone(&slopes), objective };
        trees.push(search.tree(&region, &mut Vec::new())?);
    }
    let about = About { dataset: Some("random".into()), index: Some(7), label: Some(label), ..About::default() };
    let slopes = slopes.entries().to_vec();
    let certificate = Certificate { network: network.digest(), property, derivation, slopes, trees, about };
    Some(Made { network: network.clone(), certificate, center: center.to_vec(), label })
}

/// Certificates, most of them with splits.
pub fn several(count: usize) -> Vec<Made> {
    let mut random = Random::new(31);
    let mut made = Vec::new();
    for seed in 0.. {
        if made.len() == count {
            break;
        }
        assert!(seed < 2000, "only {} certificates were found", made.len());
        let network = match seed % 5 {
            0 => kinds().remove(3).1,
            _ => dense(1000 + seed, &[3, 8, 6, 3]),
        };
        let n = network.input().elements();
        let center: Vec<f64> = (0..n).map(|_| random.uniform(-1.0, 1.0)).collect();
        let radius = [0.15, 0.3, 0.5][seed as usize % 3] * if n > 3 { 0.1 } else { 1.0 };
        if let Some(found) = make(&network, &center, radius, &mut random)
            && (made.len() % 8 == 0 || found.certificate.trees.iter().any(|tree| tree.leaves() > 1))
        {
            made.push(found);
        }
    }
    made
}

#[test]
fn what_is_written_is_read_and_proved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.certificate");
    let (mut split, mut refined, mut starts) = (0, 0, 0);
    for made in several(24) {
        made.certificate.write(&path).expect("written");
        let read = Certificate::read(&path).expect("read");
        assert_eq!(read, made.certificate);
        assert_eq!(read.to_bytes().expect("bytes"), std::fs::read(&path).expect("a file"));
        let checker = Checker::new(&made.network).expect("fits");
        let Verdict::Proved { margin, leaves } = checker.check(&read).expect("a certificate") else {
            panic!("not proved again")
        };
        assert!(margin > 0.0 && leaves == read.trees.iter().map(Tree::leaves).sum::<usize>());
        split += usize::from(leaves > read.trees.len());
        refined +=
            usize::from(read.trees.iter().any(|t| t.parts.contains(&smallbox::certify::certificate::Part::Refine)));
        starts += usize::from(matches!(&read.derivation, Derivation::Crown(starts) if !starts.is_empty()));
    }
    assert!(split > 10 && refined > 10 && starts > 5, "{split} with splits, {refined} refined, {starts} with starts");
}
