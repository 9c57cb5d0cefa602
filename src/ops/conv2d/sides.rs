//! Which side of a convolution an operand is on.

use crate::graph::Signature;
use crate::kernel::{Layout, Layouts};

/// The side of each operand of an op, as far as it has so many: [`X`], [`Y`] or [`NEITHER`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) inputs: &'static [Option<usize>],
    pub(crate) outputs: &'static [Option<usize>],
}

/// What the convolution reads, a gradient for it, or what has its elements.
pub(crate) const X: Option<usize> = Some(0);
/// What it makes, or a gradient for that.
pub(crate) const Y: Option<usize> = Some(1);
/// Weights and biases.
pub(crate) const NEITHER: Option<usize> = None;

impl Sides {
    /// The operands of `signature`, inputs before outputs.
    fn operands(&self, signature: &Signature) -> impl Iterator<Item = Option<usize>> {
        let inputs = self.inputs.iter().take(signature.inputs.len());
        inputs.chain(self.outputs.iter().take(signature.outputs.len())).copied()
    }

    /// What a call takes whose sides can be in blocks if `takes` says so, and which gains by that with `gain`.
    pub(crate) fn layouts(&self, signature: &Signature, (takes, gain): ([bool; 2], bool)) -> Layouts {
        let groups = self.operands(signature).map(|side| side.filter(|&side| takes[side])).collect();
        Layouts { groups, images: None, gain }
    }

    /// The layouts of x and y where the operands have `layouts`.
    pub(crate) fn of(&self, signature: &Signature, layouts: &[Layout]) -> [Layout; 2] {
        let mut of_sides = [Layout::Planes; 2];
        for (side, &layout) in self.operands(signature).zip(layouts) {
            if let Some(side) = side {
                of_sides[side] = layout;
            }
        }
        of_sides
    }
}
