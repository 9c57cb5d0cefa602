//! The attack's bookkeeping: which samples are found, which iterate counts, when the attack is over.

use smallbox::ops::{self, AttackProgress};

use crate::common::cases::EXTENTS;
use crate::common::close::{Closeness, assert_close, compare};
use crate::common::device;
use crate::common::oracle::{Reference, layout, loss};
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;

/// Samples that share a flag.
const GROUP: usize = 64;

/// Logits with ties and with exponentials beyond f32, labels, and a state: (found, highest loss).
struct Before {
    z: Tensor,
    labels: Vec<u32>,
    state: Tensor,
}

impl Before {
    /// With `all` every sample of the first group was found before.
    fn new(seed: u64, [n, k]: [usize; 2], all: bool) -> Before {
        let random = &mut Random::new(seed);
        let mut z = random.tensor([n, k], -5.0, 5.0);
        z.data[..k].fill(2.0);
        z.data[(n - 1) * k] = 1000.0;
        let guesses = random.labels(n, k);
        // Half of the samples are classified rightly.
        let labels: Vec<u32> =
            layout::argmax(&z).into_iter().zip(guesses).map(|(best, g)| if g % 2 == 0 { best } else { g }).collect();
        let losses = loss::cross_entropy(&z, &labels).value.data;
        let found = (0..n).map(|i| f64::from(random.below(3) == 0 || (all && i < GROUP)));
        let found: Vec<f64> = found.collect();
        // So far from the iterate's loss that rounding does not decide.
        let highest = losses.iter().map(|loss| f64::from((loss + [-0.5, 0.5][random.below(2)]) as f32));
        let highest: Vec<f64> = highest.collect();
        Before { z, labels, state: Tensor::new([2, n], [found, highest].concat()) }
    }

    fn wrong(&self) -> Vec<f64> {
        layout::argmax(&self.z).iter().zip(&self.labels).map(|(best, label)| f64::from(best != label)).collect()
    }

    /// The state behind the iterate and whether it is chosen, by sample; with `first` nothing came before.
    fn after(&self, first: bool) -> [Reference; 2] {
        let n = self.labels.len();
        let loss = loss::cross_entropy(&self.z, &self.labels);
        let (was, highest) = self.state.data.split_at(n);
        let found: Vec<f64> =
            self.wrong().iter().zip(was).map(|(&wrong, &was)| if first { wrong } else { wrong.max(was) }).collect();
        let higher = |i: usize| first || loss.value.data[i] > highest[i];
        let state = Reference::elements(&[2, n], loss.terms, |i| match i.checked_sub(n) {
            None => (found[i], 0.0),
            Some(i) if higher(i) => (loss.value.data[i], loss.scale[i]),
            Some(i) => (highest[i], 0.0),
        });
        let chosen = (0..n).map(|i| if higher(i) { 1.0 } else { found[i] });
        [state, Reference::exact(Tensor::new([n], chosen.collect::<Vec<f64>>()))]
    }
}

#[test]
fn follows_the_best_iterate() {
    device::each(|session| {
        let (mut groups_done, mut groups_open) = (0, 0);
        for e in EXTENTS {
            for (shape, all) in [([e, 10], false), ([e, 3], true), ([3, e], false)] {
                for first in [false, true] {
                    let before = Before::new(e as u64, shape, all);
                    let n = shape[0];
                    let got = run(session, |c| {
                        let [z, labels] = [c.input(&before.z), c.labels(&before.labels)];
                        let state = (!first).then(|| c.input(&before.state));
                        let AttackProgress { gradient, state, chosen, done } =
                            ops::attack_progress(&mut c.graph, z, labels, state)?;
                        for (name, v) in [("gradient", gradient), ("state", state), ("chosen", chosen), ("done", done)]
                        {
                            c.output(name, v);
                        }
                        Ok(())
                    });
                    let context = |what: &str| format!("{what} for N, K = {shape:?}, first: {first}");
                    let [state, chosen] = before.after(first);
                    let one = Tensor::filled([n], 1.0);
                    let gradient = loss::cross_entropy_backward(&before.z, &before.labels, &one);
                    assert_close(&context("gradient"), &got.tensor("gradient"), &gradient, Closeness::Rounded);
                    assert_close(&context("state"), &got.tensor("state"), &state, Closeness::Rounded);
                    assert_close(&context("chosen"), &got.tensor("chosen"), &chosen, Closeness::Exact);
                    let found = &state.value.data[..n];
                    assert_eq!(&got.tensor("state").data[..n], found, "{}", context("found"));
                    let done: Vec<f64> =
                        found.chunks(GROUP).map(|group| f64::from(group.iter().all(|&f| f == 1.0))).collect();
                    assert_eq!(got.tensor("done").data, done, "{}", context("done"));
                    groups_done += done.iter().filter(|&&done| done == 1.0).count();
                    groups_open += done.iter().filter(|&&done| done == 0.0).count();
                }
            }
        }
        assert!(groups_done > 0 && groups_open > 0, "both happen: {groups_done}, {groups_open}");
    });
}

#[test]
fn the_last_iterate_counts_for_what_it_finds_alone() {
    device::each(|session| {
        for e in EXTENTS {
            for shape in [[e, 10], [3, e]] {
                let before = Before::new(e as u64, shape, false);
                let n = shape[0];
                let got = run(session, |c| {
                    let [z, labels, state] = [c.input(&before.z), c.labels(&before.labels), c.input(&before.state)];
                    let (found, loss) = ops::attack_outcome(&mut c.graph, z, labels, state)?;
                    c.output("found", found);
                    c.output("loss", loss);
                    Ok(())
                });
                let found: Vec<f64> =
                    before.wrong().iter().zip(&before.state.data).map(|(wrong, was)| wrong.max(*was)).collect();
                assert_eq!(got.tensor("found").data, found, "{shape:?}");
                assert_eq!(got.tensor("loss").data, before.state.data[n..], "{shape:?}");
            }
        }
    });
}

/// What a kernel would give that forgets what came before, or takes any iterate, is not what the test accepts.
#[test]
fn a_forgotten_state_is_noticed() {
    let before = Before::new(257, [257, 10], false);
    let ([right, chosen], [wrong, always]) = (before.after(false), before.after(true));
    assert!(compare(&wrong.value, &right, Closeness::Rounded).is_err());
    assert!(compare(&always.value, &chosen, Closeness::Exact).is_err());
}
