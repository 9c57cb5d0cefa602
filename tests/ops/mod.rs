//! Every op on every device against the oracle, over the shared shape table: integers exactly, reals within the rounding bound;
//! gradients through the graph's own autodiff.

mod attack_progress;
mod blocks;
mod controls;
mod conv2d;
mod elementwise;
mod fusion;
mod interval;
mod large;
mod layout;
mod linear;
mod loss;
mod multiply_adds;
mod passes;
mod pgd_step;
mod random;
mod regularizer;
mod relaxation;
mod states;
mod sweeps;
