//! `smallbox analyze exact`: the exact images of a box under networks of two inputs.

use smallbox::analyze::exact::{Exact, Place as Asked, Point, Question, Subject, attacked, check};
use smallbox::data::{Split, View};
use smallbox::error::{Error, Result};
use smallbox::train::{SmallBox, checkpoint};

use super::models::{self, Loaded, Options};
use super::place::Place;
use crate::cli::options::DeviceOptions;
use crate::cli::parse;
use crate::cli::progress::Meter;

/// Options of `analyze exact`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: Options,
    /// Draw point I of the split, counted from 0 `[default: the first that all networks classify correctly and of whose ε box a tenth or
    /// more is adversarial for the first network and nothing for the last; if there is none, less]`
    #[arg(long, value_name = "I", conflicts_with = "at")]
    index: Option<usize>,
    /// Draw the point (X, Y) of the unit square
    #[arg(long, value_name = "X,Y", value_parser = pair, allow_hyphen_values = true)]
    at: Option<[f32; 2]>,
    /// Class of that point `[default: that of the nearest one of the split]`
    #[arg(long, value_name = "K", requires = "at")]
    label: Option<usize>,
    /// Radius of the small box relative to epsilon, in (0, 1] `[default: that of the first run trained with small boxes, else 0.4]`
    #[arg(long, value_name = "L", value_parser = parse::number, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Count the first N points of the split in the last table
    #[arg(long, value_name = "N", default_value_t = 500)]
    limit: usize,
    /// Seed of the attack's starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    place: Place,
}

/// Two coordinates of the unit square.
fn pair(text: &str) -> std::result::Result<[f32; 2], String> {
    let wrong = || "expected X,Y with both in [0, 1], such as 0.3,0.7".to_string();
    let (x, y) = text.split_once(',').ok_or_else(wrong)?;
    let coordinate = |text: &str| parse::number(text).ok().filter(|v| (0.0..=1.0).contains(v)).ok_or_else(wrong);
    Ok([coordinate(x)? as f32, coordinate(y)? as f32])
}

/// Draws.
pub fn run(args: &Args) -> Result<()> {
    args.device.set_threads()?;
    let loaded = args.models.load()?;
    let mut networks = Vec::with_capacity(loaded.len());
    for model in &loaded {
        let network = model.relu_network()?;
        check(&network).map_err(|error| Error::Config(format!("{}: {error}", model.label)))?;
        networks.push(network);
    }
    let recipe = loaded.iter().filter_map(|model| model.config.as_ref()).find(|config| SmallBox::of(config).is_some());
    let recipe = recipe.cloned().unwrap_or_default();
    let attack = recipe.attack();
    let lambda = models::lambda(args.lambda, &loaded)?;
    let small = SmallBox { lambda, faithful_border: recipe.faithful_border };
    let question = question(args, &loaded, small)?;

    let points: Vec<f32> = question.points.iter().flat_map(|p| [p.point.0 as f32, p.point.1 as f32]).collect();
    let labels: Vec<u32> = question.points.iter().map(|p| p.label as u32).collect();
    let mut subjects = Vec::with_capacity(loaded.len());
    for (model, network) in loaded.iter().zip(networks) {
        // A session holds the weights of one network.
        let mut session = args.device.open_or(None)?;
        checkpoint::write_tensors(session.as_mut(), &model.network, &model.tensors)?;
        let found = attacked(
            session.as_mut(),
            &model.network,
            (&points, &labels),
            question.epsilon,
            small,
            (&attack, args.seed),
        );
        subjects.push(Subject { name: model.label.clone(), network, attacked: pollster::block_on(found)? });
    }
    let mut meter = Meter::new(args.place.quiet);
    let mut progress = |done: usize, of: usize| meter.set("networks", done as u64, of as u64, "");
    let exact = Exact::new(&subjects, &question, &mut progress);
    meter.finish();
    let exact = exact?;
    args.place.put(exact.document(), &exact.sheet())
}

/// What is asked about.
fn question(args: &Args, loaded: &[Loaded], small: SmallBox) -> Result<Question> {
    let split = args.models.images(loaded)?;
    let counted = args.models.sample(loaded, args.limit)?.len();
    let mut points: Vec<Asked> = (0..counted).map(|index| place(split, index)).collect();
    let drawn = match (args.index, args.at) {
        (Some(index), _) if index >= split.len() => {
            let (name, last) = (args.models.split(), split.len() - 1);
            return Err(Error::Usage(format!("--index {index}: expected 0 to {last}, the {name} points")));
        }
        (Some(index), _) if index < counted => Some(index),
        (Some(index), _) => {
            points.push(place(split, index));
            Some(counted)
        }
        (None, Some([x, y])) => {
            let point = (f64::from(x), f64::from(y));
            let label = args.label.unwrap_or_else(|| nearest(split, point));
            if label >= split.classes {
                let last = split.classes - 1;
                return Err(Error::Usage(format!("--label {label}: expected 0 to {last}, the classes")));
            }
            points.push(Asked { index: None, point, label });
            Some(counted)
        }
        (None, None) => None,
    };
    let points_of = format!("{}, {} split", loaded[0].dataset.name, args.models.split());
    Ok(Question { points_of, points, counted, drawn, epsilon: loaded[0].epsilon, small })
}

/// Point `index` of a split of two pixels.
fn place(split: &Split, index: usize) -> Asked {
    let mut pixels = [0.0; 2];
    split.write_view(index, View::middle(split), &mut pixels);
    let point = (f64::from(pixels[0]), f64::from(pixels[1]));
    Asked { index: Some(index), point, label: usize::from(split.labels[index]) }
}

/// Class of the point of the split that is nearest to `at`.
fn nearest(split: &Split, at: Point) -> usize {
    let distance = |of: &Asked| (of.point.0 - at.0).hypot(of.point.1 - at.1);
    let places = (0..split.len()).map(|index| place(split, index));
    places.min_by(|a, b| distance(a).total_cmp(&distance(b))).map_or(0, |nearest| nearest.label)
}
