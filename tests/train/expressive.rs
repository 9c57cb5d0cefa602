//! The expressive losses between adversarial training (α = 0) and interval training (α = 1).

use smallbox::graph::Value;
use smallbox::nn::{Bound, Layer, Network};
use smallbox::train::attack::AttackSpec;
use smallbox::train::latent::TapsSpec;
use smallbox::train::methods::{Batch, method};
use smallbox::train::{BnStats, Config, MethodKind};

use crate::common::device;
use crate::common::random::Random;
use crate::common::run::run;
use crate::common::tensor::Tensor;

const ALPHAS: [f32; 3] = [0.0, 0.3, 1.0];

/// A batch of a network without batch norm; the values are clean logits, images, labels, ε and key.
fn batch<'a>(
    bound: &'a Bound<'a>,
    (attack, taps): (&'a AttackSpec, &'a TapsSpec),
    [clean, x, labels, epsilon, key]: [Value; 5],
    alpha: f32,
) -> Batch<'a> {
    Batch {
        network: bound,
        evaluated: bound,
        clean,
        bn_stats: BnStats::Clean,
        x,
        labels,
        epsilon,
        key,
        attack_radius: 1.0,
        lambda: 0.4,
        alpha,
        faithful_border: false,
        relu_shrinkage: 1.0,
        attack,
        annealing: true,
        piece: 0,
        taps,
    }
}

#[test]
fn mixtures_lie_between_their_ends() {
    let layers = vec![
        Layer::Conv2d { features: 3, kernel: 3, stride: 2, padding: 1 },
        Layer::Relu,
        Layer::Flatten,
        Layer::Linear { outputs: 6 },
        Layer::Relu,
        Layer::Linear { outputs: 4 },
    ];
    let network = Network::new("tiny", [1, 7, 7], 4, layers).expect("the layers fit");
    let (attack, taps) = (AttackSpec::training(3, 0.5), Config::default().taps());
    let specs = (&attack, &taps);
    device::each(|session| {
        let random = &mut Random::new(21);
        let got = run(session, |c| {
            let parameters =
                network.parameters().iter().map(|p| c.input(&random.tensor(p.shape.dims(), -0.5, 0.5))).collect();
            let bound = Bound::with_values(&network, parameters);
            let x = c.input(&random.tensor([6, 1, 7, 7], 0.0, 1.0));
            let labels = c.labels(&random.labels(6, 4));
            let epsilon = c.input(&Tensor::filled([1], 0.1));
            let key = c.labels(&[1, 2, 3, 4]);
            let clean = bound.forward(&mut c.graph, x)?;
            for attack_radius in [0.5, 2.0] {
                let batch = Batch { attack_radius, ..batch(&bound, specs, [clean, x, labels, epsilon, key], 0.3) };
                let robust = method(MethodKind::Pgd).robust_loss(&mut c.graph, &batch)?;
                c.output(&format!("pgd within {attack_radius}"), robust.loss);
            }
            for kind in MethodKind::ALL {
                for alpha in ALPHAS {
                    let batch = batch(&bound, specs, [clean, x, labels, epsilon, key], alpha);
                    let robust = method(kind).robust_loss(&mut c.graph, &batch)?;
                    c.output(&format!("{} {alpha}", kind.name()), robust.loss);
                }
            }
            Ok(())
        });
        let loss = |kind: MethodKind, alpha: f32| got.tensor(&format!("{} {alpha}", kind.name())).data[0];
        let (low, high) = (loss(MethodKind::Pgd, 0.3), loss(MethodKind::Ibp, 0.3));
        // Losses of a few units from sums of some hundred products: 1e-4 is far above rounding, and far below what is told apart.
        let same = |a: f64, b: f64| (a - b).abs() < 1e-4;
        assert!(high - low > 0.1, "{low} to {high}");
        for kind in [MethodKind::CcIbp, MethodKind::MtlIbp, MethodKind::ExpIbp] {
            let [at_0, between, at_1] = ALPHAS.map(|alpha| loss(kind, alpha));
            assert!(same(at_0, low) && same(at_1, high), "{}: {at_0}, {at_1}; {low}, {high}", kind.name());
            assert!(low + 1e-3 < between && between < high - 1e-3, "{}: {between}", kind.name());
        }
        let [cc, mtl, exp] = [MethodKind::CcIbp, MethodKind::MtlIbp, MethodKind::ExpIbp].map(|kind| loss(kind, 0.3));
        assert!(same(mtl, 0.7 * low + 0.3 * high), "{mtl}");
        // Cross-entropy is convex in the logits, and a geometric mean is below the arithmetic one.
        assert!(cc < mtl + 1e-4 && exp < mtl + 1e-4, "{cc}, {exp}, {mtl}");
        // α means nothing to the others.
        for kind in MethodKind::ALL.into_iter().filter(|kind| !kind.is_expressive()) {
            assert_eq!(loss(kind, 0.0), loss(kind, 1.0), "{}", kind.name());
        }
        // An attack that may go further finds worse points.
        let [near, far] = [0.5, 2.0].map(|radius| got.tensor(&format!("pgd within {radius}")).data[0]);
        assert!(near + 1e-3 < low && low + 1e-3 < far, "{near}, {low}, {far}");
        // A small box is a part of the whole one.
        assert!(loss(MethodKind::Sabr, 0.3) < high);
    });
}
