//! Reader of IDX files (the format of MNIST), plain or gzip'd.
//!
//! Layout: two zero bytes, a type byte (0x08 = unsigned byte), the rank, one big-endian u32 per axis, then the elements
//! in row-major order. Source: the format's description at <http://yann.lecun.com/exdb/mnist/>.
//!
//! Files are not trusted: declared sizes are bounded before anything is allocated, the length must be exact, and a
//! compressed file is unpacked only as far as its header says.

use std::io::Read;
use std::path::Path;

use super::gzip::{self, Content, read_up_to};
use crate::error::{Error, Result};

/// Largest content that is read, in bytes (MNIST's largest file has 47 MB).
const MAX_BYTES: u64 = 1 << 28;
/// Largest rank of a file that this module reads.
const MAX_RANK: usize = 4;
const UNSIGNED_BYTE: u8 = 0x08;

/// What an IDX file holds: unsigned bytes of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Extents, outermost first.
    pub dims: Vec<usize>,
    /// Elements, row-major.
    pub bytes: Vec<u8>,
}

/// Whether the file is to hold pictures or labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rank 3: N, H, W.
    Images,
    /// Rank 1: N.
    Labels,
}

impl Kind {
    fn rank(self) -> usize {
        match self {
            Kind::Images => 3,
            Kind::Labels => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Images => "images",
            Kind::Labels => "labels",
        }
    }
}

impl Idx {
    /// The file's header as it is stored, which with [`Idx::bytes`] makes up the uncompressed file.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = vec![0, 0, UNSIGNED_BYTE, self.dims.len() as u8];
        for &dim in &self.dims {
            header.extend((dim as u32).to_be_bytes());
        }
        header
    }
}

/// Reads the images or labels of `path`; gzip is recognised by its content, not by the name.
///
/// # Errors
/// [`Error::Data`] saying what is wrong and what would be right: not an IDX file, another element type or rank, sizes
/// above the bound, too short, too long, corrupt gzip. [`Error::Io`] when the system can't read the file.
pub fn read(path: &Path, kind: Kind) -> Result<Idx> {
    let Content { reader: mut content, form } = gzip::open(path)?;
    let broken = |error| form.broken(path, error);
    let mut header = [0u8; 4 + 4 * MAX_RANK];
    let magic = read_up_to(&mut content, &mut header[..4]).map_err(&broken)?;
    let rank = check_magic(path, kind, &header[..magic])?;
    let header_bytes = 4 + 4 * rank;
    let sizes = read_up_to(&mut content, &mut header[4..header_bytes]).map_err(&broken)?;
    if sizes < 4 * rank {
        return Err(Error::data(
            path,
            format!("truncated: expected an IDX header of {header_bytes} bytes, found {}", 4 + sizes),
        ));
    }
    let dims: Vec<usize> = header[4..header_bytes]
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let elements = check_size(path, &dims)?;

    // One byte more than there may be shows that the file is too long. The buffer grows with what is really there, so a
    // header can't make it larger than the file.
    let mut bytes = Vec::new();
    content.take(elements + 1).read_to_end(&mut bytes).map_err(&broken)?;
    let expected = header_bytes as u64 + elements;
    let found = header_bytes as u64 + bytes.len() as u64;
    if found < expected {
        return Err(Error::data(
            path,
            format!("truncated: the header {dims:?} asks for {expected} bytes{}, found {found}", form.note()),
        ));
    }
    if found > expected {
        return Err(Error::data(
            path,
            format!("too long: the header {dims:?} asks for {expected} bytes{}, found more", form.note()),
        ));
    }
    Ok(Idx { dims, bytes })
}

/// The rank, if `magic` is that of an IDX file of unsigned bytes and of the rank that `kind` has.
fn check_magic(path: &Path, kind: Kind, magic: &[u8]) -> Result<usize> {
    let wanted = format!("expected an IDX {} file (it begins 00 00 08 {:02x})", kind.name(), kind.rank());
    let &[zero0, zero1, element, rank] = magic else {
        return Err(Error::data(path, format!("truncated: {wanted}, found {} bytes in all", magic.len())));
    };
    if [zero0, zero1] != [0, 0] {
        return Err(Error::data(path, format!("not an IDX file: {wanted}, found {}", foreign(magic))));
    }
    if element != UNSIGNED_BYTE {
        let name = match element {
            0x09 => "signed bytes",
            0x0b => "16-bit integers",
            0x0c => "32-bit integers",
            0x0d => "32-bit floats",
            0x0e => "64-bit floats",
            _ => "an unknown type",
        };
        return Err(Error::data(path, format!("{wanted}, found elements of type {element:#04x} ({name})")));
    }
    let rank = usize::from(rank);
    if rank != kind.rank() {
        let found = match rank {
            1 => "labels (rank 1)".to_string(),
            3 => "images (rank 3)".to_string(),
            _ => format!("rank {rank}"),
        };
        return Err(Error::data(path, format!("{wanted}, found {found}")));
    }
    Ok(rank)
}

/// What a file that is no IDX file looks like.
fn foreign(magic: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 8] = [
        (&gzip::MAGIC, "gzip data packed a second time"),
        (b"PK", "a ZIP archive"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"\x93NUM", "a NumPy array"),
        (b"\xfd7zX", "an xz archive"),
        (b"<", "a web page (HTML or XML)"),
        (b"BZh", "a bzip2 archive"),
    ];
    match KNOWN.iter().find(|(start, _)| magic.starts_with(start)) {
        Some((_, name)) => (*name).to_string(),
        None => format!("the bytes {magic:02x?}"),
    }
}

/// The number of elements of `dims`, if it is not above [`MAX_BYTES`].
fn check_size(path: &Path, dims: &[usize]) -> Result<u64> {
    dims.iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim as u64))
        .filter(|&elements| elements <= MAX_BYTES)
        .ok_or_else(|| {
            Error::data(path, format!("the header asks for {dims:?} elements; at most {MAX_BYTES} are read"))
        })
}
