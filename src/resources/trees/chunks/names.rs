//! The chunks that are stored already, by their names, in as little memory as a million of them allow.

use std::collections::HashMap;
use std::io;

use super::cut::Name;
use super::index::Chunk;
use super::read;
use crate::slot::Slot;
use guard_model::artifact::Artifact;

/// Where a chunk is: its block, where it begins there, its bytes.
type Place = (u32, u32, u32);

/// The chunks that need not be stored again. Those of an earlier copy are read only when one is asked for: where nothing has
/// changed, none is.
#[derive(Default)]
pub(crate) struct Names {
    earlier: Option<(Slot, Artifact)>,
    /// Those of an earlier copy, sorted: they are only looked up.
    old: Vec<(Name, Place)>,
    fresh: HashMap<Name, Place>,
}

fn chunk(name: Name, (block, at, length): Place) -> Chunk {
    Chunk {
        block,
        at,
        length,
        name,
    }
}

impl Names {
    /// Those of an earlier copy, and what is added.
    pub(crate) fn after(earlier: Option<(Slot, Artifact)>) -> Self {
        Self {
            earlier,
            ..Self::default()
        }
    }

    /// Reads the earlier ones; one may be named often.
    fn load(&mut self) -> io::Result<()> {
        let Some((slot, artifact)) = self.earlier.take() else {
            return Ok(());
        };
        let mut lines = read::index(&artifact, &slot)?;
        while let Some(line) = lines.next()? {
            let places = line
                .chunks
                .iter()
                .map(|chunk| (chunk.name, (chunk.block, chunk.at, chunk.length)));
            self.old.extend(places);
        }
        self.old.sort_unstable();
        self.old.dedup_by_key(|(name, _)| *name);
        self.old.shrink_to_fit();
        Ok(())
    }

    /// Where a chunk of this name is stored already.
    ///
    /// # Errors
    /// The index of the earlier copy cannot be read.
    pub(crate) fn get(&mut self, name: &Name) -> io::Result<Option<Chunk>> {
        self.load()?;
        let fresh = self.fresh.get(name).copied();
        let place = fresh.or_else(|| {
            let at = self.old.binary_search_by_key(name, |(name, _)| *name).ok()?;
            self.old.get(at).map(|(_, place)| *place)
        });
        Ok(place.map(|place| chunk(*name, place)))
    }

    pub(crate) fn add(&mut self, chunk: Chunk) {
        self.fresh.insert(chunk.name, (chunk.block, chunk.at, chunk.length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_fresh_ones_are_found_and_no_others() {
        let one = |number: u32| chunk([u8::try_from(number).unwrap(); 16], (number, 1, 2));
        let old = [1, 2, 3]
            .map(one)
            .map(|one| (one.name, (one.block, one.at, one.length)));
        let mut names = Names {
            old: old.to_vec(),
            ..Names::default()
        };
        names.add(one(9));
        for number in [1, 2, 3, 9] {
            assert_eq!(names.get(&one(number).name).unwrap(), Some(one(number)));
        }
        assert_eq!(names.get(&one(4).name).unwrap(), None);
    }
}
