//! Schedules and buffers.

use smallbox::error::{Error, Result};
use smallbox::graph::plan::{Step, Storage};
use smallbox::graph::{Graph, Plan, Value};
use smallbox::ops;
use smallbox::shape::TensorType;
use smallbox::train::step::{Phase, plan_step, step_graph};
use smallbox::train::{Config, MethodKind};

use crate::common::device;
use crate::common::run::{Case, run_planned};

fn input(g: &mut Graph, name: &str, shape: &[usize]) -> Value {
    g.input(name, TensorType::f32(shape)).expect("a new name")
}

/// Every slot belongs to one value at a time: from the step that writes it to the last step that reads it. Recomputed here from
/// the plan's steps alone: a step may neither write two operands to one slot nor overwrite what it reads, and a read
/// must find what the latest writer of the slot left, with the same number of words.
fn check_slots(plan: &Plan) -> Result<(), String> {
    // The type and writer of what each slot holds, and who has read since.
    let mut holds: Vec<Option<(usize, usize)>> = vec![None; plan.slots.len()];
    // Values are told apart by (step, output).
    for (position, step) in plan.steps.iter().enumerate() {
        let name = step.op.name();
        for (place, ty) in step.inputs.iter().zip(&step.signature.inputs) {
            if let Storage::Slot(slot) = *place {
                let Some((writer, words)) = holds[slot] else {
                    return Err(format!("step {position} ({name}) reads slot {slot}, which nobody wrote"));
                };
                if words != ty.elements() {
                    return Err(format!(
                        "step {position} ({name}) reads {} words of slot {slot}, where step {writer} left {words}",
                        ty.elements()
                    ));
                }
            }
        }
        let mut written = Vec::new();
        for (o, (place, ty)) in step.outputs.iter().zip(&step.signature.outputs).enumerate() {
            match *place {
                Storage::Slot(slot) => {
                    if step.inputs.contains(place) || written.contains(place) {
                        return Err(format!("step {position} ({name}) overwrites slot {slot}, which it uses"));
                    }
                    if ty.elements() > plan.slots[slot] {
                        return Err(format!("step {position} ({name}) writes beyond slot {slot}"));
                    }
                    written.push(*place);
                    holds[slot] = Some((position, ty.elements()));
                }
                Storage::State(_) if step.op.in_place().iter().any(|(output, _)| *output == o) => {}
                other => return Err(format!("step {position} ({name}) writes to {other:?}")),
            }
        }
    }
    for (named, place) in &plan.outputs {
        if let Storage::Slot(slot) = place
            && holds[*slot].is_none_or(|(_, words)| words != named.ty.elements())
        {
            return Err(format!("output {} is not what slot {slot} holds at the end", named.name));
        }
    }
    Ok(())
}

/// A chain whose values are all of different lengths, so that a slot shared by two of them at once cannot go unnoticed; with
/// values that live long across short-lived ones.
fn ladder() -> Result<Graph> {
    let mut g = Graph::new();
    let mut sums = Vec::new();
    for rung in 1..=12usize {
        let x = input(&mut g, &format!("x{rung}"), &[rung * 100]);
        let a = ops::scale(&mut g, x, 2.0)?;
        let b = ops::affine(&mut g, a, 1.0, 1.0)?;
        let c = ops::mul(&mut g, a, b)?;
        sums.push(ops::sum_all(&mut g, c)?);
    }
    let mut total = sums[0];
    for &sum in &sums[1..] {
        total = ops::add(&mut g, total, sum)?;
    }
    g.output("total", total);
    Ok(g)
}

#[test]
fn buffers_are_reused_and_never_shared_by_values_alive_at_once() -> Result<()> {
    let plan = Plan::unfused(ladder()?)?;
    check_slots(&plan).unwrap();
    let separate: usize = plan.steps.iter().flat_map(|s| &s.signature.outputs).map(|t| t.bytes()).sum();
    assert!(plan.slot_bytes() < separate / 4, "{} of {separate} bytes", plan.slot_bytes());
    Ok(())
}

#[test]
fn plans_of_training_steps_keep_their_values_apart() {
    for method in MethodKind::ALL {
        let config = Config { method, batch: 4, attack_steps: 3, taps_steps: 3, ..Config::default() };
        let network = smallbox::nn::architecture("cnn3", [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
        for (natural, annealing) in [(true, false), (false, true), (false, false)] {
            let phase = Phase { natural, robust: true, annealing };
            let plan = plan_step(&network, &config, phase).unwrap();
            check_slots(&plan).unwrap_or_else(|what| panic!("{} {phase:?}: {what}", method.name()));
        }
    }
}

/// Nodes of one pass become one step, each state is updated after all who read its old content, and slots are kept apart; so much is
/// gone from a step of training with batch norms.
#[test]
fn passes_of_a_training_step() {
    let config = Config { method: MethodKind::Sabr, batch: 4, attack_steps: 2, ..Config::default() };
    let network = smallbox::nn::architecture("cnn7", [1, 28, 28], 10, &[0.1], &[0.3]).unwrap();
    let phase = Phase { natural: true, robust: true, annealing: true };
    let plan = plan_step(&network, &config, phase).unwrap();
    check_slots(&plan).unwrap();
    let count = |name: &str| plan.steps.iter().filter(|s| s.op.name() == name).count();
    assert!(count("elementwise") > 20, "{} passes", count("elementwise"));
    // A large one alone stands between ops of other kinds.
    let large = |s: &&Step| s.signature.outputs.iter().any(|t| t.elements() > 50_000);
    let alone = plan.steps.iter().filter(large).filter(|s| ["binary", "unary", "expand"].contains(&s.op.name()));
    let unfused = Plan::unfused(step_graph(&network, &config, phase).unwrap()).unwrap();
    let before = unfused.steps.iter().filter(large).filter(|s| ["binary", "unary", "expand"].contains(&s.op.name()));
    let (alone, before) = (alone.count(), before.count());
    assert!(10 * alone <= before, "{alone} of {before}");
}

/// The check itself must find a slot given away too early.
#[test]
fn a_slot_given_away_too_early_is_noticed() -> Result<()> {
    let mut plan = Plan::unfused(ladder()?)?;
    // Step 1 of the ladder reads what step 0 wrote, and step 2 reads it again.
    let [first, second] = [0, 1].map(|s| plan.steps[s].outputs[0]);
    assert_ne!(first, second);
    plan.steps[1].outputs[0] = first;
    assert!(check_slots(&plan).unwrap_err().contains("overwrites"));
    let mut plan = Plan::unfused(ladder()?)?;
    let late = plan.steps.len() - 1;
    plan.steps[late].inputs[0] = Storage::Slot(plan.slots.len());
    plan.slots.push(64);
    assert!(check_slots(&plan).unwrap_err().contains("nobody wrote"));
    Ok(())
}

#[test]
fn what_no_output_needs_is_not_planned() -> Result<()> {
    let mut g = Graph::new();
    let x = input(&mut g, "x", &[8]);
    let used = ops::scale(&mut g, x, 2.0)?;
    let dead = ops::mul(&mut g, used, used)?;
    ops::sum_all(&mut g, dead)?;
    g.output("used", used);
    let plan = Plan::new(g)?;
    assert_eq!(plan.graph_nodes, 3);
    assert_eq!(plan.steps.iter().map(|s| s.op.name()).collect::<Vec<_>>(), ["unary"]);
    Ok(())
}

/// A gradient program without the loss as output does not compute the loss.
#[test]
fn a_gradient_does_not_pay_for_the_value() -> Result<()> {
    let mut g = Graph::new();
    let x = input(&mut g, "x", &[8]);
    let square = ops::mul(&mut g, x, x)?;
    let loss = ops::sum_all(&mut g, square)?;
    let grad = ops::gradients(&mut g, loss, &[x])?[0].expect("depends on x");
    g.output("grad", grad);
    let plan = Plan::new(g)?;
    let planned = format!("{:?}", plan.steps);
    assert!(!planned.contains("Reduce"), "{planned}");
    Ok(())
}

#[test]
fn inputs_are_kept_even_if_unused() -> Result<()> {
    let mut g = Graph::new();
    input(&mut g, "unused", &[3]);
    let x = input(&mut g, "x", &[2]);
    let y = ops::scale(&mut g, x, 2.0)?;
    g.output("y", y);
    let plan = Plan::new(g)?;
    assert_eq!((plan.input("unused"), plan.input("x"), plan.input("y")), (Some(0), Some(1), None));
    Ok(())
}

#[test]
fn a_state_read_after_its_update_is_an_error() -> Result<()> {
    let mut g = Graph::new();
    let state = g.state("s", TensorType::f32([4]))?;
    let next = ops::scale(&mut g, state, 2.0)?;
    ops::assign(&mut g, state, next)?;
    let late = ops::affine(&mut g, state, 1.0, 1.0)?;
    g.output("late", late);
    assert!(message(Plan::new(g)).contains("'s', whose old content is read later"));
    Ok(())
}

#[test]
fn a_state_updated_twice_is_an_error() -> Result<()> {
    let mut g = Graph::new();
    let state = g.state("s", TensorType::f32([4]))?;
    let x = input(&mut g, "x", &[4]);
    ops::assign(&mut g, state, x)?;
    ops::assign(&mut g, state, x)?;
    assert!(message(Plan::new(g)).contains("'s' twice"));
    Ok(())
}

#[test]
fn only_states_can_be_updated() -> Result<()> {
    let mut g = Graph::new();
    let [x, y] = ["x", "y"].map(|n| input(&mut g, n, &[4]));
    ops::assign(&mut g, x, y)?;
    assert!(message(Plan::new(g)).contains("not a state"));
    // An update that nothing carries out.
    let mut g = Graph::new();
    let state = g.state("s", TensorType::f32([4]))?;
    let next = ops::scale(&mut g, state, 2.0)?;
    g.update(state, next);
    assert!(message(Plan::new(g)).contains("'s' :="));
    Ok(())
}

fn message(plan: Result<Plan>) -> String {
    match plan {
        Err(error @ Error::Shape { .. }) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("the plan must be refused"),
    }
}

/// Costs of a linear layer: two operations per multiply-add; every operand crosses memory once.
#[test]
fn costs_are_known_before_anything_runs() -> Result<()> {
    let mut g = Graph::new();
    let [x, w] = [input(&mut g, "x", &[5, 7]), input(&mut g, "w", &[3, 7])];
    let y = ops::linear(&mut g, x, w, None)?;
    g.output("y", y);
    let plan = Plan::new(g)?;
    assert_eq!(plan.cost().flops, 2 * 5 * 7 * 3);
    assert_eq!(plan.cost().bytes, 4 * (5 * 7 + 3 * 7 + 5 * 3));
    assert_eq!(plan.source_bytes(), 4 * (5 * 7 + 3 * 7));
    Ok(())
}

/// What depends on nothing is computed with the plan, if it is small and every device would make the same bits of it.
#[test]
fn small_values_that_depend_on_nothing_are_constants() -> Result<()> {
    let build = |n: usize| {
        let mut g = Graph::new();
        let x = input(&mut g, "x", &[1, 3, n]);
        let one = ops::fill(&mut g, 3.0, [3])?;
        let scaled = ops::scale(&mut g, one, 1.0 / 7.0)?;
        let two = ops::fill(&mut g, 2.0, [3])?;
        let root = ops::unary(&mut g, ops::UnaryKind::Sqrt, two)?;
        let spread = ops::expand(&mut g, scaled, 1, n)?;
        // Read as a whole by an op that takes part in no pass.
        let spread = ops::transpose(&mut g, spread, &[2, 1, 0])?;
        let turned = ops::transpose(&mut g, x, &[2, 1, 0])?;
        for (name, v) in [("scaled", scaled), ("root", root), ("spread", spread), ("turned", turned)] {
            g.output(name, v);
        }
        Plan::new(g)
    };
    let names = |plan: &Plan| plan.steps.iter().map(|step| step.op.name()).collect::<Vec<_>>();
    let small = build(4)?;
    assert_eq!(names(&small), ["unary", "transpose", "transpose"], "the root and what nobody folds");
    let scaled = small.outputs.iter().find(|(named, _)| named.name == "scaled").map(|(_, place)| *place);
    let Some(Storage::Constant(scaled)) = scaled else { panic!("scaled is in {scaled:?}") };
    let words = |n: usize| vec![(3.0f32 * (1.0 / 7.0)).to_bits(); n];
    assert_eq!(small.constants[scaled][..], words(3)[..]);
    assert!(small.constants.iter().any(|constant| constant[..] == words(12)[..]), "what is made of it is one, too");
    check_slots(&small).map_err(|e| Error::device("plan", e))?;
    assert_eq!(
        names(&build(1000)?),
        ["unary", "expand", "transpose", "transpose"],
        "3 000 words are computed each time"
    );
    Ok(())
}

/// They are the words that the ops make, on every device.
#[test]
fn constants_are_what_the_ops_make() {
    device::each(|session| {
        let build = |c: &mut Case| {
            let values = ops::fill(&mut c.graph, 0.1, [5])?;
            let scaled = ops::scale(&mut c.graph, values, 0.7)?;
            let spread = ops::expand(&mut c.graph, scaled, 2, 3)?;
            for (name, v) in [("values", values), ("scaled", scaled), ("spread", spread)] {
                c.output(name, v);
            }
            Ok(())
        };
        let [folded, apart] = [Plan::new, Plan::unfused].map(|plan| run_planned(session, 1, plan, build));
        assert_eq!((folded.steps().len(), apart.steps().len()), (0, 3));
        assert_eq!(folded.everything(), apart.everything());
    });
}
