//! Options of branch-and-bound, for every command that searches.

use smallbox::certify::branch::{Branching, Settings, Strategy};

/// How branch-and-bound goes.
#[derive(clap::Args)]
pub struct SearchOptions {
    /// Bounds of neurons in branch-and-bound: those of the whole box, derived again in every domain, or both in turns
    #[arg(long, value_enum, default_value_t = SearchName::Either)]
    search: SearchName,
    /// How a search with fixed bounds chooses the neuron to split
    #[arg(long, value_enum, default_value_t = BranchingName::Kfsb)]
    branching: BranchingName,
}

/// [`Strategy`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum SearchName {
    /// Those of the whole box; cheap domains
    Fixed,
    /// Derived again in every domain; for deep networks with loose last layers
    Refining,
    /// Turns, longer ones for the search that will be done sooner
    Either,
}

/// [`Branching`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum BranchingName {
    /// Best estimate
    Babsr,
    /// The best three estimates of each layer, tried out
    Fsb,
    /// The best three estimates of all layers, tried out
    Kfsb,
}

/// Estimates that FSB and kFSB try out.
const TRIED: usize = 3;

impl SearchOptions {
    /// Puts the options into a search's settings.
    pub fn apply(&self, settings: &mut Settings) {
        settings.strategy = match self.search {
            SearchName::Fixed => Strategy::Fixed,
            SearchName::Refining => Strategy::Refining,
            SearchName::Either => Strategy::Either,
        };
        settings.branching = match self.branching {
            BranchingName::Babsr => Branching::Babsr,
            BranchingName::Fsb => Branching::Fsb(TRIED),
            BranchingName::Kfsb => Branching::Kfsb(TRIED),
        };
    }

    /// In words, for records.
    pub fn describe(&self) -> String {
        let name = |value: clap::builder::PossibleValue| value.get_name().to_string();
        let search = clap::ValueEnum::to_possible_value(&self.search).map(name);
        let branching = clap::ValueEnum::to_possible_value(&self.branching).map(name);
        [search, branching].into_iter().flatten().collect::<Vec<String>>().join(", ")
    }
}
