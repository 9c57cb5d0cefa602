//! The devices under test.

use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;

/// Runs `test` on every device there is.
pub fn each(test: impl Fn(&mut dyn Session)) {
    test(&mut CpuSession::new());
}
