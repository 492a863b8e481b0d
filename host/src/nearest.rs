//! "Did you mean …": the known word that a mistyped one is closest to.

/// How alike two words must be (Jaro–Winkler, from 0 to 1) to be offered. Below it a guess is more often wrong than right.
const LIKENESS: f64 = 0.8;

/// The known word closest to `word`, if any is close.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The way out after a word that is not known: the nearest, then all there is.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let list = if known.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there is {}", quoted(&known))
    };
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`? {list}"),
        None => list,
    }
}

/// Words in backticks with commas between.
fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_nonsense_finds_none() {
        let known = ["promote", "fence", "flip"];
        assert_eq!(nearest("promot", known), Some("promote"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(
            suggestion("fense", known),
            "did you mean `fence`? there is `promote`, `fence`, `flip`"
        );
        assert_eq!(suggestion("x", []), "there is none");
    }
}
