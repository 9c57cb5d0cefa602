//! Which part of an image the network sees.

use smallbox::data::{Augmentation, Batches, Split, View};

/// One image of 2 channels, 3 × 4: pixel = 100 · channel + 10 · row + column.
fn image() -> Split {
    let pixels = (0..2u8).flat_map(|c| (0..3u8).flat_map(move |y| (0..4u8).map(move |x| 100 * c + 10 * y + x)));
    Split::new(pixels.collect(), vec![0], [2, 3, 4], 1).unwrap()
}

fn bytes(split: &Split, view: View) -> Vec<u8> {
    let mut image = vec![f32::NAN; split.input().iter().product()];
    split.write_view(0, view, &mut image);
    image.iter().map(|v| (v * 255.0).round() as u8).collect()
}

#[test]
fn borders_are_continued_and_mirrored_images_are_cut_after_mirroring() {
    let split = image();
    let shown = bytes(&split, View { top: -1, left: 2, mirrored: false });
    assert_eq!(shown[..12], [2, 3, 3, 3, 2, 3, 3, 3, 12, 13, 13, 13]);
    assert_eq!(shown[12..16], [102, 103, 103, 103]);
    let shown = bytes(&split, View { top: 1, left: -1, mirrored: true });
    assert_eq!(shown[..12], [13, 13, 12, 11, 23, 23, 22, 21, 23, 23, 22, 21]);
}

#[test]
fn the_middle_is_the_same_in_bytes_and_in_values() {
    let root = smallbox::data::load("embedded", &smallbox::data::LoadOptions { crop: Some(21), ..Default::default() });
    let split = root.unwrap().test;
    let mut image = vec![0.0; 21 * 21];
    split.write_view(5, View::middle(&split), &mut image);
    let bytes: Vec<u8> = image.iter().map(|v| (v * 255.0).round() as u8).collect();
    assert_eq!(split.middle_bytes(5), bytes);
    assert_eq!(bytes[0], split.image(5)[3 * 28 + 3]);
}

/// Every offset and both directions come, about equally often, and depend on seed, epoch and sample, each alone.
#[test]
fn random_views_are_uniform_and_keyed_by_seed_epoch_and_sample() {
    let split = Split::new(vec![0; 32 * 32], vec![0], [1, 32, 32], 1).unwrap();
    let usual = Augmentation { flip: true, padding: 2, crop: None };
    let mut counts = std::collections::HashMap::new();
    let n = 20_000;
    for index in 0..n {
        let view = View::random(&split, usual, 3, 1, index);
        *counts.entry((view.top, view.left, view.mirrored)).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 5 * 5 * 2);
    // 400 each with a deviation of about 20; six of them for fifty counts.
    assert!(counts.values().all(|&c| (280..520).contains(&c)), "{counts:?}");
    assert!(counts.keys().all(|&(top, left, _)| (-2..=2).contains(&top) && (-2..=2).contains(&left)));
    let views = |seed, epoch| (0..50).map(|i| View::random(&split, usual, seed, epoch, i)).collect::<Vec<_>>();
    assert_eq!(views(3, 1), views(3, 1));
    for other in [views(4, 1), views(3, 2), views(3, 1 + (1 << 32)), views(3 + (1 << 32), 1)] {
        assert_ne!(other, views(3, 1));
    }
    let plain = Augmentation::default();
    assert!((0..50).all(|i| View::random(&split, plain, 3, 1, i) == View { top: 0, left: 0, mirrored: false }));
}

/// A batch shows each sample as its own view does, whatever the batch size.
#[test]
fn batches_hold_the_views_of_their_samples() {
    let images = (0..6 * 16).map(|p| p as u8).collect();
    let split = Split::new(images, vec![0; 6], [1, 4, 4], 1).unwrap();
    let augmentation = Augmentation { flip: true, padding: 1, crop: None };
    let of = |batch: usize| {
        let mut batches = Batches::training(&split, batch, 9, 2, 0, augmentation).unwrap();
        let (mut all, mut images, mut labels) = (Vec::new(), vec![0.0; 16 * batch], vec![0; batch]);
        while batches.next_into(&mut images, &mut labels).unwrap().is_some() {
            all.extend_from_slice(&images);
        }
        all
    };
    assert_eq!(of(2), of(3));
    let mut order = [0; 6];
    smallbox::data::epoch_order(&mut order, 9, 2);
    let mut first = [0.0; 16];
    split.write_view(order[0] as usize, View::random(&split, augmentation, 9, 2, order[0]), &mut first);
    assert_eq!(of(2)[..16], first);
}
