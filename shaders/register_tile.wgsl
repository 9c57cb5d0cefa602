// register_tile: the middle of a kernel of register tiles: the sums of an invocation, of ROWS rows and 8 columns in steps of GROUP, and the places
// of their operands. The kernel's beginning says where a row's operands begin (`row_begin`) and reads one (`row_element`), its end how
// invocations share them (`SHARED`, `spread`).

override GROUP: u32;
// At most 2·MOST_BLOCK.
override ROWS: u32;
// Rows are kept in blocks: drivers unroll loops of few turns only, and the sums are in registers only then.
override BLOCK: u32 = min(ROWS, MOST_BLOCK);
override READS: u32 = (BLOCK + SHARED - 1u) / SHARED;

const MOST_BLOCK = 16u;
// Vectors of four columns.
const VECTORS = 2u;

// What belongs to a block's rows: the sums, and where the operands begin that this invocation reads.
alias Sums = array<array<vec4<f32>, VECTORS>, MOST_BLOCK>;
alias Places = array<u32, MOST_BLOCK>;

fn places(first_row: u32, lane: u32) -> Places {
    var at: Places;
    for (var k = 0u; k < READS; k++) {
        at[k] = row_begin(first_row + k * SHARED + lane);
    }
    return at;
}

// Adds the products of the columns' `q` with the rows' operands (with `magnitudes` their absolute values), `place` behind their begins.
fn add(sums: ptr<function, Sums>, at: ptr<function, Places>, place: u32, magnitudes: bool, q: array<vec4<f32>, VECTORS>) {
    var read: array<f32, MOST_BLOCK>;
    for (var k = 0u; k < READS; k++) {
        let v = row_element(at[k] + place);
        read[k] = select(v, abs(v), magnitudes);
    }
    for (var c = 0u; c < BLOCK; c++) {
        let p = spread(read[c / SHARED], c % SHARED);
        for (var i = 0u; i < VECTORS; i++) {
            sums[c][i] += p * q[i];
        }
    }
}

// The place of element i of an array whose last two extents are these.
fn place_of(i: u32, extents: vec2<u32>) -> vec3<u32> {
    let line = i / extents.y;
    return vec3<u32>(line / extents.x, line % extents.x, i % extents.y);
}

// The place `by` further. Neither extent is reached by `by`, so that each is passed at most once; a division for each place would be far more
// code.
fn further(at: vec3<u32>, by: vec3<u32>, extents: vec2<u32>) -> vec3<u32> {
    let z = at.z + by.z;
    let past_z = z >= extents.y;
    let y = at.y + by.y + u32(past_z);
    let past_y = y >= extents.x;
    return vec3<u32>(at.x + by.x + u32(past_y), select(y, y - extents.x, past_y), select(z, z - extents.y, past_z));
}

