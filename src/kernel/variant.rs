//! The kernels that can do one piece of work. All of them add the terms of an element in the same order: which one runs changes the
//! time that it takes, not what is computed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::GpuLimits;

/// Which kernel of a family does the work of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// One element per invocation: the baseline of speed measurements and a second oracle.
    Plain,
    /// A large register tile per invocation, no workgroup memory.
    Register {
        /// Invocations of a workgroup.
        group: u32,
    },
    /// Tiles in workgroup memory.
    Tiled(Tile),
    /// The same of operands that are read four words at a time.
    Wide(Tile),
}

/// How a workgroup shares a tile of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tile {
    /// Invocations along the rows and the columns.
    pub group: [u32; 2],
    /// Vectors of four rows and of four columns that each computes, 1 or 2.
    pub vectors: [u32; 2],
    /// Depth that is in workgroup memory at once, a multiple of 4.
    pub depth: u32,
    /// Vectors that a row in workgroup memory is longer than needed.
    pub pad: u32,
}

impl Tile {
    const fn new(group: [u32; 2], vectors: [u32; 2], depth: u32, pad: u32) -> Tile {
        Tile { group, vectors, depth, pad }
    }

    /// Rows and columns of the product.
    pub fn extent(&self) -> [usize; 2] {
        [0, 1].map(|axis| 4 * (self.group[axis] * self.vectors[axis]) as usize)
    }

    /// Invocations of a workgroup.
    pub fn invocations(&self) -> u32 {
        self.group[0] * self.group[1]
    }

    /// Workgroup memory for so many arrays of rows and of columns.
    pub fn bytes(&self, arrays: [u32; 2]) -> u32 {
        let of = |axis: usize| arrays[axis] * self.depth * (self.group[axis] * self.vectors[axis] + self.pad) * 16;
        of(0) + of(1)
    }
}

/// The tiles, small ones first.
pub const TILES: [Tile; 9] = [
    Tile::new([8, 8], [1, 1], 8, 1),
    Tile::new([8, 8], [2, 1], 8, 1),
    Tile::new([8, 8], [2, 2], 8, 1),
    Tile::new([16, 16], [1, 1], 16, 1),
    Tile::new([16, 8], [2, 1], 8, 1),
    Tile::new([16, 16], [2, 1], 8, 1),
    Tile::new([8, 16], [2, 2], 8, 1),
    Tile::new([16, 16], [2, 2], 8, 1),
    Tile::new([16, 16], [2, 2], 16, 0),
];

/// Of those, the ones that there is a [`Variant::Wide`] of.
pub const WIDE_TILES: [Tile; 6] = [TILES[0], TILES[2], TILES[3], TILES[5], TILES[6], TILES[7]];

impl Variant {
    /// Those that may be fastest on an adapter, without a look at the work. On a CPU the rule's is: to compile another takes its driver longer
    /// than it could ever save.
    pub fn candidates(limits: &GpuLimits) -> Vec<Variant> {
        if limits.software {
            return Vec::new();
        }
        TILES.map(Variant::Tiled).into_iter().chain(WIDE_TILES.map(Variant::Wide)).collect()
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Plain => f.write_str("plain"),
            Variant::Register { group } => write!(f, "register, groups of {group}"),
            Variant::Tiled(tile) | Variant::Wide(tile) => {
                let [rows, columns] = tile.extent();
                write!(f, "tiles of {rows}×{columns}×{}, {} invocations", tile.depth, tile.invocations())?;
                f.write_str(if matches!(self, Variant::Wide(_)) { ", four words a load" } else { "" })
            }
        }
    }
}
