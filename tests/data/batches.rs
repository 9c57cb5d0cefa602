use smallbox::data::{Augmentation, Batches, Split, View, epoch_order};
use smallbox::error::Error;

const PLAIN: Augmentation = Augmentation { flip: false, padding: 0, crop: None };

/// `n` samples of 1 × 1 × 2 pixels; pixel 0 is the sample's index.
fn split(n: usize) -> Split {
    let images = (0..n).flat_map(|i| [i as u8, 255]).collect();
    let labels = (0..n).map(|i| (i % 3) as u8).collect();
    Split::new(images, labels, [1, 1, 2], 3).unwrap()
}

/// Indices of the samples of each batch to come, after checking pixels and labels.
fn indices(batches: &mut Batches<'_>, batch: usize) -> Vec<Vec<usize>> {
    let (mut images, mut labels) = (vec![f32::NAN; 2 * batch], vec![u32::MAX; batch]);
    let mut all = Vec::new();
    while let Some(count) = batches.next_into(&mut images, &mut labels).unwrap() {
        let samples: Vec<usize> = images.chunks(2).take(count).map(|p| (p[0] * 255.0).round() as usize).collect();
        for (slot, &index) in samples.iter().enumerate() {
            assert_eq!(images[2 * slot], index as u8 as f32 / 255.0);
            assert_eq!(images[2 * slot + 1], 1.0);
            assert_eq!(labels[slot], index as u32 % 3);
        }
        assert!(images[2 * count..].iter().all(|&p| p == 0.0), "filled up with black");
        assert!(labels[count..].iter().all(|&l| l == 0));
        all.push(samples);
    }
    assert_eq!(batches.next_into(&mut images, &mut labels).unwrap(), None, "the end stays the end");
    all
}

#[test]
fn every_pixel_value_is_byte_over_255() {
    let split = Split::new((0..=255).collect(), vec![0], [1, 16, 16], 1).unwrap();
    let mut image = [f32::NAN; 256];
    split.write_view(0, View::middle(&split), &mut image);
    for (byte, value) in image.iter().enumerate() {
        assert_eq!(value.to_bits(), (byte as u8 as f32 / 255.0).to_bits());
    }
}

#[test]
fn evaluation_covers_every_sample_once_in_order() {
    for (n, batch) in [(10, 4), (8, 4), (3, 5), (1, 1), (200, 7)] {
        let split = split(n);
        let mut batches = Batches::evaluation(&split, batch).unwrap();
        assert_eq!(batches.per_epoch(), n.div_ceil(batch));
        let all = indices(&mut batches, batch);
        assert_eq!(all.len(), n.div_ceil(batch));
        assert_eq!(all.concat(), (0..n).collect::<Vec<_>>());
        batches.restart(7, 0).unwrap();
        assert_eq!(indices(&mut batches, batch), all);
    }
    let empty = Split::new(vec![], vec![], [1, 1, 2], 3).unwrap();
    assert!(indices(&mut Batches::evaluation(&empty, 4).unwrap(), 4).is_empty());
}

#[test]
fn training_is_a_permutation_without_the_rest() {
    let split = split(203);
    let mut batches = Batches::training(&split, 10, 5, 0, 0, PLAIN).unwrap();
    assert_eq!(batches.per_epoch(), 20);
    let first = indices(&mut batches, 10);
    assert!(first.iter().all(|b| b.len() == 10));
    let mut seen = first.concat();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200, "no sample twice in an epoch");
    // Another epoch or another seed is another order; the same is the same.
    let order = |seed, epoch| indices(&mut Batches::training(&split, 10, seed, epoch, 0, PLAIN).unwrap(), 10);
    assert_eq!(order(5, 0), first);
    assert_ne!(order(5, 1), first);
    assert_ne!(order(6, 0), first);
    assert_ne!(order(5, 1 << 32), first, "all of the epoch's number counts");
    assert_ne!(order(5 + (1 << 32), 0), first, "all of the seed counts");
}

#[test]
fn resuming_gives_the_rest_of_the_epoch() {
    let split = split(100);
    let whole = indices(&mut Batches::training(&split, 8, 1, 3, 0, PLAIN).unwrap(), 8);
    for first_batch in [0, 1, 7, 11, 12] {
        let mut resumed = Batches::training(&split, 8, 1, 3, first_batch, PLAIN).unwrap();
        assert_eq!(resumed.position(), first_batch);
        assert_eq!(indices(&mut resumed, 8), whole[first_batch..]);
    }
    // And restarting one iterator is the same as making it anew.
    let mut batches = Batches::training(&split, 8, 1, 0, 0, PLAIN).unwrap();
    batches.restart(3, 2).unwrap();
    assert_eq!(indices(&mut batches, 8), whole[2..]);
}

/// The order is part of what "the same seed gives the same run" means, so it must not change by accident.
/// The order was computed by a second implementation, outside the project.
#[test]
fn the_order_is_the_recorded_one() {
    let mut order = [0; 8];
    epoch_order(&mut order, 1, 2);
    assert_eq!(order, [2, 3, 4, 5, 7, 6, 1, 0]);
    let mut sorted = order;
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn every_sample_comes_first_equally_often() {
    let mut counts = [0u32; 5];
    let mut order = [0; 5];
    for epoch in 0..5_000 {
        epoch_order(&mut order, 9, epoch);
        counts[order[0] as usize] += 1;
    }
    // Binomial: 1000 expected, deviation 28.3; five of them.
    assert!(counts.iter().all(|&n| (859..=1141).contains(&n)), "{counts:?}");
}

#[test]
fn wrong_sizes_are_refused() {
    let split = split(10);
    for error in [
        Batches::evaluation(&split, 0).unwrap_err(),
        Batches::training(&split, 0, 0, 0, 0, PLAIN).unwrap_err(),
        Batches::training(&split, 11, 0, 0, 0, PLAIN).unwrap_err(),
        Batches::training(&split, 5, 0, 0, 3, PLAIN).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
    let mut batches = Batches::evaluation(&split, 4).unwrap();
    for (images, labels) in [(8, 3), (7, 4), (9, 4), (8, 5)] {
        let error = batches.next_into(&mut vec![0.0; images], &mut vec![0; labels]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    assert!(Split::new(vec![0; 5], vec![0, 0], [1, 1, 2], 3).is_err());
    assert!(Split::new(vec![0; 4], vec![0, 3], [1, 1, 2], 3).unwrap_err().to_string().contains("label 3 at sample 1"));
}
