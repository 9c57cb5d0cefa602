//! Exact decisions of domains in which every neuron has a known sign.
//!
//! There the network is affine, and the least value of coefficients · y − bound over the domain is a linear program over the inputs:
//! over the box and the half-spaces s_j z_j(x) ≥ 0 of the splits. Its dual variables are the multipliers β that make a domain's bound
//! exact (β-CROWN, Wang et al. 2021, §3: strong duality); ascent only comes near them.
//!
//! # The program
//! With x = center + radius · v, rows divided by their size ρ_j and the objective by its size O:
//!
//! ```text
//! minimise  τ + M·t   over  −1 ≤ v ≤ 1,  t ≥ 0
//! where     τ ≥ (c_k · y(v) − b_k) / O        for every constraint k of the clause      (weights w_k ≥ 0, Σ w = 1)
//!           s_j z_j(v) / ρ_j + t ≥ 0          for every split j                         (multipliers β_j ρ_j / O, Σ ≤ M)
//! ```
//! Signs may be violated by t at a price M, so there is always a solution, an empty domain needs no case of its own, and no multiplier
//! grows without bound. The price is exact: at a point where no sign is violated by more than t·ρ_j the real network and the affine map
//! differ by at most e in each output, where e passes through the absolute weights and every split ReLU adds t·ρ_j to it; M is
//! c·e / O for t = 1, the largest of all constraints (`penalty`). Hence the network's own value at v is at most O times the
//! program's, which leaves two cases over the reals:
//!
//! * The least value is positive: the dual solution proves the domain.
//! * It is not: its v breaks the claim, even if it lies in another domain.
//!
//! # What is trusted
//! Nothing of this. The solver works in rounded f64, to some 1e-8 of O. Multipliers, rounded to f32 as certificates hold them, are only
//! taken when [`Region::lower_bounds`](crate::certify::proof::Region::lower_bounds) gives a positive bound with them, a point only when
//! [`Prover::refutes`](crate::certify::proof::Prover::refutes) confirms it. A domain whose least value is within rounding of 0 stays
//! open, and so does one whose program is too large ([`Decision::Large`]).

mod decide;
mod pattern;
mod penalty;
mod program;

pub use decide::{Decider, Decision, Domain, Proposal};
