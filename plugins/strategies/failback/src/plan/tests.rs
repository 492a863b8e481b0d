//! The table, reviewed.

use understudy_recovery::review::Review;

use super::STEPS;

#[test]
fn the_table_is_as_it_should_be() {
    let review = Review {
        name: "failback",
        rows: STEPS,
        sites: ["bz", "pz"],
        owns: |id| id.starts_with("S0-F") || ["S1-C3", "S1-H13", "S1-H14", "S1-H15"].contains(&id),
        order: &[
            ("catch-up", "fence"),
            ("weigh-loss", "catch-up"),
            ("promote", "weigh-loss"),
            ("promote", "measure-lag"),
            ("promote", "reseed"),
            ("promote", "catch-up-live"),
            ("fence", "freeze"),
            ("stand-down", "hold"),
            ("stand-down", "protect"),
            ("restore-ttl", "hold"),
        ],
    };
    assert_eq!(review.findings(), Vec::<String>::new());
}
