//! Reductions and their inverse, permutations, joins and comparisons of rows.

use smallbox::ops::ReduceKind;

use super::{Reference, Sums};
use crate::common::tensor::Tensor;

/// y[k] over x [outer, keep, inner].
pub fn reduce(kind: ReduceKind, x: &Tensor) -> Reference {
    let [_, keep, inner]: [usize; 3] = x.shape.as_slice().try_into().expect("three axes");
    let kept = |i: usize| i / inner % keep;
    if kind == ReduceKind::Sum {
        let mut sums = Sums::new(&[keep]);
        x.data.iter().enumerate().for_each(|(i, &x)| sums.add(kept(i), x));
        return sums.finish();
    }
    let mut best = vec![None::<f64>; keep];
    for (i, &x) in x.data.iter().enumerate() {
        let better = |old: f64| if kind == ReduceKind::Min { old.min(x) } else { old.max(x) };
        best[kept(i)] = Some(best[kept(i)].map_or(x, better));
    }
    Reference::exact(Tensor::new([keep], best.into_iter().map(|x| x.expect("no empty run")).collect()))
}

/// y[o,k,i] = x[k].
pub fn expand(x: &Tensor, outer: usize, inner: usize) -> Reference {
    let keep = x.len();
    Reference::exact(Reference::elements(&[outer, keep, inner], 1, |i| (x.data[i / inner % keep], 0.0)).value)
}

/// Output axis `a` is input axis `axes[a]`.
pub fn transpose(x: &Tensor, axes: &[usize]) -> Reference {
    let shape: Vec<usize> = axes.iter().map(|&a| x.shape[a]).collect();
    let y = Reference::elements(&shape, 1, |mut i| {
        let mut index = vec![0; axes.len()];
        for (o, &axis) in axes.iter().enumerate().rev() {
            index[axis] = i % shape[o];
            i /= shape[o];
        }
        (x.data[index.iter().zip(&x.shape).fold(0, |flat, (&i, &extent)| flat * extent + i)], 0.0)
    });
    Reference::exact(y.value)
}

pub fn concat(parts: &[Tensor]) -> Reference {
    let data: Vec<f64> = parts.iter().flat_map(|p| p.data.iter().copied()).collect();
    Reference::exact(Tensor::new([data.len()], data))
}

/// Index of the first greatest entry of each row.
pub fn argmax(x: &Tensor) -> Vec<u32> {
    let first_greatest = |row: &[f64]| {
        let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter().position(|&x| x == greatest).expect("the greatest is among them") as u32
    };
    x.data.chunks(x.shape[1]).map(first_greatest).collect()
}

mod tests {
    use super::*;

    #[test]
    fn values_worked_by_hand() {
        let x = Tensor::new([2, 3, 2], (0..12).map(f64::from).collect());
        assert_eq!(reduce(ReduceKind::Sum, &x).value.data, [14.0, 22.0, 30.0]);
        assert_eq!(reduce(ReduceKind::Min, &x).value.data, [0.0, 2.0, 4.0]);
        assert_eq!(reduce(ReduceKind::Max, &x).value.data, [7.0, 9.0, 11.0]);
        let x = Tensor::new([2, 3], (0..6).map(f64::from).collect());
        assert_eq!(transpose(&x, &[1, 0]).value, Tensor::new([3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(expand(&Tensor::new([2], vec![1.0, 2.0]), 2, 2).value.data, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(argmax(&Tensor::new([2, 3], vec![1.0, 3.0, 3.0, -1.0, -2.0, -3.0])), [1, 0]);
    }
}
