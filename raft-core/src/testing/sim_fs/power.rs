//! Power cuts: which of the unsynced effects the medium kept.

use std::fmt;

use super::file_data::{SECTOR_BYTES, Survives};
use crate::testing::draw::{draw, draw_below};

/// Which unsynced effects survive a power cut. Effects are numbered as [`SimFs::unsynced`](super::SimFs::unsynced)
/// lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PowerLoss {
    /// None.
    NothingUnsynced,
    /// All: as if everything had been written back in time.
    EverythingUnsynced,
    /// Each by a coin of this seed.
    Coin(u64),
    /// Each by a coin of this seed, and of a sector that survives perhaps its first bytes only.
    Torn(u64),
    /// All but this one.
    AllBut(usize),
    /// This one alone.
    Only(usize),
    /// Those whose bit is set, effect 0 in the lowest bit. Of effects past the 63rd, none.
    Subset(u64),
}

/// Up to so many effects, [`PowerLoss::choices`] goes through every subset.
const EXHAUSTIVE: usize = 6;
/// Above that, so many random subsets, half of them with torn sectors.
const SAMPLES: u64 = 16;
/// And so many of the effects, spread evenly, are singled out: kept alone, and lost alone.
const SINGLED_OUT: usize = 32;

impl PowerLoss {
    /// Choices that cover `effects` effects well: every subset if they are few (plus torn ones), else nothing,
    /// everything, single ones kept and lost, and random subsets. At most 82.
    #[must_use]
    pub fn choices(effects: usize, seed: u64) -> Vec<Self> {
        let torn = |count| (0..count).map(move |number| Self::Torn(draw(seed, 2, number)));
        if effects == 0 {
            return vec![Self::NothingUnsynced];
        }
        if effects <= EXHAUSTIVE {
            return (0..1 << effects).map(Self::Subset).chain(torn(4)).collect();
        }
        let step = effects.div_ceil(SINGLED_OUT);
        let singled_out = (0..effects).step_by(step);
        let coins = (0..SAMPLES / 2).map(|number| Self::Coin(draw(seed, 3, number)));
        [Self::NothingUnsynced, Self::EverythingUnsynced]
            .into_iter()
            .chain(singled_out.flat_map(|effect| [Self::Only(effect), Self::AllBut(effect)]))
            .chain(coins)
            .chain(torn(SAMPLES / 2))
            .collect()
    }

    /// Whether effect `number` survives.
    pub(super) fn keeps(self, seed: u64, number: usize) -> bool {
        match self {
            Self::NothingUnsynced => false,
            Self::EverythingUnsynced => true,
            Self::Coin(choice) | Self::Torn(choice) => draw(seed, choice, number as u64) & 1 == 1,
            Self::AllBut(lost) => number != lost,
            Self::Only(kept) => number == kept,
            Self::Subset(bits) => number < 64 && bits >> number & 1 == 1,
        }
    }

    /// What of effect `number`, a sector, survives.
    pub(super) fn sector(self, seed: u64, number: usize) -> Survives {
        match (self.keeps(seed, number), self) {
            (false, _) => Survives::Nothing,
            (true, Self::Torn(choice)) => {
                // Half of the survivors whole, the rest cut anywhere inside.
                let cut = draw_below(seed, !choice, number as u64, 2 * SECTOR_BYTES as u64) as usize;
                if cut < SECTOR_BYTES { Survives::First(cut) } else { Survives::Whole }
            }
            (true, _) => Survives::Whole,
        }
    }
}

/// An effect that a power cut may undo.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsynced {
    /// The length of a file.
    Length {
        /// A path of the file.
        path: String,
    },
    /// 512 bytes of a file.
    Sector {
        /// A path of the file.
        path: String,
        /// Offset of the first byte, divided by 512.
        sector: usize,
    },
    /// A name made, moved or removed.
    Name {
        /// The name before; `None` if it was made.
        from: Option<String>,
        /// The name after; `None` if it was removed.
        to: Option<String>,
    },
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { path } => write!(f, "length of {path}"),
            Self::Sector { path, sector } => write!(f, "sector {sector} of {path}"),
            Self::Name { from, to } => {
                let or_none = |path: &Option<String>| path.clone().unwrap_or_else(|| "nothing".into());
                write!(f, "name {} -> {}", or_none(from), or_none(to))
            }
        }
    }
}
