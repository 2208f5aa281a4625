//! Repositories by the parts of their names, in pieces that are large enough to be seen and small enough
//! to say something: a group that holds much is shown as what is in it.

use std::ops::Range;

/// More pieces than this side by side are joined to ranges of names.
const MOST_PARTS: usize = 24;
/// As many ranges as a group of many parts becomes.
const RANGES: u64 = 12;
/// A group of more than this share of all is shown as what is in it.
const LARGE_PERCENT: u64 = 12;
/// Pieces of a whole picture.
const MOST_PIECES: usize = 60;

/// A repository's name and bytes.
pub trait Member {
    /// Its name.
    fn name(&self) -> &str;
    /// What it holds for itself.
    fn bytes(&self) -> u64;
}

/// Some repositories that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which, in the order of parts.
    pub members: Range<usize>,
    /// `team/`, or `app-001 … app-140`; the name of one alone.
    pub label: String,
    /// What they hold, each for itself.
    pub bytes: u64,
    /// Parts of the names that all of them have.
    depth: usize,
}

/// Sorts repositories by the parts of their names, so that those of a group stand together.
pub fn sort<M: Member>(members: &mut [M]) {
    members.sort_by(|a, b| a.name().split('/').cmp(b.name().split('/')));
}

/// The pieces of sorted repositories.
pub fn pieces<M: Member>(members: &[M]) -> Vec<Piece> {
    let all = piece(members, 0..members.len(), 0, String::new());
    let large = all.bytes / 100 * LARGE_PERCENT;
    let mut pieces = parts(members, &all);
    loop {
        let groups = pieces.iter().enumerate().filter(|(_, piece)| piece.members.len() > 1);
        let Some((at, largest)) = groups.max_by_key(|(_, piece)| piece.bytes) else {
            return pieces;
        };
        let inner = parts(members, largest);
        if largest.bytes <= large || pieces.len() + inner.len() > MOST_PIECES {
            return pieces;
        }
        pieces.splice(at..=at, inner);
    }
}

/// What a piece is made of: groups by the next part of the names, or ranges where those are many.
pub fn parts<M: Member>(members: &[M], of: &Piece) -> Vec<Piece> {
    let mut depth = of.depth;
    let mut found = by_part(members, &of.members, depth);
    // What all of them have in common distinguishes nothing.
    while found.len() == 1 && found[0].members.len() > 1 {
        depth += 1;
        found = by_part(members, &of.members, depth);
    }
    if found.len() <= MOST_PARTS { found } else { ranges(members, &found, depth) }
}

fn piece<M: Member>(members: &[M], range: Range<usize>, depth: usize, label: String) -> Piece {
    let bytes = members[range.clone()].iter().map(Member::bytes).fold(0, u64::saturating_add);
    Piece { members: range, label, bytes, depth }
}

fn by_part<M: Member>(members: &[M], range: &Range<usize>, depth: usize) -> Vec<Piece> {
    let part = |at: usize| members[at].name().split('/').nth(depth);
    let mut found = Vec::new();
    let mut start = range.start;
    for at in range.clone().skip(1).chain([range.end]) {
        if at < range.end && part(at) == part(start) {
            continue;
        }
        if at == start {
            continue;
        }
        let name = members[start].name();
        let label = if at - start == 1 {
            name.to_owned()
        } else {
            let end = name.match_indices('/').nth(depth).map_or(name.len(), |(end, _)| end);
            format!("{}/", &name[..end])
        };
        found.push(piece(members, start..at, depth + 1, label));
        start = at;
    }
    found
}

/// Neighbours joined so that each range holds about as much.
fn ranges<M: Member>(members: &[M], parts: &[Piece], depth: usize) -> Vec<Piece> {
    let all = parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
    let share = (all / RANGES).max(1);
    let mut found = Vec::new();
    let mut rest = parts;
    while let Some(first) = rest.first() {
        let mut bytes = first.bytes;
        let mut count = 1;
        while let Some(next) = rest.get(count)
            && bytes.saturating_add(next.bytes / 2) <= share
        {
            bytes = bytes.saturating_add(next.bytes);
            count += 1;
        }
        let (joined, after) = rest.split_at(count);
        rest = after;
        let last = &joined[count - 1];
        found.push(if count == 1 {
            first.clone()
        } else {
            let label = format!("{} … {}", first.label, last.label);
            piece(members, first.members.start..last.members.end, depth, label)
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Member for (String, u64) {
        fn name(&self) -> &str {
            &self.0
        }
        fn bytes(&self) -> u64 {
            self.1
        }
    }

    fn labels(names: &[(&str, u64)]) -> Vec<String> {
        let mut members: Vec<(String, u64)> =
            names.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        sort(&mut members);
        pieces(&members).into_iter().map(|piece| piece.label).collect()
    }

    #[test]
    fn groups_stand_for_what_is_in_them_until_they_are_large() {
        let small = [("a/x", 1), ("a/y", 1), ("b", 50), ("a-b", 50)];
        assert_eq!(labels(&small), ["a/", "a-b", "b"]);
        let large = [("a/x/1", 40), ("a/x/2", 40), ("a/y", 1), ("b", 50)];
        assert_eq!(labels(&large), ["a/x/1", "a/x/2", "a/y", "b"]);
        assert_eq!(labels(&[]), Vec::<String>::new());
        assert_eq!(labels(&[("team", 1), ("team/a", 1)]), ["team", "team/a"]);
    }

    #[test]
    fn many_of_like_size_become_ranges_and_every_repository_is_in_one_piece() {
        for names in ["app-{}", "org/app-{}", "org/team-{}/app", "a/b/c/d-{}/e"] {
            let mut members: Vec<(String, u64)> =
                (0..2000).map(|at| (names.replace("{}", &format!("{at:04}")), 1000)).collect();
            sort(&mut members);
            let found = pieces(&members);
            assert!((8..=MOST_PIECES).contains(&found.len()), "{found:?}");
            let mut next = 0;
            for piece in &found {
                assert_eq!(piece.members.start, next);
                next = piece.members.end;
                assert!(piece.bytes <= 2_000_000 / 5, "{piece:?}");
                let inner = parts(&members, piece);
                assert!(inner.len() > 1 && inner.len() <= 30, "{inner:?}");
            }
            assert_eq!(next, 2000);
        }
    }
}
