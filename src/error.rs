//! The one error type of the library, and the exit code each kind ends a command with.

use std::path::{Path, PathBuf};

/// What can go wrong. Every message names the thing that was looked at and what would have been right,
/// so that a user can act on one line; the kind decides the exit code ([`Error::exit_code`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was given shapes, types or attributes that do not fit together.
    #[error("{op}: expected {expected}, got {got}")]
    Shape {
        /// Name of the op.
        op: &'static str,
        /// What the op needs.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// A gradient was asked for where none is defined.
    #[error("{op} has no gradient with respect to input {input}")]
    NoGradient {
        /// Name of the op.
        op: &'static str,
        /// Index of the input.
        input: usize,
    },
    /// An option combination that can't be meant, found after the command line was parsed.
    #[error("{0}")]
    Usage(String),
    /// A configuration value or file that is wrong.
    #[error("{0}")]
    Config(String),
    /// A model or checkpoint that is wrong.
    #[error("{path}: {message}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// No device, a lost device, a shader that does not compile, memory that is not there.
    #[error("device {device}: {message}")]
    Device {
        /// Name of the device.
        device: String,
        /// What happened.
        message: String,
    },
    /// A data file that is missing or wrong.
    #[error("{path}: {message}")]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// Training produced a value that is not finite.
    #[error("diverged at step {step}: {what}")]
    Diverged {
        /// First step with a non-finite value, counted from 1.
        step: u64,
        /// Which value, in which layer, and the range of what is still finite there.
        what: String,
    },
    /// A gate such as `--min-certified` was not met.
    #[error("{0}")]
    Gate(String),
    /// Ctrl-C or SIGTERM; the state was saved where there was one.
    #[error("interrupted{0}")]
    Interrupted(String),
    /// The operating system refused to read or write.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The process exit code (the list is in the README).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Config(_) | Error::Model { .. } => 3,
            Error::Device { .. } => 4,
            Error::Data { .. } => 5,
            Error::Diverged { .. } => 6,
            Error::Gate(_) => 7,
            Error::Interrupted(_) => 130,
            Error::Shape { .. } | Error::NoGradient { .. } | Error::Io { .. } => 1,
        }
    }

    /// A shape error of `op`.
    pub fn shape(op: &'static str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Error::Shape { op, expected: expected.into(), got: got.into() }
    }

    /// A data error about `path`.
    pub fn data(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::Data { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// A model error about `path`.
    pub fn model(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Error::Model { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// A device error of `device`.
    pub fn device(device: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Device { device: device.into(), message: message.into() }
    }

    /// An input/output error about `path`, for `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }
}
