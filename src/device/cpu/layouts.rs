//! Which values of a plan lie in blocks of channels: see [`Layout`].
//!
//! Values that calls want in one layout form a group. A group is in blocks if every call that touches it takes blocks and at least one gains
//! by them. What comes from outside or is seen there is in planes.

use std::collections::{BTreeMap, HashMap};

use crate::graph::Plan;
use crate::graph::plan::Storage;
use crate::kernel::Layout;
use crate::shape::{DType, TensorType};

/// One content of a work buffer.
struct Content {
    images: Option<[usize; 3]>,
    /// Another content of its group, or itself.
    joined: usize,
    /// What is known of the group, at the content that stands for it.
    planes: bool,
    gain: bool,
}

/// The layouts of the operands of each step, inputs before outputs, where vectors have `lanes` lanes.
pub(super) fn choose(plan: &Plan, lanes: usize) -> Vec<Vec<Layout>> {
    let mut contents: Vec<Content> = Vec::new();
    let mut present: HashMap<Storage, usize> = HashMap::new();
    let mut operands: Vec<Vec<Option<usize>>> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let of_outputs = |(storage, ty): (&Storage, &TensorType)| {
            matches!(storage, Storage::Slot(_)).then(|| {
                let images = images(ty);
                let planes = !images.is_some_and(|[_, channels, _]| channels.is_multiple_of(lanes));
                contents.push(Content { images, joined: contents.len(), planes, gain: false });
                contents.len() - 1
            })
        };
        let read: Vec<Option<usize>> = step.inputs.iter().map(|storage| present.get(storage).copied()).collect();
        let made: Vec<Option<usize>> = step.outputs.iter().zip(&step.signature.outputs).map(of_outputs).collect();
        present.extend(step.outputs.iter().copied().zip(&made).filter_map(|(storage, made)| Some((storage, (*made)?))));
        let all: Vec<Option<usize>> = read.into_iter().chain(made).collect();

        let layouts = step.in_layouts().layouts(&step.signature);
        assert_eq!(layouts.groups.len(), all.len(), "{}: a group or none for every operand", step.op.name());
        let types = step.signature.inputs.iter().chain(&step.signature.outputs);
        let mut groups: BTreeMap<usize, Vec<Option<usize>>> = BTreeMap::new();
        for ((&content, ty), group) in all.iter().zip(types).zip(layouts.groups) {
            // Who sees other images there sees another order.
            let seen = layouts.images.or_else(|| images(ty));
            let same = |content: usize| seen.is_none() || contents[content].images == seen;
            let movable = content.filter(|&content| group.is_some() && same(content));
            if let (Some(content), None) = (content, movable) {
                in_planes(&mut contents, content);
            }
            if let Some(group) = group {
                groups.entry(group).or_default().push(movable);
            }
        }
        for group in groups.values() {
            // What is no work buffer is in planes, and so are those that go with it.
            let fixed = group.contains(&None);
            let mut movable = group.iter().flatten();
            let Some(&first) = movable.next() else { continue };
            movable.for_each(|&other| join(&mut contents, first, other));
            let stands = find(&contents, first);
            contents[stands].planes |= fixed;
            contents[stands].gain |= layouts.gain;
        }
        operands.push(all);
    }
    for (_, storage) in &plan.outputs {
        if let Some(&content) = present.get(storage) {
            in_planes(&mut contents, content);
        }
    }
    let layout = |content: &Option<usize>| match content.map(|content| &contents[find(&contents, content)]) {
        Some(group) if group.gain && !group.planes => Layout::Blocks,
        _ => Layout::Planes,
    };
    operands.iter().map(|operands| operands.iter().map(layout).collect()).collect()
}

/// Samples, channels and pixels of a value that is images, its pixels along two axes or along one.
fn images(ty: &TensorType) -> Option<[usize; 3]> {
    let images = ty.dtype == DType::F32 && matches!(ty.shape.rank(), 3 | 4);
    images.then(|| [ty.shape[0], ty.shape[1], ty.shape.dims()[2..].iter().product()])
}

/// The content that stands for the group of `content`.
fn find(contents: &[Content], mut content: usize) -> usize {
    while contents[content].joined != content {
        content = contents[content].joined;
    }
    content
}

fn in_planes(contents: &mut [Content], content: usize) {
    let stands = find(contents, content);
    contents[stands].planes = true;
}

fn join(contents: &mut [Content], a: usize, b: usize) {
    let (a, b) = (find(contents, a), find(contents, b));
    if a != b {
        contents[b].joined = a;
        contents[a].planes |= contents[b].planes;
        contents[a].gain |= contents[b].gain;
    }
}
