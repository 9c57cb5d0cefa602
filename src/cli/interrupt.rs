//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use smallbox::error::{Error, Result};

use super::output;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a run that was interrupted.
const EXIT_CODE: i32 = 130;

/// From now on the first signal only sets what [`requested`] returns, after saying `first`; the second ends the program.
pub fn install(first: &'static str) -> Result<()> {
    let handler = move || {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(EXIT_CODE);
        }
        output::note(first);
    };
    ctrlc::set_handler(handler).map_err(|error| Error::io("signal handler for Ctrl-C")(std::io::Error::other(error)))
}

/// Whether a signal has come.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
