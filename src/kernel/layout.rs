//! Orders in which a native call can have the channels of images.

/// How images `[N,C,H,W]` lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[N,C,H,W]`.
    #[default]
    Planes,
    /// `[N,C/L,H,W,L]`, where L channels are the lanes of a vector and C is a multiple of L: the same words, each image's in another
    /// order. A kernel whose lanes are channels loads and stores whole vectors there, one after the other.
    Blocks,
}

/// Which layouts a native call takes. What a device feeds, keeps or shows to others is in planes; in between it chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layouts {
    /// For each operand, inputs before outputs, the group of operands that it shares its layout with; `None` where it is in planes only.
    pub groups: Vec<Option<usize>>,
    /// Samples, channels and pixels of the images that blocks are allowed for; `None` if that makes no difference.
    pub images: Option<[usize; 3]>,
    /// Whether the call is faster with blocks; else it takes them where others gain.
    pub gain: bool,
}

impl Layouts {
    /// Of a call of so many operands that takes planes only.
    pub fn planes(operands: usize) -> Layouts {
        Layouts { groups: vec![None; operands], ..Layouts::default() }
    }
}
