//! The page of every code that the host can print: what `understudy explain CODE` shows.
//!
//! Each module keeps the table of its own codes; [`TABLES`] lists the tables. The pages are `docs/codes/*.md`.

/// A table of codes with their pages: `pages!["RB0001", …]` takes each from `docs/codes/CODE.md`.
macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        &[$(($code, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes/", $code, ".md")))),*]
    };
}
pub(crate) use pages;

/// The tables of all modules that have codes.
const TABLES: &[&[(&str, &str)]] = &[
    crate::runbook::PAGES,
    crate::capability::PAGES,
    crate::plan::PAGES,
    crate::rules::PAGES,
    crate::policy::PAGES,
    crate::prepare::PAGES,
    crate::calibrate::PAGES,
    crate::plugin::PAGES,
    crate::plugin::build::PAGES,
    crate::journal::PAGES,
    crate::run::PAGES,
    crate::report::PAGES,
    crate::conformance::PAGES,
    crate::rehearsal::PAGES,
    crate::rehearsal::trace::PAGES,
];

/// The page of `code`, in Markdown; `None` for a code there is not. Case does not matter.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    entries()
        .find(|(known, _)| known.eq_ignore_ascii_case(code))
        .map(|(_, page)| page)
}

/// Every code there is.
pub fn codes() -> impl Iterator<Item = &'static str> {
    entries().map(|(code, _)| code)
}

fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().flat_map(|table| table.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_page_is_reachable_and_none_stands_in_two_tables() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/codes");
        let written: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: Vec<String> = codes().map(|code| format!("{code}.md")).collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), written);
        assert_eq!(listed.len(), written.len(), "a code is listed twice");
    }

    #[test]
    fn every_page_begins_with_its_code_and_says_something() {
        for (code, page) in entries() {
            let first = page.lines().next().unwrap();
            assert!(first.starts_with(&format!("# {code}: ")), "{code}: {first}");
            assert!(page.lines().count() >= 5, "{code} has no text");
        }
    }

    #[test]
    fn a_code_is_found_in_any_case_and_an_unknown_one_is_not() {
        assert_eq!(page("rb0001"), page("RB0001"));
        assert!(page("RB0001").is_some());
        assert_eq!(page("RB9999"), None);
    }
}
