//! What the tests share: tensors, random data, the shape table, the comparator, the devices, the harness and the oracle.

pub mod allocation;
pub mod cases;
pub mod close;
pub mod device;
pub mod html;
pub mod oracle;
pub mod picture;
pub mod random;
pub mod run;
pub mod tensor;
pub mod timeline;
