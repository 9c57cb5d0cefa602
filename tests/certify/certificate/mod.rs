//! Certificates: what is written is what is read, what is wrong is refused.

mod made;
mod mutated;
mod refused;
