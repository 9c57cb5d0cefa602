//! `smallbox data fetch`: a download with its progress.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use smallbox::data::{self, FetchEvent};
use smallbox::error::Result;

use super::{interrupt, output};

/// Downloads what is missing of dataset `name`, then prints the folder that holds it.
pub fn run(name: &str, folder: Option<&Path>) -> Result<()> {
    interrupt::install("stopping the download; Ctrl-C again stops at once")?;
    let bar = std::io::stderr().is_terminal().then(new_bar);
    let say = |line: &str| match &bar {
        Some(bar) => bar.suspend(|| output::note(line)),
        None => output::note(line),
    };
    let folder = data::fetch(name, folder, &mut |event| {
        match event {
            FetchEvent::Started { url } => say(&format!("downloading {url}")),
            FetchEvent::Received { bytes, total } => {
                if let Some(bar) = &bar {
                    bar.set_length(total.unwrap_or(*bytes));
                    bar.set_position(*bytes);
                }
            }
            FetchEvent::MirrorFailed { url, reason } => {
                say(&format!("{url}: {reason}; trying the next mirror, if any"))
            }
            FetchEvent::Stored { path, checked } => say(&format!("{}: stored, {}", path.display(), status(*checked))),
            FetchEvent::Present { path, checked } => {
                say(&format!("{}: already there, {}", path.display(), status(*checked)));
            }
            _ => {}
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    output::print(&format!("{}\n", folder.display()))
}

fn status(checked: data::Checked) -> String {
    data::FileStatus::Ok(checked).to_string()
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}")
        .expect("the template is a constant");
    ProgressBar::new(0).with_style(style)
}
