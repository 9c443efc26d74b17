//! Coordinates and paths of tiles (C2SP tlog-tiles).

use std::fmt::{self, Write as _};
use std::str::FromStr;

use thiserror::Error;

/// The maximum number of leaves of a tree.
pub(crate) const MAX_TREE_SIZE: u64 = 1 << 62;

/// The heights of the tree that a tile spans.
pub const TILE_HEIGHT: u8 = 8;

/// The number of hashes in a full tile.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// A tile: up to 256 consecutive hashes of one level, 32 bytes each.
///
/// As text it is the tile's path in tlog-tiles.
///
/// ```
/// use attestry_evidence::Tile;
///
/// let tile: Tile = "tile/0/x001/x234/067.p/17".parse()?;
/// assert_eq!((tile.level(), tile.index(), tile.width()), (0, 1_234_067, 17));
/// assert_eq!(tile.to_string(), "tile/0/x001/x234/067.p/17");
///
/// // A tree of 300 leaves has three tiles.
/// let tiles: Vec<String> = Tile::of_tree(0, 300).map(|tile| tile.to_string()).collect();
/// assert_eq!(tiles, ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"]);
/// # Ok::<(), attestry_evidence::InvalidTile>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

/// The text is not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not the path of a tile, such as tile/0/x001/234 or tile/0/x001/234.p/17")]
pub struct InvalidTile;

impl Tile {
    /// The tile of hash `index` of `level`, with its width in a tree of `size` leaves; `None` if the tree
    /// has no such hash.
    #[must_use]
    pub fn holding(level: u8, index: u64, size: u64) -> Option<Self> {
        let tile = index / u64::from(TILE_WIDTH);
        let width = hashes(level, size).checked_sub(tile * u64::from(TILE_WIDTH))?;
        let width = width.min(TILE_WIDTH.into());
        (index % u64::from(TILE_WIDTH) < width).then_some(Self {
            level,
            index: tile,
            width: width as u16,
        })
    }

    /// The tiles that are new or wider in a tree of `new` leaves than in one of `old` leaves; all tiles if
    /// `old` is 0. Level by level, from the leaves up.
    pub fn of_tree(old: u64, new: u64) -> impl Iterator<Item = Self> {
        let width = u64::from(TILE_WIDTH);
        (0..64 / TILE_HEIGHT).flat_map(move |level| {
            let (had, has) = (hashes(level, old), hashes(level, new));
            let tiles = if had < has { had / width..has.div_ceil(width) } else { 0..0 };
            tiles.filter_map(move |tile| Self::holding(level, tile * width, new))
        })
    }

    /// The level: 0 for leaves.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The number of the tile within its level, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of hashes: 256, or fewer at the tree's right edge.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The number of its first hash within the level.
    #[must_use]
    pub fn first_hash(&self) -> u64 {
        self.index * u64::from(TILE_WIDTH)
    }
}

/// The number of hashes of `level` in a tree of `size` leaves.
fn hashes(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let digits = format!("{:03}", self.index);
        let mut groups = digits.len().div_ceil(3);
        let padded = format!("{:0>width$}", digits, width = groups * 3);
        for group in padded.as_bytes().chunks(3) {
            groups -= 1;
            if groups > 0 {
                f.write_char('x')?;
            }
            f.write_str(std::str::from_utf8(group).unwrap_or_default())?;
            if groups > 0 {
                f.write_char('/')?;
            }
        }
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(path: &str) -> Result<Self, InvalidTile> {
        let tile = parse(path).ok_or(InvalidTile)?;
        // One path for each tile: this refuses signs, leading zeroes and an x out of place.
        if tile.to_string() == path { Ok(tile) } else { Err(InvalidTile) }
    }
}

fn parse(path: &str) -> Option<Tile> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let index = groups.split('/').try_fold(0_u64, |index, group| {
        let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index.checked_mul(1000)?.checked_add(group)
    })?;
    let tile = Tile { level: level.parse().ok()?, index, width };
    let in_range =
        tile.level < 64 && (1..=TILE_WIDTH).contains(&width) && index < MAX_TREE_SIZE / 256;
    in_range.then_some(tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/8/0/001",
            "tile/0/1",
            "tile/0/0001",
            "tile/0/123/456",
            "tile/0/x123",
            "tile/0/x000/001",
            "tile/00/001",
            "tile/+0/001",
            "tile/64/001",
            "tile/-1/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/017",
            "tile/0/001.p/",
            "tile/0/001.p/1/",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/entries/001",
            "/tile/0/001",
            "tile/0/٠٠١",
        ] {
            assert_eq!(path.parse::<Tile>(), Err(InvalidTile), "{path}");
        }
    }

    // The examples of the specification.
    #[test]
    fn of_tree_lists_all_tiles() {
        let widths = |size| {
            let mut widths: Vec<(u8, u64, u16)> = Vec::new();
            for tile in Tile::of_tree(0, size) {
                match widths.iter_mut().find(|w| w.0 == tile.level && w.2 == tile.width) {
                    Some(same) => same.1 += 1,
                    None => widths.push((tile.level, 1, tile.width)),
                }
            }
            widths
        };
        assert_eq!(
            widths(70_000),
            [(0, 273, 256), (0, 1, 112), (1, 1, 256), (1, 1, 17), (2, 1, 1)]
        );
        assert_eq!(widths(256), [(0, 1, 256), (1, 1, 1)]);
        assert!(widths(0).is_empty());
    }

    #[test]
    fn tile_width_depends_on_tree_size() {
        let tile = |level, index, size| Tile::holding(level, index, size).map(|t| t.to_string());
        assert_eq!(tile(0, 0, 1).as_deref(), Some("tile/0/000.p/1"));
        assert_eq!(tile(0, 299, 300).as_deref(), Some("tile/0/001.p/44"));
        assert_eq!(tile(0, 300, 300), None);
        assert_eq!(tile(0, 600, 300), None);
        assert_eq!(tile(1, 0, 255), None);
        assert_eq!(tile(1, 0, 256).as_deref(), Some("tile/1/000.p/1"));
        assert_eq!(tile(200, 0, u64::MAX), None);
    }

    #[test]
    fn of_tree_lists_new_and_wider_tiles() {
        let grown: Vec<String> = Tile::of_tree(250, 520).map(|tile| tile.to_string()).collect();
        assert_eq!(grown, ["tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/1/000.p/2"]);
        assert_eq!(Tile::of_tree(520, 520).count(), 0);
        assert_eq!(Tile::of_tree(520, 5).count(), 0);
    }
}
