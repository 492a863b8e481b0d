//! The table, reviewed.

use understudy_recovery::review::Review;

use super::STEPS;

#[test]
fn the_table_is_as_it_should_be() {
    let review = Review {
        name: "replica",
        rows: STEPS,
        sites: ["pz", "bz"],
        owns: |id| {
            id.starts_with("S0-A")
                || ["S1-H1", "S1-H2", "S1-H3", "S1-H4", "S1-H5", "S1-H6"].contains(&id)
        },
        order: &[
            ("catch-up", "fence"),
            ("weigh-loss", "catch-up"),
            ("promote", "weigh-loss"),
            ("promote", "measure-lag"),
        ],
    };
    assert_eq!(review.findings(), Vec::<String>::new());
}
