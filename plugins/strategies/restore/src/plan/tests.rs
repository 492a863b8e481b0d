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
            ("promote", "fence"),
            ("promote", "declare"),
            ("flip", "await-old-ttl"),
            ("await-old-ttl", "lower-ttl"),
            ("flip", "promote"),
            ("flip", "verify-writer"),
            ("flip", "check-certificate"),
            ("flip", "validate-direct"),
            ("flip", "activate"),
            ("activate", "promote"),
            ("protect", "validate-public"),
            ("announce", "protect"),
            ("restore-ttl", "converge"),
            ("choose-point", "fence"),
            ("restore", "choose-point"),
            ("promote", "check-contents"),
        ],
    };
    assert_eq!(review.findings(), Vec::<String>::new());
}
