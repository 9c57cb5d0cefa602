//! What several ops need to describe their dispatches: cutting work to an adapter's limits, and the choice of a kernel's variant.

use crate::error::{Error, Result};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Operand, Shader};

/// Value of an `override` constant.
pub(crate) type Override = (&'static str, f64);

/// An integer as the value of an `override` constant.
pub(crate) fn int(value: usize) -> f64 {
    value as f64
}

/// A flag as the value of an `override` constant.
pub(crate) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// The error for work that can't be cut small enough for an adapter.
pub(crate) fn too_large(name: &str, what: impl std::fmt::Display) -> Error {
    Error::device("gpu", format!("{name}: {what} exceeds what this adapter can bind or launch at once"))
}

/// A grid of `groups` workgroups, folded.
pub(crate) fn grid(name: &str, groups: usize, limits: &GpuLimits) -> Result<[u32; 3]> {
    limits.fold(groups).ok_or_else(|| too_large(name, format_args!("a grid of {groups} workgroups")))
}

/// Ranges of `items` whose operands, of `words` per item, fit one binding.
pub(crate) fn chunks(name: &str, items: usize, words: &[usize], limits: &GpuLimits) -> Result<Vec<(usize, usize)>> {
    limits.chunks(items, words).ok_or_else(|| too_large(name, format_args!("an operand of {items} × {words:?} words")))
}

/// The words of `count` items from item `first` on, of `words` each.
pub(crate) fn part(operand: Operand, first: usize, count: usize, words: usize) -> Bind {
    Bind { operand, offset: first * words, words: count * words }
}

/// How an operand of an itemwise kernel is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    /// That many words belong to each item.
    Cut(Operand, usize),
    /// All of it is visible to every item.
    Whole(Operand),
}

/// A kernel that treats items independently of each other, one or more per invocation.
pub(crate) struct Itemwise<'a> {
    pub(crate) shader: &'static Shader,
    /// Number of items.
    pub(crate) items: usize,
    /// Items that one workgroup handles.
    pub(crate) per_group: usize,
    /// One entry per binding of the shader.
    pub(crate) spans: &'a [Span],
    /// Constants besides `COUNT`, the number of items of a dispatch.
    pub(crate) overrides: &'a [Override],
    /// Constant that tells a dispatch its first item, divided by the given number of items.
    pub(crate) offset: Option<(&'static str, usize)>,
}

impl Itemwise<'_> {
    /// As few dispatches as the limits allow.
    pub(crate) fn call(&self, limits: &GpuLimits) -> Result<GpuCall> {
        let name = self.shader.name;
        if u32::try_from(self.items).is_err() {
            return Err(too_large(name, format_args!("a tensor of {} elements", self.items)));
        }
        let words: Vec<usize> = self
            .spans
            .iter()
            .filter_map(|span| if let Span::Cut(_, words) = span { Some(*words) } else { None })
            .collect();
        let mut call = GpuCall::default();
        for (first, count) in chunks(name, self.items, &words, limits)? {
            let bind = |span: &Span| match *span {
                Span::Cut(operand, words) => part(operand, first, count, words),
                Span::Whole(operand) => Bind::all(operand),
            };
            let mut overrides = self.overrides.to_vec();
            overrides.push(("COUNT", int(count)));
            overrides.extend(self.offset.map(|(name, unit)| (name, int(first / unit))));
            call.dispatches.push(Dispatch {
                shader: self.shader,
                binds: self.spans.iter().map(bind).collect(),
                overrides,
                groups: grid(name, count.div_ceil(self.per_group), limits)?,
            });
        }
        Ok(call)
    }
}

/// A kernel of one f32 element per item and operand, 256 items per workgroup.
pub(crate) fn elementwise(
    shader: &'static Shader,
    elements: usize,
    spans: &[Span],
    overrides: &[Override],
    limits: &GpuLimits,
) -> Result<GpuCall> {
    Itemwise { shader, items: elements, per_group: 256, spans, overrides, offset: None }.call(limits)
}

/// [`Span::Cut`] with one word per item.
pub(crate) fn each(operand: Operand) -> Span {
    Span::Cut(operand, 1)
}

/// Which kernel of a family does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Tiles in workgroup memory, `tile` × `tile` invocations with 4 × 4 elements each.
    Tiled {
        /// Invocations along one side.
        tile: usize,
    },
    /// A large register tile per invocation, no workgroup memory.
    Register,
    /// One element per invocation.
    Plain,
}

impl Variant {
    /// The choice for a product of `rows` × `columns` elements, in `parts` parts, by a kernel that keeps `arrays` tiles.
    pub(crate) fn choose(limits: &GpuLimits, arrays: usize, rows: usize, columns: usize, parts: usize) -> Variant {
        let fits = |tile: usize| {
            arrays * tile * (tile + 1) * 16 <= limits.workgroup_bytes as usize
                && tile * tile <= limits.invocations as usize
        };
        let groups = |tile: usize| rows.div_ceil(4 * tile) * columns.div_ceil(4 * tile) * parts;
        if limits.plain {
            Variant::Plain
        } else if limits.software || !fits(8) {
            Variant::Register
        } else if fits(16) && groups(16) >= FILLING_GROUPS {
            Variant::Tiled { tile: 16 }
        } else {
            Variant::Tiled { tile: 8 }
        }
    }

    /// Number of workgroups for that product, and the constant that the variant's kernel needs beyond the product's.
    pub(crate) fn launch(self, rows: usize, columns: usize, parts: usize) -> (usize, Option<Override>) {
        match self {
            Variant::Tiled { tile } => {
                (rows.div_ceil(4 * tile) * columns.div_ceil(4 * tile) * parts, Some(("TILE", int(tile))))
            }
            Variant::Register => {
                let tiles = rows.div_ceil(REGISTER_TILE.0) * columns.div_ceil(REGISTER_TILE.1) * parts;
                // Few tiles: small groups, so that all cores get some.
                let group = if tiles < 512 { 8 } else { 32 };
                (tiles.div_ceil(group), Some(("GROUP", int(group))))
            }
            Variant::Plain => ((rows * columns * parts).div_ceil(64), None),
        }
    }
}

/// Elements that one invocation of a register-tiled kernel computes: rows, columns.
pub(crate) const REGISTER_TILE: (usize, usize) = (8, 16);

/// Workgroups that keep a GPU busy; below, smaller tiles give more of them.
const FILLING_GROUPS: usize = 128;
