//! Batches made ahead are the batches.

use std::sync::Arc;

use smallbox::data::{Augmentation, Batches, Dataset, LoadOptions, Loader, LoaderOptions, load};

const USUAL: Augmentation = Augmentation { flip: true, padding: 2, crop: None };

fn dataset() -> Arc<Dataset> {
    Arc::new(load("embedded", &LoadOptions { limit: Some(50), ..Default::default() }).unwrap())
}

fn options(epoch: u64, first_batch: usize) -> LoaderOptions {
    LoaderOptions { batch: 8, seed: 5, augmentation: USUAL, epoch, first_batch, epochs: 3 }
}

/// All batches from batch `first` of `epoch` to the end of epoch 3, made one by one.
fn expected(dataset: &Dataset, epoch: u64, first: usize) -> Vec<(Vec<f32>, Vec<u32>)> {
    let mut all = Vec::new();
    for (epoch, first) in (epoch..=3).zip(std::iter::once(first).chain(std::iter::repeat(0))) {
        let mut batches = Batches::training(&dataset.train, 8, 5, epoch, first, USUAL).unwrap();
        let (mut images, mut labels) = (vec![0.0; 8 * 784], vec![0; 8]);
        while batches.next_into(&mut images, &mut labels).unwrap().is_some() {
            all.push((images.clone(), labels.clone()));
        }
    }
    all
}

#[test]
fn batches_come_in_order_across_epochs_from_any_place() {
    let dataset = dataset();
    for (epoch, first) in [(1, 0), (1, 4), (2, 6), (3, 5)] {
        let mut loader = Loader::new(dataset.clone(), options(epoch, first)).unwrap();
        let expected = expected(&dataset, epoch, first);
        for (i, (images, labels)) in expected.iter().enumerate() {
            let batch = loader.next_batch();
            assert!(batch.images == *images && batch.labels == *labels, "epoch {epoch}, batch {first}: {i}");
        }
    }
}

#[test]
fn a_loader_can_go_before_its_end() {
    let mut loader = Loader::new(dataset(), options(1, 0)).unwrap();
    loader.next_batch();
    drop(loader);
    drop(Loader::new(dataset(), options(1, 0)).unwrap());
    // Nothing is left, nothing was asked for.
    drop(Loader::new(dataset(), options(3, 6)).unwrap());
}

#[test]
#[should_panic(expected = "no batch is left")]
fn after_the_end_there_is_none() {
    let mut loader = Loader::new(dataset(), options(3, 5)).unwrap();
    loader.next_batch();
    loader.next_batch();
}

#[test]
fn wrong_batches_are_refused_at_once_and_waiting_is_counted() {
    assert!(Loader::new(dataset(), LoaderOptions { batch: 51, ..options(1, 0) }).is_err());
    let mut loader = Loader::new(dataset(), options(1, 0)).unwrap();
    loader.next_batch();
    let waited = loader.take_waited();
    assert!(waited > std::time::Duration::ZERO, "the first batch is waited for");
    assert_eq!(loader.take_waited(), std::time::Duration::ZERO);
}
