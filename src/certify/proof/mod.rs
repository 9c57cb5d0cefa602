//! Proofs of lower bounds that hold for real arithmetic over the stored weights.
//!
//! A [`Region`] is a network over a box with bounds [l, u] of every node's elements; [`Region::lower_bounds`] bounds objectives
//! c·y − b from below. Slopes, multipliers and splits may come from anywhere: any that are accepted give sound bounds. This module
//! uses nothing but the network's and the property's types and plain f64 arithmetic to nearest, and trusts nothing else.
//!
//! # What is proved
//! Let ŷ(x) be the outputs of the network over the real numbers, for weights that lie within the stated errors of the stored ones
//! (an error of 0 means these very numbers). [`Region::lower_bounds`] returns L with L ≤ c·ŷ(x) − b for every real x of the box that obeys
//! the leaf's splits (and the region's). Nothing is said about what a device computes in f32.
//!
//! # Notation
//! u = 2⁻⁵³; γ_n = n·u/(1 − n·u). A sum of n products, in any order, with or without fused multiply-adds, is off by at most
//! γ_n Σ |terms|, apart from underflow (Higham 2002, §3.1). Every γ here is taken for 16 terms more than there are and enlarged by
//! 2⁻²⁰ (`rounding::gamma`). X ≥ |x| bounds the magnitude of an operand over the region: X = max(|l|, |u|), exact.
//!
//! # Forward: bounds of a node
//! * Input: `forward::enter`.
//! * ReLU: max(l, 0), max(u, 0), exact. Sum: ends rounded outward.
//! * Affine ŷ = Ŵx + b̂, |Ŵ − W| ≤ ω|W|, |b̂ − b| ≤ δ. With a centre c and a radius r ≥ max(u − c, c − l), rounded up,
//!   Wx + b ∈ (Wc + b) ± |W|r. Let S = |W|X. Computed are m ≈ Wc + b, ρ ≈ |W|r, S; |c| and r are at most X up to 3u. Then m is off by
//!   γ(S + |b|), ρ by γS, m ± ρ and the last subtraction by u(2S + |b|) each, and leaving Ŵ for W costs ωS + δ. So
//!   e = 8γ(S + |b|) + ωS + δ holds all of it with room, and ŷ ∈ [m − ρ − e, m + ρ + e].
//!
//! # Backward: from an objective to the box
//! The pass keeps computed numbers A (coefficients on the values v of pending nodes), d (constant) and E ≥ 0 (error) with
//!
//! > c·ŷ − b ≥ Σ A·v + d − E for all points considered,
//!
//! A and d being what the machine holds, not what they should be. At first A = c, d = −b, E = 0.
//! * Affine node v = Ŵx + b̂. Computed: G = fl(Aᵀ W). G_j has at most n = O·KH·KW products, so
//!   |G_j − Σ_i A_i W_ij| ≤ γ_n Σ_i |A_i||W_ij|, and with |x_j| ≤ X_j
//!   A·v ≥ G·x + A·b − Σ_i |A_i| (γ_n S_i + ω S_i + δ_i). The products A_i b_i enter d.
//! * ReLU node v = relu(z), l ≤ z ≤ u. Stable: slope 1 or 0, exact. Else for A ≥ 0, v ≥ αz for any α in [0, 1]; for A < 0, v ≤ sz + t
//!   (`region::chord` for why that line lies above). Computed G = fl(A·slope) is off by u|G|, which costs u|G|Z, Z ≥ |z|. The
//!   products A·t enter d.
//! * Split z ≥ 0: v = z, and −β·z ≤ 0 may be added: G = fl(A − β), off by u|G|. Split z ≤ 0: v = 0, and β·z ≤ 0 may be added:
//!   G = β. Both hold for points that obey the split, for any β ≥ 0.
//! * Sum of two values: A for both. Where two pending nodes meet, A' = fl(A + G) costs u|A'|X.
//! * At the input, or at any node where nothing else is pending: Σ A·v ≥ Σ min(A·l, A·u); these products enter d.
//!
//! d is one sum of at most N products (N elements in all nodes together), in any order; it is off by γ_N Σ |products|. So every
//! product A_i b_i, A_j t_j, A_j l_j that enters d puts γ_N times its magnitude into E, and K_i = γ_n S_i + ω S_i + δ_i + γ_N |b_i| is what
//! a unit of |A_i| costs at an affine node (`forward::affine`; a window of an image takes the largest K of the channel).
//!
//! E itself is a sum of fewer than 2³¹ non-negative products; it is enlarged by 2⁻²⁰, which is more than its own rounding. Underflow:
//! a product loses at most 2⁻¹⁰⁷⁵, fewer than 2³⁰ of them meet one X; 2⁻¹⁰⁰⁰ Σ (X + 1) over all nodes covers them
//! (`Region::underflow`), and 2⁻¹⁰⁰⁰ in each K and e what S lost. Overflow and NaN survive every step (a coefficient is
//! never compared away), and NaN is no bound: the result is −∞ then.
//!
//! The result is fl(d − E·(1 + 2⁻²⁰) − underflow), rounded down once more, or the bound of the box below the last affine map
//! where that is better (interval arithmetic with the objective merged into the map).
//!
//! # Layout
//! `rows::LANES` objectives are innermost in every array, so that a multiply-add works on all of them; images are `[H,W,C]`, weights
//! in blocks of input channels. Rows that start at one neuron of an image keep a window of their receptive field. Batches are
//! spread over threads; no result depends on their number.

mod backward;
mod forward;
mod kernels;
mod objective;
mod point;
mod prover;
mod region;
mod rounding;
mod rows;

pub use objective::{Leaf, Objective, Side, Slopes, Split, Start};
pub use point::{evaluate, refutes};
pub use prover::Prover;
pub use region::{Derivation, Region};
