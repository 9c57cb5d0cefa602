//! How ε grows, the attack's step lengths, the spread of initial weights.

use serde_json::Value as Json;
use smallbox::nn::{Role, initial_values, shi_deviation};
use smallbox::train::attack::AttackSpec;
use smallbox::train::schedule::{EpsilonSchedule, LinearSchedule};

use super::{folder, json};

fn schedules() -> Option<Json> {
    Some(json(folder()?.join("schedules.json")))
}

fn numbers(list: &Json) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// Both sides compute in f64; a few roundings lie between them.
fn assert_equal(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 16.0 * f64::EPSILON * want.abs().max(1e-3), "{what}: {got}, expected {want}");
}

#[test]
fn epsilon_grows_as_stored() {
    let Some(stored) = schedules() else { return };
    let whole = |key: &str| stored[key].as_u64().expect("a step");
    let number = |key: &str| stored[key].as_f64().expect("a value");
    assert_eq!(number("v0"), 0.0, "ε grows from 0");
    let steps = numbers(&stored["t"]);
    let exponential = EpsilonSchedule::new(whole("t0"), whole("t1"), number("v1"));
    let linear = LinearSchedule { start: whole("t0"), end: whole("t1"), from: number("v0"), to: number("v1") };
    let wants = numbers(&stored["exp_beta4_mid0.25"]).into_iter().zip(numbers(&stored["linear"]));
    for (&t, (smooth, straight)) in steps.iter().zip(wants) {
        assert_equal(&format!("ε at step {t}"), exponential.at(t as u64), smooth);
        assert_equal(&format!("straight line at step {t}"), linear.at(t as u64), straight);
    }
}

#[test]
fn step_lengths_drop_as_stored() {
    let Some(stored) = schedules() else { return };
    for (count, lengths) in stored["pgd_step_sizes"].as_object().expect("an object by number of steps") {
        let want: Vec<f32> = numbers(lengths).into_iter().map(|l| l as f32).collect();
        let steps = count.parse().expect("a number of steps");
        assert_eq!(AttackSpec::training(steps, 0.5).step_lengths, want, "{count} steps");
    }
}

#[test]
fn initial_weights_spread_as_stored() {
    let Some(stored) = schedules() else { return };
    for (name, layers) in stored["ibp_init_std"].as_object().expect("an object by architecture") {
        // Indices and shapes are those of the network without batch norm.
        let own = if name == "cnn7" { "cnn7-no-bn" } else { name };
        let network = smallbox::nn::architecture(own, [1, 28, 28], 10, &[0.0], &[1.0]).expect("a known architecture");
        for layer in layers.as_array().expect("a list of layers") {
            let weight = format!("{}.weight", layer["layer"]);
            let parameter = network.parameters().iter().find(|p| p.name == weight);
            let parameter = parameter.unwrap_or_else(|| panic!("{name} has no {weight}"));
            let shape: Vec<usize> = numbers(&layer["shape"]).into_iter().map(|n| n as usize).collect();
            assert_eq!(parameter.shape.dims(), shape, "{name} {weight}");
            assert_eq!(parameter.fan_in as u64, layer["fan_in"].as_u64().expect("a fan-in"), "{name} {weight}");
            assert_equal(&weight, shi_deviation(parameter.fan_in), layer["std"].as_f64().expect("a deviation"));
        }
    }
}

/// What is drawn has the stated spread: mean and deviation within four standard errors.
#[test]
fn drawn_weights_have_their_deviation() {
    let network = smallbox::nn::architecture("cnn3", [1, 28, 28], 10, &[0.0], &[1.0]).expect("a known architecture");
    for ((name, values), parameter) in initial_values(&network, true, 7).iter().zip(network.parameters()) {
        assert_eq!(*name, parameter.name);
        let n = values.len() as f64;
        let deviation = if parameter.role == Role::Weight && !parameter.last {
            shi_deviation(parameter.fan_in)
        } else {
            let bound = 1.0 / (parameter.fan_in as f64).sqrt();
            assert!(values.iter().all(|&v| f64::from(v).abs() <= bound), "{name} leaves ±{bound}");
            bound / 3f64.sqrt()
        };
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() <= 4.0 * deviation / n.sqrt(), "{name}: mean {mean}");
        // Relative standard error of a sample deviation: at most 1/√(2n), that of a normal.
        assert!(
            (variance.sqrt() / deviation - 1.0).abs() <= 4.0 / (2.0 * n).sqrt() + 1.0 / n,
            "{name}: {}",
            variance.sqrt()
        );
    }
}
