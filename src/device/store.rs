//! What a device keeps from one process to the next: which kernels were fastest, pipelines that a driver has compiled.

use std::fmt::Debug;

/// A place for small files of a device, by name. Losing one costs time only, so nothing here fails: an implementation says on its
/// own what went wrong.
pub trait Store: Debug + Send + Sync {
    /// The content of a file, if there is one.
    fn read(&self, name: &str) -> Option<Vec<u8>>;

    /// Replaces a file as a whole.
    fn write(&self, name: &str, bytes: &[u8]);

    /// Tells the user what is wrong with a file.
    fn warn(&self, name: &str, message: &str);
}
