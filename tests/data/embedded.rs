use smallbox::data::{LoadOptions, Split, contact_sheet, embedded, load, split_sha256};

fn whole() -> (Split, Split) {
    let options = LoadOptions { validation: Some(0), ..Default::default() };
    let dataset = load(embedded::NAME, &options).unwrap();
    assert!(dataset.validation.is_none());
    (dataset.train, dataset.test)
}

/// The same bytes on every machine. A change of these sums is a change of the dataset: figures made before can't be compared
/// with figures made after.
#[test]
fn bytes_are_the_recorded_ones() {
    let (train, test) = whole();
    assert_eq!(split_sha256(&train), embedded::TRAIN_SHA256);
    assert_eq!(split_sha256(&test), embedded::TEST_SHA256);
}

#[test]
fn shapes_and_classes() {
    let (train, test) = whole();
    assert_eq!((train.len(), test.len()), (10_000, 2_000));
    for split in [&train, &test] {
        assert_eq!([split.channels, split.height, split.width, split.classes], [1, 28, 28, 10]);
        assert_eq!(split.images.len(), split.len() * 784);
        let mut counts = [0usize; 10];
        split.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        // Uniform labels: each count is binomial, within five deviations.
        let n = split.len() as f64;
        let slack = 5.0 * (n * 0.1 * 0.9).sqrt();
        assert!(counts.iter().all(|&count| (count as f64 - n / 10.0).abs() < slack), "{counts:?}");
    }
}

/// What robust training at ε = 0.1 needs: dark paper, bright ink, a part of the picture that is ink.
#[test]
fn pictures_have_contrast() {
    let (train, _) = whole();
    for index in 0..train.len() {
        let image = train.image(index);
        let bright = image.iter().filter(|&&p| p >= 128).count();
        let dark = image.iter().filter(|&&p| p <= 26).count();
        assert!((10..=400).contains(&bright), "sample {index}: {bright} bright pixels");
        assert!(dark > 300, "sample {index}: {dark} dark pixels");
    }
    let statistics = train.channel_statistics();
    assert!((0.08..0.25).contains(&statistics.mean[0]), "{statistics:?}");
}

#[test]
fn no_picture_appears_twice() {
    let (train, test) = whole();
    let mut all: Vec<&[u8]> = train.images.chunks(784).chain(test.images.chunks(784)).collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}

/// A threshold on a template would do if the digits were too easy: the nearest class mean must not solve the task, but must be far
/// from chance.
#[test]
fn nearest_class_mean_is_neither_chance_nor_enough() {
    let (train, test) = whole();
    let mut sums = vec![[0f64; 784]; 10];
    let mut counts = [0f64; 10];
    for (image, &label) in train.images.chunks(784).zip(&train.labels) {
        counts[usize::from(label)] += 1.0;
        for (sum, &pixel) in sums[usize::from(label)].iter_mut().zip(image) {
            *sum += f64::from(pixel);
        }
    }
    for (sum, count) in sums.iter_mut().zip(counts) {
        sum.iter_mut().for_each(|value| *value /= count);
    }
    let right = test
        .images
        .chunks(784)
        .zip(&test.labels)
        .filter(|(image, label)| {
            let distance =
                |mean: &[f64; 784]| -> f64 { image.iter().zip(mean).map(|(&p, m)| (f64::from(p) - m).powi(2)).sum() };
            let nearest = (0..10).min_by(|&a, &b| distance(&sums[a]).total_cmp(&distance(&sums[b])));
            nearest == Some(usize::from(**label))
        })
        .count();
    let rate = right as f64 / test.len() as f64;
    assert!((0.5..0.95).contains(&rate), "nearest mean reaches {rate}");
}

#[test]
fn contact_sheet_shows_the_samples_in_order() {
    let (_, test) = whole();
    let sheet = contact_sheet(&test, 2, 3).unwrap();
    assert_eq!(sheet.dimensions(), (2 + 3 * 30, 2 + 2 * 30));
    // Sample 4 is the second of the second row.
    for (x, y) in [(0, 0), (13, 14), (27, 27)] {
        let value = test.image(4)[y * 28 + x];
        let pixel = sheet.get_pixel((2 + 30 + x) as u32, (2 + 30 + y) as u32);
        assert_eq!(pixel.0, [value; 3]);
    }
    assert!(contact_sheet(&test, 0, 3).is_err());
    assert!(contact_sheet(&test, 1, usize::MAX).is_err());
    let two_channels = Split::new(vec![0; 8], vec![0], [2, 2, 2], 1).unwrap();
    assert!(contact_sheet(&two_channels, 1, 1).is_err());
    let color = Split::new(vec![1, 2, 3], vec![0], [3, 1, 1], 1).unwrap();
    assert_eq!(contact_sheet(&color, 1, 1).unwrap().get_pixel(2, 2).0, [1, 2, 3]);
}
