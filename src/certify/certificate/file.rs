//! Certificates as safetensors files.
//!
//! Tensors: `box.lower`, `box.upper` F64 `[inputs]`; `clauses.lengths` U32 `[clauses]`, `clauses.coefficients` F64
//! `[constraints, outputs]`, `clauses.bounds` F64 `[constraints]`; `slopes` U32 `[entries, 2]`; `starts.rows` U32 `[starts, 3]` (layer,
//! neuron, 0 for lower and 1 for upper), `starts.slopes` F32, one after the other; `trees.lengths` U32 `[clauses]`, `trees.parts` U32
//! `[parts, 3]`: (0, 1 if the leaf has slopes, 0), (1, layer, neuron) of a split, (2, 0, 0) of a refinement; `leaves.weights`,
//! `leaves.slopes`, `leaves.multipliers` F32, leaf after leaf. A leaf has as many weights as its clause has constraints, as many
//! slopes as there are entries, as many multipliers as its path has splits.
//!
//! Metadata: JSON under `smallbox` with `format`, `version`, `sha256`, `network`, `derivation` and `about`. `sha256` is the digest of
//! the whole file with these 64 digits set to 0.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{About, Certificate, Part, Tree};
use crate::certify::proof::{Derivation, Side, Start};
use crate::certify::property::{Constraint, Property};
use crate::error::{Error, Result};
use crate::formats::atomic::write_atomically;
use crate::formats::tensors::METADATA;

const FORMAT: &str = "smallbox certificate";
const VERSION: u32 = 1;
/// What stands before the digest in the file: JSON in a string of JSON.
const BEFORE_DIGEST: &[u8] = br#"\"sha256\":\""#;
const DIGITS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: String,
    version: u32,
    sha256: String,
    network: String,
    derivation: String,
    about: About,
}

/// Numbers of one type, with extents.
struct Array {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn new<T: bytemuck::NoUninit>(name: &'static str, dtype: Dtype, shape: &[usize], values: &[T]) -> Array {
        // Little-endian machines alone are supported, as everywhere in `formats`.
        Array { name, dtype, shape: shape.to_vec(), bytes: bytemuck::cast_slice(values).to_vec() }
    }
}

impl Certificate {
    /// Writes the certificate, atomically.
    ///
    /// # Errors
    /// [`Error::Config`] for one that is no certificate, [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_bytes()?)
    }

    /// The file's content.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that the format has no room for.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let wrong = |e: &dyn std::fmt::Display| Error::Config(format!("certificate: {e}"));
        let metadata = Metadata {
            format: FORMAT.into(),
            version: VERSION,
            sha256: "0".repeat(DIGITS),
            network: self.network.clone(),
            derivation: match self.derivation {
                Derivation::Interval => "interval".into(),
                Derivation::Crown(_) => "crown".into(),
                Derivation::Backward => return Err(wrong(&"bounds by backward passes alone are for comparisons")),
            },
            about: self.about.clone(),
        };
        let text = serde_json::to_string(&metadata).map_err(|e| wrong(&e))?;
        let arrays = self.arrays()?;
        let mut views = Vec::with_capacity(arrays.len());
        for array in &arrays {
            let view = TensorView::new(array.dtype, array.shape.clone(), &array.bytes).map_err(|e| wrong(&e))?;
            views.push((array.name, view));
        }
        let metadata = HashMap::from([(METADATA.to_string(), text)]);
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(&e))?;
        let at = digest_place(&bytes).map_err(|e| wrong(&e))?;
        let digest = hexadecimal(&Sha256::digest(&bytes));
        bytes[at..at + DIGITS].copy_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    fn arrays(&self) -> Result<Vec<Array>> {
        let small = |n: usize| {
            u32::try_from(n)
                .map_err(|_| Error::Config(format!("certificate: {n} is more than the format has room for")))
        };
        let property = &self.property;
        let constraints: Vec<&Constraint> = property.clauses.iter().flatten().collect();
        let outputs = constraints.first().map_or(0, |c| c.coefficients.len());
        let coefficients: Vec<f64> = constraints.iter().flat_map(|c| c.coefficients.iter().copied()).collect();
        let bounds: Vec<f64> = constraints.iter().map(|c| c.bound).collect();
        let starts: &[Start] = match &self.derivation {
            Derivation::Crown(starts) => starts,
            _ => &[],
        };
        let (mut slopes, mut rows, mut own) = (Vec::new(), Vec::new(), Vec::<f32>::new());
        for &(layer, neuron) in &self.slopes {
            slopes.extend([small(layer)?, small(neuron)?]);
        }
        for start in starts {
            rows.extend([small(start.layer)?, small(start.neuron)?, u32::from(start.side == Side::Upper)]);
            own.extend(&start.slopes);
        }
        let (mut parts, mut leaf) = (Vec::new(), [Vec::<f32>::new(), Vec::new(), Vec::new()]);
        for part in self.trees.iter().flat_map(|tree| &tree.parts) {
            match part {
                Part::Leaf { weights, slopes, multipliers } => {
                    parts.extend([0, u32::from(slopes.is_some()), 0]);
                    leaf[0].extend(weights);
                    leaf[1].extend(slopes.iter().flatten());
                    leaf[2].extend(multipliers);
                }
                &Part::Split { layer, neuron } => parts.extend([1, small(layer)?, small(neuron)?]),
                Part::Refine => parts.extend([2, 0, 0]),
            }
        }
        let lengths = |counts: &mut dyn Iterator<Item = usize>| counts.map(small).collect::<Result<Vec<u32>>>();
        let clauses = lengths(&mut property.clauses.iter().map(Vec::len))?;
        let trees = lengths(&mut self.trees.iter().map(|tree| tree.parts.len()))?;
        let n = property.lower.len();
        let [weights, leaf_slopes, multipliers] = &leaf;
        Ok(vec![
            Array::new("box.lower", Dtype::F64, &[n], &property.lower),
            Array::new("box.upper", Dtype::F64, &[n], &property.upper),
            Array::new("clauses.lengths", Dtype::U32, &[clauses.len()], &clauses),
            Array::new("clauses.coefficients", Dtype::F64, &[constraints.len(), outputs], &coefficients),
            Array::new("clauses.bounds", Dtype::F64, &[bounds.len()], &bounds),
            Array::new("slopes", Dtype::U32, &[self.slopes.len(), 2], &slopes),
            Array::new("starts.rows", Dtype::U32, &[starts.len(), 3], &rows),
            Array::new("starts.slopes", Dtype::F32, &[own.len()], &own),
            Array::new("trees.lengths", Dtype::U32, &[trees.len()], &trees),
            Array::new("trees.parts", Dtype::U32, &[parts.len() / 3, 3], &parts),
            Array::new("leaves.weights", Dtype::F32, &[weights.len()], weights),
            Array::new("leaves.slopes", Dtype::F32, &[leaf_slopes.len()], leaf_slopes),
            Array::new("leaves.multipliers", Dtype::F32, &[multipliers.len()], multipliers),
        ])
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such file, its digest is not that of its content, or it is no certificate.
    pub fn read(path: &Path) -> Result<Certificate> {
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::model(path, "no such file"),
            _ => Error::io(path)(e),
        })?;
        Certificate::from_bytes(&bytes).map_err(|message| Error::model(path, message))
    }

    /// A file's content; what is wrong with it otherwise.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Certificate, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("not a readable certificate: {e}"))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(METADATA));
        let text = text.ok_or("not a certificate: a safetensors file without its metadata")?;
        let fields: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("metadata: {e}"))?;
        if fields["format"] != FORMAT {
            return Err(format!("not a certificate: the format is {}", fields["format"]));
        }
        if fields["version"] != VERSION {
            return Err(format!("version {}: this program knows version {VERSION}", fields["version"]));
        }
        let metadata: Metadata = serde_json::from_value(fields).map_err(|e| format!("metadata: {e}"))?;
        let at = digest_place(bytes)?;
        let mut content = bytes.to_vec();
        content[at..at + DIGITS].fill(b'0');
        if bytes[at..at + DIGITS] != *hexadecimal(&Sha256::digest(&content)).as_bytes() {
            return Err("damaged: the content does not have the digest that it states".into());
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a readable certificate: {e}"))?;
        Reader { file }.certificate(metadata)
    }
}

/// Where the digits of the digest begin.
fn digest_place(bytes: &[u8]) -> Result<usize, String> {
    let length: [u8; 8] = bytes.get(..8).and_then(|b| b.try_into().ok()).ok_or("too short")?;
    let end =
        usize::try_from(u64::from_le_bytes(length)).ok().and_then(|n| n.checked_add(8)).ok_or("too long a header")?;
    let header = bytes.get(8..end).ok_or("too short")?;
    let mut places = header.windows(BEFORE_DIGEST.len()).enumerate().filter(|(_, window)| *window == BEFORE_DIGEST);
    match (places.next(), places.next()) {
        (Some((at, _)), None) if at + BEFORE_DIGEST.len() + DIGITS <= header.len() => Ok(8 + at + BEFORE_DIGEST.len()),
        _ => Err("no place for the digest in the header".into()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Reader<'a> {
    file: SafeTensors<'a>,
}

impl Reader<'_> {
    /// A tensor of `rank` axes, the last of extent `last` if that is given.
    fn array<const N: usize, T>(
        &self,
        name: &str,
        dtype: Dtype,
        rank: usize,
        last: Option<usize>,
        of: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, String> {
        let view = self.file.tensor(name).map_err(|_| format!("no tensor '{name}'"))?;
        let shape = view.shape();
        if view.dtype() != dtype || shape.len() != rank || last.is_some_and(|last| shape.last() != Some(&last)) {
            return Err(format!("tensor '{name}' is {:?} {shape:?}", view.dtype()));
        }
        Ok(view.data().as_chunks::<N>().0.iter().map(|&bytes| of(bytes)).collect())
    }

    fn wide(&self, name: &str, rank: usize, last: Option<usize>) -> Result<Vec<f64>, String> {
        self.array(name, Dtype::F64, rank, last, f64::from_le_bytes)
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        self.array(name, Dtype::F32, 1, None, f32::from_le_bytes)
    }

    fn whole(&self, name: &str, rank: usize, last: Option<usize>) -> Result<Vec<usize>, String> {
        self.array(name, Dtype::U32, rank, last, |bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn certificate(&self, metadata: Metadata) -> Result<Certificate, String> {
        if self.file.len() != 13 {
            return Err(format!("{} tensors: expected 13", self.file.len()));
        }
        let property = self.property()?;
        let slopes: Vec<(usize, usize)> = pairs(&self.whole("slopes", 2, Some(2))?);
        let starts = self.starts(&slopes)?;
        let derivation = match metadata.derivation.as_str() {
            "interval" if starts.is_empty() => Derivation::Interval,
            "crown" => Derivation::Crown(starts),
            other => return Err(format!("derivation '{other}': expected interval, without starts, or crown")),
        };
        let trees = self.trees(&property, slopes.len())?;
        Ok(Certificate { network: metadata.network, property, derivation, slopes, trees, about: metadata.about })
    }

    fn property(&self) -> Result<Property, String> {
        let bounds = self.wide("clauses.bounds", 1, None)?;
        let coefficients = self.wide("clauses.coefficients", 2, None)?;
        if bounds.is_empty() || coefficients.is_empty() || coefficients.len() % bounds.len() != 0 {
            return Err(format!("{} coefficients of {} constraints", coefficients.len(), bounds.len()));
        }
        let rows = coefficients.chunks(coefficients.len() / bounds.len());
        let constraints = rows.zip(bounds).map(|(row, bound)| Constraint { coefficients: row.to_vec(), bound });
        let clauses = portions(constraints.collect(), &self.whole("clauses.lengths", 1, None)?, "constraints")?;
        Ok(Property { lower: self.wide("box.lower", 1, None)?, upper: self.wide("box.upper", 1, None)?, clauses })
    }

    fn starts(&self, slopes: &[(usize, usize)]) -> Result<Vec<Start>, String> {
        let rows = self.whole("starts.rows", 2, Some(3))?;
        let mut own = Supply::new(self.floats("starts.slopes")?, "slopes of starts");
        let mut starts = Vec::new();
        for row in rows.as_chunks::<3>().0 {
            let [layer, neuron, side] = *row;
            let side = match side {
                0 => Side::Lower,
                1 => Side::Upper,
                other => return Err(format!("side {other} of a start: expected 0 or 1")),
            };
            // Ascending, or the check refuses it.
            let count = slopes.partition_point(|entry| entry.0 < layer);
            starts.push(Start { layer, neuron, side, slopes: own.take(count)? });
        }
        own.end()?;
        Ok(starts)
    }

    fn trees(&self, property: &Property, entries: usize) -> Result<Vec<Tree>, String> {
        let parts = self.whole("trees.parts", 2, Some(3))?;
        let parts = portions(parts.as_chunks::<3>().0.to_vec(), &self.whole("trees.lengths", 1, None)?, "parts")?;
        if parts.len() != property.clauses.len() {
            return Err(format!("{} trees for {} clauses", parts.len(), property.clauses.len()));
        }
        let mut weights = Supply::new(self.floats("leaves.weights")?, "weights of leaves");
        let mut slopes = Supply::new(self.floats("leaves.slopes")?, "slopes of leaves");
        let mut multipliers = Supply::new(self.floats("leaves.multipliers")?, "multipliers of leaves");
        let mut trees = Vec::new();
        for (parts, clause) in parts.into_iter().zip(&property.clauses) {
            // For each split on the path whether its second subtree has begun; refinements need no place.
            let (mut tree, mut path) = (Vec::new(), Vec::new());
            for part in parts {
                tree.push(match part {
                    [0, own @ (0 | 1), 0] => {
                        let leaf = Part::Leaf {
                            weights: weights.take(clause.len())?,
                            slopes: (own == 1).then(|| slopes.take(entries)).transpose()?,
                            multipliers: multipliers.take(path.len())?,
                        };
                        while path.last() == Some(&true) {
                            path.pop();
                        }
                        if let Some(second) = path.last_mut() {
                            *second = true;
                        }
                        leaf
                    }
                    [1, layer, neuron] => {
                        path.push(false);
                        if path.len() > super::MOST_DEPTH {
                            return Err(format!("a tree deeper than {}", super::MOST_DEPTH));
                        }
                        Part::Split { layer, neuron }
                    }
                    [2, 0, 0] => Part::Refine,
                    other => return Err(format!("part {other:?} of a tree")),
                });
            }
            trees.push(Tree { parts: tree });
        }
        weights.end()?;
        slopes.end()?;
        multipliers.end()?;
        Ok(trees)
    }
}

fn pairs(numbers: &[usize]) -> Vec<(usize, usize)> {
    numbers.as_chunks::<2>().0.iter().map(|&[a, b]| (a, b)).collect()
}

/// Cuts a list into portions of these lengths, which must use all of it.
fn portions<T>(list: Vec<T>, lengths: &[usize], what: &str) -> Result<Vec<Vec<T>>, String> {
    let total = lengths.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if total != Some(list.len()) {
        return Err(format!("{} {what}: their numbers say otherwise", list.len()));
    }
    let mut rest = list.into_iter();
    Ok(lengths.iter().map(|&n| rest.by_ref().take(n).collect()).collect())
}

/// Numbers that are handed out one after the other.
struct Supply {
    values: Vec<f32>,
    taken: usize,
    what: &'static str,
}

impl Supply {
    fn new(values: Vec<f32>, what: &'static str) -> Supply {
        Supply { values, taken: 0, what }
    }

    fn take(&mut self, count: usize) -> Result<Vec<f32>, String> {
        let part = self.values[self.taken..].get(..count);
        let part = part.ok_or_else(|| format!("{}: too few, something is missing", self.what))?.to_vec();
        self.taken += count;
        Ok(part)
    }

    fn end(&self) -> Result<(), String> {
        match self.values.len() - self.taken {
            0 => Ok(()),
            more => Err(format!("{}: {more} too many", self.what)),
        }
    }
}
