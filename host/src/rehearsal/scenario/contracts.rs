//! The contracts that the simulated world serves, with their functions: what a scenario may name.

/// Contracts the simulated world serves, by short name.
pub const CONTRACTS: [&str; 12] = [
    "database",
    "dns",
    "kubernetes",
    "workload",
    "certificates",
    "ingress",
    "infrastructure",
    "storage",
    "edge-cache",
    "probe",
    "metrics",
    "notify",
];

/// Contracts whose reads may show an old state for a while: those with a control plane that keeps one.
pub const EVENTUAL: [&str; 6] = [
    "database",
    "dns",
    "kubernetes",
    "workload",
    "certificates",
    "ingress",
];

/// Functions that wait for what nobody works on, so that nobody can say how long it takes.
pub const WAITING: [&str; 7] = [
    "database/ensure-caught-up",
    "kubernetes/ensure-condition",
    "storage/ensure-synced",
    "probe/ensure-journey",
    "probe/ensure-served",
    "probe/ensure-converged",
    "metrics/ensure-held",
];

/// Functions of databases.
const DATABASE: [&str; 13] = [
    "observe",
    "list-recovery-points",
    "observe-restorable",
    "observe-contents",
    "observe-newest-write",
    "ensure-fenced",
    "ensure-promoted",
    "ensure-replica-of",
    "ensure-caught-up",
    "ensure-restored",
    "ensure-migrated",
    "ensure-backup",
    "ensure-write-probe",
];

/// Functions of a contract; none for one that the world does not serve.
#[must_use]
pub fn functions(contract: &str) -> &'static [&'static str] {
    match contract {
        "database" => &DATABASE,
        "dns" => &["get-record", "get-zone-limits", "ensure-record"],
        "kubernetes" => &[
            "get-object",
            "get-value-digests",
            "list-objects",
            "ensure-applied",
            "ensure-patched",
            "ensure-deleted",
            "ensure-scaled",
            "ensure-restarted",
            "ensure-condition",
            "list-node-conditions",
            "get-pod-logs",
        ],
        "workload" => &[
            "observe",
            "ensure-scaled",
            "ensure-database-endpoint",
            "ensure-restarted",
            "ensure-maintenance",
        ],
        "certificates" => &[
            "observe-issuer",
            "observe-served",
            "ensure-certificate",
            "ensure-test-issued",
        ],
        "ingress" => &[
            "observe",
            "ensure-controller",
            "ensure-exposed",
            "ensure-unexposed",
        ],
        "infrastructure" => &[
            "observe-difference",
            "get-outputs",
            "observe-lock",
            "ensure-applied",
            "ensure-destroyed",
        ],
        "storage" => &["observe", "ensure-synced"],
        "edge-cache" => &["observe", "ensure-purged"],
        "probe" => &[
            "observe-journey",
            "ensure-journey",
            "observe-vantages",
            "ensure-served",
            "observe-names",
            "ensure-converged",
        ],
        "metrics" => &[
            "observe-objective",
            "observe-outage",
            "observe-monitoring",
            "ensure-held",
        ],
        "notify" => &["ensure-announced"],
        _ => &[],
    }
}
