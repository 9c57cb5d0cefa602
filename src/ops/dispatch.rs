//! What several ops need to describe their dispatches: cutting work to an adapter's limits, and the choice of a kernel's variant.

use super::shaders::SUM_PARTIALS;
use crate::error::{Error, Result};
use crate::kernel::{Bind, Dispatch, GpuCall, GpuLimits, Operand, Shader, TILES, Tile, Variant};

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
    chunks_of_work(name, items, words, 0, limits)
}

/// The same for work of `flops` operations per item, whose ranges are short dispatches too.
pub(crate) fn chunks_of_work(
    name: &str,
    items: usize,
    words: &[usize],
    flops: u64,
    limits: &GpuLimits,
) -> Result<Vec<(usize, usize)>> {
    limits
        .chunks(items, words, flops)
        .ok_or_else(|| too_large(name, format_args!("an operand of {items} × {words:?} words")))
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

/// A matrix product, as far as the choice of its kernel goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    /// Elements of the result.
    pub(crate) rows: usize,
    /// Elements of a row of the result.
    pub(crate) columns: usize,
    /// Such products at once.
    pub(crate) parts: usize,
    /// Tiles of operands along the rows and the columns that its tiled kernel keeps.
    pub(crate) arrays: [u32; 2],
    /// Whether there is a kernel that reads them four words at a time.
    pub(crate) wide: bool,
}

impl Matrix {
    /// The kernel that `limits` ask for, if it suits; else by a rule.
    pub(crate) fn variant(&self, limits: &GpuLimits) -> Variant {
        limits.variant.filter(|variant| self.suits(variant, limits)).unwrap_or_else(|| self.rule(limits))
    }

    fn suits(&self, variant: &Variant, limits: &GpuLimits) -> bool {
        let tile = match variant {
            Variant::Tiled(tile) => tile,
            Variant::Wide(tile) if self.wide => tile,
            Variant::Wide(_) => return false,
            Variant::Register { .. } | Variant::Plain => return true,
        };
        // A tile of twice the result, or more, is half empty where the next smaller one is not.
        let [rows, columns] = tile.extent();
        let empty = |extent: usize, of: usize| extent > SMALLEST_TILE && extent >= 2 * of;
        // A box has two sums per element: eight columns would take too many registers.
        let narrow = self.arrays == [1, 1] || tile.vectors[1] == 1;
        let fits = tile.bytes(self.arrays) <= limits.workgroup_bytes && tile.invocations() <= limits.invocations;
        narrow && fits && !empty(rows, self.rows) && !empty(columns, self.columns)
    }

    fn rule(&self, limits: &GpuLimits) -> Variant {
        if limits.software {
            // One vector of a core's: larger groups are no faster, and would be kernels of their own to compile.
            return Variant::Register { group: 8 };
        }
        // The largest that keeps the machine busy, else the smallest.
        let tiled = || TILES.iter().copied().filter(|&tile| self.suits(&Variant::Tiled(tile), limits));
        let filling = tiled().rev().find(|&tile| self.tiles(tile) >= FILLING_GROUPS);
        filling.or(tiled().next()).map_or(Variant::Register { group: 8 }, Variant::Tiled)
    }

    fn tiles(&self, tile: Tile) -> usize {
        let [rows, columns] = tile.extent();
        self.rows.div_ceil(rows) * self.columns.div_ceil(columns) * self.parts
    }

    /// Number of workgroups of all parts, and the constants that the variant's kernel needs beyond the product's.
    pub(crate) fn launch(&self, variant: Variant) -> (usize, Vec<Override>) {
        match variant {
            Variant::Tiled(tile) | Variant::Wide(tile) => {
                let of = |value: u32| f64::from(value);
                let mut constants = vec![
                    ("GROUP_M", of(tile.group[0])),
                    ("GROUP_N", of(tile.group[1])),
                    ("M_VECTORS", of(tile.vectors[0])),
                    ("DEPTH", of(tile.depth)),
                    ("PAD", of(tile.pad)),
                ];
                if self.arrays == [1, 1] {
                    constants.push(("N_VECTORS", of(tile.vectors[1])));
                }
                (self.tiles(tile), constants)
            }
            Variant::Register { group } => {
                let (most, columns) = REGISTER_TILE;
                // For fewer rows there are as few kernels as powers of two, where enough columns pay for compiling one.
                let few = self.columns < PAYING_COLUMNS;
                let rows = if few { most } else { self.rows.next_power_of_two().min(most) };
                let tiles = self.rows.div_ceil(rows) * self.columns.div_ceil(columns * group as usize);
                (tiles * self.parts, vec![("GROUP", f64::from(group)), ("ROWS", int(rows))])
            }
            Variant::Plain => ((self.rows * self.columns * self.parts).div_ceil(64), Vec::new()),
        }
    }
}

/// Elements that one invocation of a register-tiled kernel computes: at most so many rows, columns. Those of a workgroup have the rows in
/// common.
const REGISTER_TILE: (usize, usize) = (32, 8);

/// A product of fewer columns takes the kernel of most rows, however few it has.
const PAYING_COLUMNS: usize = 256;

/// Of two register-tiled kernels of the same sums the one for `limits`: the first lets each invocation read what belongs to its rows, the second
/// eight of a subgroup together (`SHARED` in `shaders/by_subgroup.wgsl`). That these are the first eight is known of CPUs only, whose
/// subgroups are vectors; a GPU need not fill a subgroup in order.
pub(crate) fn register_tiled([alone, shared]: [&'static Shader; 2], limits: &GpuLimits) -> &'static Shader {
    if limits.software && limits.subgroups >= 8 { shared } else { alone }
}

/// Side of the smallest tile.
const SMALLEST_TILE: usize = 32;

/// Workgroups that keep a GPU busy; below, smaller tiles give more of them.
const FILLING_GROUPS: usize = 128;

/// The dispatch that adds up parts of `count` elements each, every one of so many terms, from `scratch` into `to`.
pub(crate) fn sum_partials(
    scratch: Bind,
    to: Bind,
    (parts, terms, count): (usize, usize, usize),
    epilogue: SumEpilogue,
    limits: &GpuLimits,
) -> Result<Dispatch> {
    let shader = &SUM_PARTIALS;
    Ok(Dispatch {
        shader,
        binds: vec![scratch, epilogue.bias.map_or(scratch, |(bias, _)| bias), to],
        overrides: vec![
            ("PARTS", int(parts)),
            ("TERMS", int(terms)),
            ("COUNT", int(count)),
            ("N", int(epilogue.bias.map_or(1, |(_, n)| n))),
            ("BIAS", flag(epilogue.bias.is_some())),
            ("RELU", flag(epilogue.relu)),
        ],
        groups: grid(shader.name, count.div_ceil(64), limits)?,
    })
}

/// What happens to a sum of parts on its way out, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SumEpilogue {
    /// Adds element i mod n of a buffer.
    pub(crate) bias: Option<(Bind, usize)>,
    pub(crate) relu: bool,
}
