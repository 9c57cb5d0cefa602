pub mod data;
pub mod error;
pub mod philox;
pub mod shape;
