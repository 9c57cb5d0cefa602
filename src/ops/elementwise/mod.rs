//! Several elementwise ops, with reductions of their results, in one pass over memory.
//!
//! The graph finds which nodes go together ([`Elementwise`]); here is the op that does their work. It keeps its parts as they are: their shapes
//! and costs. Its steps are written down as a short program: a shader gets it as constants, the native kernel carries all steps out on one block of
//! elements, which stays in the cache, after the other, several of them at once where it can. The operations and their order are those of the parts; the native kernel gives the
//! parts' bits, reductions included.

mod ahead;
mod blocks;
mod cpu;
mod gather;
mod gpu;
mod kernels;
mod lanes;
mod program;
mod sweep;

use std::sync::Arc;

pub(crate) use program::{Action, Lowering, Made};
#[cfg(test)]
pub(crate) use sweep::swept;

use program::{Program, known};

use super::adam::Adam;
use super::assign::{Assign, AssignWhere};
use super::binary::Binary;
use super::expand::Expand;
use super::reduce::Reduce;
use super::relu::Relu;
use super::relu_interval::{ReluInterval, ReluIntervalBackward};
use super::select::Select;
use super::simd::level;
use super::unary::Unary;
use crate::error::{Error, Result};
use crate::graph::{Cost, Elementwise, Link, Op, Part, Signature, traffic};
use crate::kernel::{GpuCall, GpuLimits, Layout, Layouts, NativeCall};
use crate::shape::{Shape, TensorType};
use gather::SHORT;

/// An op that can be written as steps over elements.
pub(crate) trait Steps: Op {
    /// Adds the steps and returns what the outputs are.
    fn steps(&self, at: &mut Lowering<'_>) -> Vec<Made>;
}

/// The steps of an op that has an [`Elementwise`].
fn steps_of(op: &dyn Op) -> &dyn Steps {
    let all = [
        known::<Adam>,
        known::<Assign>,
        known::<AssignWhere>,
        known::<Binary>,
        known::<Expand>,
        known::<Reduce>,
        known::<Relu>,
        known::<ReluInterval>,
        known::<ReluIntervalBackward>,
        known::<Select>,
        known::<Unary>,
    ];
    all.iter().find_map(|of| of(op)).unwrap_or_else(|| unreachable!("{} is joined, but not known here", op.name()))
}

/// The description of an op over `elements` elements whose inputs are read as `one_to_one` says.
pub(crate) fn describe(elements: usize, one_to_one: Vec<bool>, light: bool) -> Option<Elementwise> {
    Some(Elementwise { elements, one_to_one, reduces: None, light, join })
}

/// Does the work of its parts.
#[derive(Debug)]
struct Fused {
    parts: Vec<Part>,
    inputs: Vec<TensorType>,
    outputs: Vec<TensorType>,
    /// Pairs (output, input) that share their buffer.
    in_place: Vec<(usize, usize)>,
    elements: usize,
}

fn join(parts: Vec<Part>, inputs: Vec<TensorType>) -> Arc<dyn Op> {
    let (mut outputs, mut in_place) = (Vec::new(), Vec::new());
    for part in &parts {
        // Outputs are numbered part by part.
        outputs.extend(
            part.outputs.iter().zip(&part.signature.outputs).filter(|(o, _)| o.is_some()).map(|(_, t)| t.clone()),
        );
        for &(output, input) in part.op.in_place() {
            if let (Some(output), Link::Input(input)) = (part.outputs[output], part.inputs[input]) {
                in_place.push((output, input));
            }
        }
    }
    let elements = parts[0].op.elementwise(&parts[0].signature).map_or(0, |d| d.elements);
    Arc::new(Fused { parts, inputs, outputs, in_place, elements })
}

impl Fused {
    fn program(&self) -> Program {
        Program::new(&self.parts, &self.in_place, self.elements)
    }

    /// Samples, channels and pixels of the images that an operand shows the elements to be.
    fn images(&self) -> Option<[usize; 3]> {
        let types = self.inputs.iter().chain(&self.outputs).map(|ty| &ty.shape);
        let full: Vec<&Shape> = types.filter(|shape| shape.elements() == self.elements).collect();
        let of_rank = |rank: usize| full.iter().find(|shape| shape.rank() == rank);
        // A reduction by channels sees the pixels along one axis.
        of_rank(4).or_else(|| of_rank(3)).map(|shape| [shape[0], shape[1], shape.inner() / shape[1]])
    }
}

/// One loop where there is one for the program, else block by block.
fn native(program: Program, in_place: &[(usize, usize)]) -> NativeCall {
    sweep::call(&program).unwrap_or_else(|| cpu::call(program, in_place))
}

impl Op for Fused {
    fn name(&self) -> &'static str {
        "elementwise"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if inputs != self.inputs {
            return Err(Error::shape(self.name(), format!("{:?}", self.inputs), format!("{inputs:?}")));
        }
        Ok(self.outputs.clone())
    }

    fn in_place(&self) -> &[(usize, usize)] {
        &self.in_place
    }

    /// The arithmetic of the parts; every operand of the whole crosses memory once.
    fn cost(&self, signature: &Signature) -> Cost {
        let flops = self.parts.iter().map(|part| part.op.cost(&part.signature).flops).sum();
        Cost { flops, bytes: traffic(signature) }
    }

    fn gpu(&self, _signature: &Signature, limits: &GpuLimits) -> Result<GpuCall> {
        gpu::call(self, limits)
    }

    fn cpu(&self, _signature: &Signature) -> Result<NativeCall> {
        Ok(native(self.program(), &self.in_place))
    }

    fn layouts(&self, signature: &Signature) -> Layouts {
        let program = self.program();
        let images = if program.is_local() { None } else { self.images() };
        let allowed = match images {
            // Shorter runs are not reduced by lanes.
            Some(images) => {
                images[2] * level().lanes() >= SHORT && program.in_blocks(images, level().lanes()).is_some()
            }
            None => program.is_local(),
        };
        let full = |ty: &TensorType| (allowed && ty.elements() == self.elements).then_some(0);
        let groups = signature.inputs.iter().chain(&signature.outputs).map(full).collect();
        Layouts { groups, images, gain: false }
    }

    fn cpu_in(&self, _signature: &Signature, _layouts: &[Layout]) -> Result<NativeCall> {
        let program = self.program();
        let program = match self.images().filter(|_| !program.is_local()) {
            Some(images) => program.in_blocks(images, level().lanes()).expect("layouts that were offered"),
            None => program,
        };
        Ok(native(program, &self.in_place))
    }
}
