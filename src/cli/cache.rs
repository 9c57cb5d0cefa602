//! The user's cache folder, where GPUs keep what they measured and compiled.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use smallbox::device::Store;
use smallbox::error::{Error, Result};
use smallbox::formats::atomic::write_atomically;

use super::output;

/// Files in one folder, which is made when there is something to write.
#[derive(Debug)]
pub struct CacheFolder(PathBuf);

impl CacheFolder {
    /// `SMALLBOX_CACHE_DIR`, else `smallbox` in the platform's folder for caches; `None` for a user without a home.
    pub fn find() -> Option<Arc<dyn Store>> {
        folder(|name| env::var_os(name).filter(|value| !value.is_empty())).map(|path| Arc::new(CacheFolder(path)) as _)
    }

    fn try_write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::create_dir_all(&self.0).map_err(Error::io(&self.0))?;
        write_atomically(&self.0.join(name), bytes)
    }
}

/// The folder, by the environment.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(own) = variable("SMALLBOX_CACHE_DIR") {
        return Some(own.into());
    }
    let home = |below: &str| variable("HOME").map(|home| PathBuf::from(home).join(below));
    let caches = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home("Library/Caches")
    } else {
        variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home(".cache"))
    };
    caches.map(|caches| caches.join("smallbox"))
}

impl Store for CacheFolder {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.warn(name, &format!("can't be read: {error}"));
                None
            }
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        if let Err(error) = self.try_write(name, bytes) {
            output::note(&format!("warning: {name} is not kept for the next time: {error}"));
        }
    }

    fn warn(&self, name: &str, message: &str) {
        output::note(&format!("warning: {}: {message}", self.0.join(name).display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let with = |set: &[(&str, &str)]| {
            folder(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(with(&[("SMALLBOX_CACHE_DIR", "/a"), ("HOME", "/home/u")]), Some(PathBuf::from("/a")));
        assert_eq!(with(&[]), None);
        if cfg!(target_os = "linux") {
            assert_eq!(with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/home/u")]), Some(PathBuf::from("/c/smallbox")));
            assert_eq!(with(&[("HOME", "/home/u")]), Some(PathBuf::from("/home/u/.cache/smallbox")));
        }
    }
}
