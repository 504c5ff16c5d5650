//! The name that somebody probably meant.

/// The candidate nearest to `word`, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let tolerance = match word.chars().count() {
        0..=3 => 1,
        4..=6 => 2,
        longer => longer / 3,
    };
    let slip = candidates
        .clone()
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
    let begun = |name: &&str| word.len() >= 4 && name.starts_with(&word);
    slip.or_else(|| candidates.clone().find(begun))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_nothing_far() {
        let keys = ["address", "public_address", "roles", "os"];
        assert_eq!(nearest("publik_address", keys.into_iter()), Some("public_address"));
        assert_eq!(nearest("public-address", keys.into_iter()), Some("public_address"));
        assert_eq!(nearest("role", keys.into_iter()), Some("roles"));
        assert_eq!(nearest("publ", keys.into_iter()), Some("public_address"));
        assert_eq!(nearest("kubernetes", keys.into_iter()), None);
        assert_eq!(nearest("", keys.into_iter()), None);
    }
}
