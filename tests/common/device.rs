//! The devices under test: the native one always, and a GPU where there is an adapter, a software one (lavapipe, WARP) too.

use std::sync::{Condvar, Mutex, PoisonError};

use smallbox::device::Session;
use smallbox::device::cpu::CpuSession;
use smallbox::device::gpu::{GpuOptions, GpuSession, Selector, adapters};

/// Runs `test` on every device there is, each time in a new session, so that tests don't meet each other's states.
///
/// Without an adapter the GPU's part prints `skipped: no adapter`; with `SMALLBOX_REQUIRE_GPU=1` it fails.
pub fn each(mut test: impl FnMut(&mut dyn Session)) {
    test(&mut CpuSession::new());
    gpu(|options| options, test);
}

/// Runs `test` on the GPU alone, opened with the options that `adjust` makes of the default ones.
pub fn gpu(adjust: impl FnOnce(GpuOptions) -> GpuOptions, test: impl FnOnce(&mut dyn Session)) {
    let _turn = Turn::take();
    let Some(selector) = selector() else {
        assert!(
            std::env::var("SMALLBOX_REQUIRE_GPU").as_deref() != Ok("1"),
            "SMALLBOX_REQUIRE_GPU=1, but there is no adapter"
        );
        println!("skipped: no adapter");
        return;
    };
    let options = adjust(GpuOptions { selector, ..GpuOptions::default() });
    let mut session = pollster::block_on(GpuSession::open(&options)).unwrap_or_else(|e| panic!("opening the GPU: {e}"));
    println!("on {:?}", session.device());
    test(&mut session);
}

/// Whether `session` is on a software adapter.
pub fn is_software(session: &dyn Session) -> bool {
    let id = &session.device().id;
    pollster::block_on(adapters()).iter().any(|a| a.kind == "software" && *id == format!("gpu:{}", a.index))
}

/// The right to a session on the GPU. Two at a time: most of a test on a software adapter is the compilation of its shaders, on
/// one core; and a hardware one has only so much memory.
struct Turn;

static FREE_TURNS: Mutex<usize> = Mutex::new(2);
static TURN_FREED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let free = FREE_TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = TURN_FREED.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE_TURNS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURN_FREED.notify_one();
    }
}

/// The first hardware adapter, else the first of any kind.
fn selector() -> Option<Selector> {
    let adapters = pollster::block_on(adapters());
    let hardware = adapters.iter().find(|a| a.kind != "software");
    hardware.or(adapters.first()).map(|a| Selector::Index(a.index))
}
