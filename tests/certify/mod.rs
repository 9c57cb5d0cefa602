//! Certification: bounds on devices.

mod bounds;
mod golden;
mod oracle;
