//! Coefficients of a batch of objectives at one node: dense, or windows of an image that lie elsewhere for each objective.

use super::prover::Node;

/// Objectives of one batch, innermost in every array: one vector register of an AVX-512 machine.
pub(super) const LANES: usize = 8;

/// One number for each objective.
pub(super) type Lanes = [f64; LANES];

#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// Height and width of what is stored.
    pub(super) extent: [usize; 2],
    /// Place of the first stored pixel in the image, for each lane; `None`: the whole image is stored.
    pub(super) origin: Option<[[isize; 2]; LANES]>,
    /// `[H,W,C]` of [`Rows::extent`]. What lies outside the image is 0.
    pub(super) data: Vec<Lanes>,
}

impl Rows {
    pub(super) fn dense(node: &Node) -> Rows {
        Rows { extent: node.extent, origin: None, data: vec![[0.0; LANES]; node.elements()] }
    }

    /// One coefficient in each lane: that of `neurons[lane]` is `signs[lane]`; lanes past the last stay 0.
    pub(super) fn single(node: &Node, neurons: &[usize], signs: &[f64]) -> Rows {
        let [height, width] = node.extent;
        let windows = height * width > 1;
        let mut rows = match windows {
            true => Rows { extent: [1, 1], origin: Some([[0; 2]; LANES]), data: vec![[0.0; LANES]; node.channels] },
            false => Rows::dense(node),
        };
        for (lane, (&neuron, &sign)) in neurons.iter().zip(signs).enumerate() {
            let (channel, pixel) = (neuron / (height * width), neuron % (height * width));
            rows.data[channel][lane] = sign;
            if let Some(origin) = &mut rows.origin {
                origin[lane] = [(pixel / width) as isize, (pixel % width) as isize];
            }
        }
        rows
    }

    /// Calls `visit(lane, first stored element, first element of the image)` for every pixel of every lane inside the image.
    pub(super) fn inside(&self, node: &Node, mut visit: impl FnMut(usize, usize, usize)) {
        let origins = self.origin.unwrap_or([[0; 2]; LANES]);
        for (lane, origin) in origins.iter().enumerate() {
            for y in 0..self.extent[0] {
                for x in 0..self.extent[1] {
                    let (row, column) = (origin[0] + y as isize, origin[1] + x as isize);
                    if (0..node.extent[0] as isize).contains(&row) && (0..node.extent[1] as isize).contains(&column) {
                        let pixel = row as usize * node.extent[1] + column as usize;
                        visit(lane, (y * self.extent[1] + x) * node.channels, pixel * node.channels);
                    }
                }
            }
        }
    }

    /// The same coefficients over the whole image.
    pub(super) fn whole(self, node: &Node) -> Rows {
        if self.origin.is_none() {
            return self;
        }
        let mut whole = Rows::dense(node);
        self.inside(node, |lane, stored, element| {
            for c in 0..node.channels {
                whole.data[element + c][lane] = self.data[stored + c][lane];
            }
        });
        whole
    }

    /// Sets to 0 what lies outside the image.
    pub(super) fn clear_outside(&mut self, node: &Node) {
        let Some(origins) = self.origin else { return };
        let [height, width] = node.extent.map(|n| n as isize);
        for y in 0..self.extent[0] {
            for x in 0..self.extent[1] {
                let outside = origins.map(|[row, column]| {
                    let (row, column) = (row + y as isize, column + x as isize);
                    row < 0 || row >= height || column < 0 || column >= width
                });
                if outside.contains(&true) {
                    let first = (y * self.extent[1] + x) * node.channels;
                    for lanes in &mut self.data[first..first + node.channels] {
                        (0..LANES).filter(|&l| outside[l]).for_each(|l| lanes[l] = 0.0);
                    }
                }
            }
        }
    }
}
