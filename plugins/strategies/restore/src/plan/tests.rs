//! The table, reviewed.

use understudy_recovery::review::Review;

use super::STEPS;

#[test]
fn the_table_is_as_it_should_be() {
    let review = Review {
        name: "restore",
        rows: STEPS,
        sites: ["pz", "bz"],
        owns: |id| {
            id.starts_with("S0-B")
                || ["S1-H7", "S1-H8", "S1-H9", "S1-H10", "S1-H11", "S1-H12"].contains(&id)
        },
        order: &[
            ("choose-point", "fence"),
            ("restore", "choose-point"),
            ("promote", "check-contents"),
        ],
    };
    assert_eq!(review.findings(), Vec::<String>::new());
}
