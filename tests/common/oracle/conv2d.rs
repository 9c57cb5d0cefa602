//! y[n,o,i,j] = b[o] + Σ_{c,u,v} w[o,c,u,v] · x[n,c, i·S−P+u·D, j·S−P+v·D], terms outside x being 0; and its gradients.

use super::{Reference, Sums};
use crate::common::cases::Conv;
use crate::common::tensor::Tensor;

/// Calls `visit` with the flat indices (y, x, w) of every product of the equation.
fn products(case: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
    let [_, _, oh, ow] = case.y_shape();
    let [h, w] = case.hw;
    let [kh, kw] = case.k;
    for n in 0..case.n {
        for o in 0..case.o {
            for i in 0..oh {
                for j in 0..ow {
                    for c in 0..case.c {
                        for u in 0..kh {
                            for v in 0..kw {
                                let row = (i * case.stride[0] + u * case.dilation[0]).checked_sub(case.padding[0]);
                                let col = (j * case.stride[1] + v * case.dilation[1]).checked_sub(case.padding[1]);
                                let (Some(row), Some(col)) = (row, col) else { continue };
                                if row < h && col < w {
                                    visit(
                                        ((n * case.o + o) * oh + i) * ow + j,
                                        ((n * case.c + c) * h + row) * w + col,
                                        ((o * case.c + c) * kh + u) * kw + v,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub fn forward(case: &Conv, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Reference {
    let shape = case.y_shape();
    let mut sums = Sums::new(&shape);
    if let Some(b) = b {
        let plane = shape[2] * shape[3];
        (0..shape.iter().product()).for_each(|y| sums.add(y, b.data[y / plane % case.o]));
    }
    products(case, |y, xi, wi| sums.add(y, x.data[xi] * w.data[wi]));
    sums.finish()
}

/// d⟨y, grad⟩/dx.
pub fn backward_input(case: &Conv, grad: &Tensor, w: &Tensor) -> Reference {
    let mut sums = Sums::new(&case.x_shape());
    products(case, |y, xi, wi| sums.add(xi, grad.data[y] * w.data[wi]));
    sums.finish()
}

/// d⟨y, grad⟩/dw.
pub fn backward_weight(case: &Conv, x: &Tensor, grad: &Tensor) -> Reference {
    let mut sums = Sums::new(&case.w_shape());
    products(case, |y, xi, wi| sums.add(wi, grad.data[y] * x.data[xi]));
    sums.finish()
}

/// d⟨y, grad⟩/db: the sum over everything but the channel.
pub fn backward_bias(grad: &Tensor) -> Reference {
    let features = grad.shape[1];
    let plane: usize = grad.shape[2..].iter().product();
    let mut sums = Sums::new(&[features]);
    grad.data.iter().enumerate().for_each(|(i, &g)| sums.add(i / plane % features, g));
    sums.finish()
}

mod tests {
    use super::super::assert_gradient;
    use super::*;
    use crate::common::cases::CONVS;
    use crate::common::random::Random;

    /// PyTorch: `F.conv2d(torch.arange(9.).view(1,1,3,3), torch.tensor([[[[1.,2.],[3.,4.]]]]), torch.tensor([.5]), padding=(1,0))`.
    #[test]
    fn values_worked_by_hand() {
        let case = Conv { n: 1, c: 1, hw: [3, 3], o: 1, k: [2, 2], stride: [1; 2], padding: [1, 0], dilation: [1; 2] };
        let x = Tensor::new(case.x_shape(), (0..9).map(f64::from).collect());
        let w = Tensor::new(case.w_shape(), vec![1.0, 2.0, 3.0, 4.0]);
        let y = forward(&case, &x, &w, Some(&Tensor::new([1], vec![0.5])));
        assert_eq!(y.value.shape, [1, 1, 4, 2]);
        assert_eq!(y.value.data, [4.5, 11.5, 27.5, 37.5, 57.5, 67.5, 20.5, 23.5]);
        assert_eq!((y.terms, y.scale[0]), (5, 4.5));
    }

    #[test]
    fn gradients_are_slopes() {
        let mut random = Random::new(1);
        for case in CONVS.iter().filter(|c| c.x_shape().iter().product::<usize>() < 200) {
            let inputs = [
                random.tensor(case.x_shape(), -1.0, 1.0),
                random.tensor(case.w_shape(), -1.0, 1.0),
                random.tensor([case.o], -1.0, 1.0),
            ];
            assert_gradient(&inputs, &|i| vec![forward(case, &i[0], &i[1], Some(&i[2])).value], &|i, g| {
                vec![
                    backward_input(case, &g[0], &i[1]).value,
                    backward_weight(case, &i[0], &g[0]).value,
                    backward_bias(&g[0]).value,
                ]
            });
        }
    }
}
