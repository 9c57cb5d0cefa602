//! What was measured of kernels, kept from one process to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::device::{DeviceInfo, Store};
use crate::kernel::Variant;

const FORMAT: &str = "smallbox tuning 1";

/// One kernel's choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Choice {
    /// `None`: the built-in rule's is the fastest.
    variant: Option<Variant>,
    /// How long it took.
    microseconds: f64,
}

/// The file of one adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Document {
    format: String,
    adapter: String,
    backend: String,
    driver: String,
    choices: BTreeMap<String, Choice>,
}

impl Document {
    fn new(info: &DeviceInfo) -> Document {
        Document {
            format: FORMAT.into(),
            adapter: info.name.clone(),
            backend: info.backend.clone(),
            driver: info.driver.clone(),
            choices: BTreeMap::new(),
        }
    }

    /// The document in `bytes`, if it is one of this adapter.
    fn read(bytes: &[u8], info: &DeviceInfo) -> Result<Document, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let fresh = Document::new(info);
        match (Document { choices: BTreeMap::new(), ..document.clone() }) == fresh {
            true => Ok(document),
            false => Err(format!("of {} {} {}", document.format, document.adapter, document.driver)),
        }
    }
}

/// The choices of one adapter and where they are kept.
pub(super) struct Choices {
    store: Arc<dyn Store>,
    name: String,
    info: DeviceInfo,
    document: Document,
    changed: bool,
}

impl Choices {
    /// Those that `store` has of the adapter, or none. A file that can't be read is told of and replaced.
    pub(super) fn open(store: Arc<dyn Store>, info: &DeviceInfo) -> Choices {
        let name = format!("{}.tuning.json", super::store_name(info));
        let document = match store.read(&name).map(|bytes| Document::read(&bytes, info)) {
            None => Document::new(info),
            Some(Ok(document)) => document,
            Some(Err(error)) => {
                store.warn(&name, &format!("not a list of kernels ({error}); measuring them again"));
                Document::new(info)
            }
        };
        Choices { store, name, info: info.clone(), document, changed: false }
    }

    /// The choice for `key`, if there is one: a variant, or the built-in rule.
    pub(super) fn get(&self, key: &str) -> Option<Option<Variant>> {
        self.document.choices.get(key).map(|choice| choice.variant)
    }

    pub(super) fn set(&mut self, key: String, variant: Option<Variant>, seconds: f64) {
        self.document.choices.insert(key, Choice { variant, microseconds: 1e6 * seconds });
        self.changed = true;
    }

    /// Writes what is new, beside what other processes have written meanwhile.
    pub(super) fn keep(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        if let Some(Ok(theirs)) = self.store.read(&self.name).map(|bytes| Document::read(&bytes, &self.info)) {
            for (key, choice) in theirs.choices {
                self.document.choices.entry(key).or_insert(choice);
            }
        }
        let text = serde_json::to_vec_pretty(&self.document).expect("choices are plain data");
        self.store.write(&self.name, &text);
    }
}
