//! The published contracts against those of the last release: what plugins were built against is still there.
//!
//! A package may break only with a version that says so. Interfaces, functions, types and what a world may import can be
//! added; records, variants and what a world has to export never grow.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

use std::path::{Path, PathBuf};

use published::{Published, Sources};

#[path = "contracts/published.rs"]
mod published;

/// Folder of `tests/contracts` with the contracts of the last release.
const LAST_RELEASE: &str = "0.1.0";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn released() -> Sources {
    published::sources(&root().join("tests/contracts").join(LAST_RELEASE))
}

fn read(sources: &Sources) -> Published {
    Published::of(&published::parse(sources))
}

#[test]
fn nothing_that_was_released_is_broken() {
    let now = read(&published::sources(&root().join("wit")));
    let findings = read(&released()).broken_by(&now);
    assert!(
        findings.is_empty(),
        "{}\n\nput it back, add a function beside it, or give the package a version that is not compatible",
        findings.join("\n")
    );
}

#[test]
fn everything_published_says_what_it_is_and_since_when() {
    let now = read(&published::sources(&root().join("wit")));
    assert!(
        now.undocumented.is_empty(),
        "{}",
        now.undocumented.join("\n")
    );
}

/// The released contracts with each `from` in a package's text made `to`.
fn edited(edits: &[(&str, &str, &str)]) -> Sources {
    let mut sources = released();
    for (package, from, to) in edits {
        let mut found = 0;
        for text in sources.get_mut(*package).unwrap().values_mut() {
            found += text.matches(from).count();
            *text = text.replace(from, to);
        }
        assert_ne!(found, 0, "`{from}` is not in `{package}`");
    }
    sources
}

fn findings(edits: &[(&str, &str, &str)]) -> Vec<String> {
    read(&released()).broken_by(&read(&edited(edits)))
}

/// The line of the released contracts that begins so.
fn line(package: &str, start: &str) -> String {
    let sources = released();
    let mut lines = sources[package].values().flat_map(|text| text.lines());
    lines
        .find(|line| line.trim_start().starts_with(start))
        .unwrap()
        .to_owned()
}

#[test]
fn a_function_that_is_gone_or_asks_for_something_else_is_found() {
    let zone_limits = line("dns", "get-zone-limits:");
    assert_eq!(
        findings(&[(
            "dns",
            &format!("@since(version = 0.1.0)\n{zone_limits}"),
            ""
        )]),
        ["function understudy:dns@0.1/dns.get-zone-limits is gone"]
    );
    assert_eq!(
        findings(&[("dns", "ttl-seconds: u32) ->", "ttl-seconds: u64) ->")]),
        [
            "function understudy:dns@0.1/dns.ensure-record has `ttl-seconds: u64` where it had `ttl-seconds: u32`"
        ]
    );
    assert_eq!(
        findings(&[(
            "dns",
            "(name: string, kind: string) -> result<record-set, error>",
            "(kind: string, name: string) -> result<record-set, error>"
        )]),
        [
            "function understudy:dns@0.1/dns.get-record has another order: `kind: string`, `name: string`, `-> result<understudy:dns@0.1/dns.record-set, understudy:types@0.1/types.error>`"
        ]
    );
    assert_eq!(
        findings(&[(
            "dns",
            "-> result<zone-limits, error>",
            "-> result<zone-limits>"
        )]),
        [
            "function understudy:dns@0.1/dns.get-zone-limits has `-> result<understudy:dns@0.1/dns.zone-limits, _>` where it had `-> result<understudy:dns@0.1/dns.zone-limits, understudy:types@0.1/types.error>`"
        ]
    );
}

#[test]
fn records_variants_and_enums_neither_grow_nor_change_their_order() {
    assert_eq!(
        findings(&[(
            "dns",
            "    ttl-seconds: u32,\n",
            "    ttl-seconds: u32,\n    note: string,\n"
        )]),
        ["record understudy:dns@0.1/dns.record-set gained `note: string`"]
    );
    assert_eq!(
        findings(&[(
            "types",
            "    in-doubt(string),\n",
            "    in-doubt(string),\n    throttled,\n"
        )]),
        ["variant understudy:types@0.1/types.error gained `throttled`"]
    );
    assert_eq!(
        findings(&[("types", "type instant-ms = u64", "type instant-ms = s64")]),
        ["type understudy:types@0.1/types.instant-ms has `s64` where it had `u64`"]
    );
    let found = findings(&[(
        "control",
        "    info,\n    warn,\n",
        "    warn,\n    info,\n",
    )]);
    assert_eq!(
        found,
        ["enum understudy:control@0.1/control.level has another order: `debug`, `warn`, `info`"]
    );
}

#[test]
fn a_package_is_not_renamed_and_a_world_asks_for_nothing_new() {
    let edits = [
        ("tls", "understudy:tls@0.1.0", "understudy:transport@0.1.0"),
        (
            "plugin",
            "understudy:tls/tls@0.1.0",
            "understudy:transport/tls@0.1.0",
        ),
    ];
    let found = findings(&edits);
    assert!(
        found.contains(&"package understudy:tls@0.1 is gone".to_owned()),
        "{found:?}"
    );
    let lost =
        "import understudy:plugin@0.1/provider-dns understudy:tls@0.1/tls is gone".to_owned();
    assert!(found.contains(&lost), "{found:?}");

    let more = (
        "  export understudy:notify/notify@0.1.0;",
        "  export understudy:notify/notify@0.1.0;\n  export understudy:dns/dns@0.1.0;",
    );
    assert_eq!(
        findings(&[("plugin", more.0, more.1)]),
        ["world understudy:plugin@0.1/provider-notify gained `export understudy:dns@0.1/dns`"]
    );
}

#[test]
fn what_is_added_or_breaks_with_its_version_is_no_finding() {
    let added = "interface dns {\n  /// A type.\n  @since(version = 0.1.0)\n  record more { a: u8 }\n\n  /// A function.\n  @since(version = 0.1.0)\n  get-more: func() -> result<more, error>;\n";
    let none: [&str; 0] = [];
    assert_eq!(findings(&[("dns", "interface dns {\n", added)]), none);
    assert_eq!(
        findings(&[(
            "plugin",
            "  import understudy:control/control@0.1.0;",
            "  import understudy:control/control@0.1.0;\n  import understudy:sql/sql@0.1.0;"
        )]),
        none
    );
    // A newer version of the same track promises the same; one of another track promises nothing.
    let newer = (
        "storage",
        "understudy:storage@0.1.0",
        "understudy:storage@0.1.7",
    );
    let used = (
        "plugin",
        "understudy:storage/storage@0.1.0",
        "understudy:storage/storage@0.1.7",
    );
    let broken = ("storage", "bucket", "container");
    assert_eq!(findings(&[newer, used]), none);
    assert_ne!(findings(&[newer, used, broken]), none);
    let found = findings(&[
        (
            "storage",
            "understudy:storage@0.1.0",
            "understudy:storage@0.2.0",
        ),
        (
            "plugin",
            "understudy:storage/storage@0.1.0",
            "understudy:storage/storage@0.2.0",
        ),
        broken,
    ]);
    assert!(
        found
            .iter()
            .all(|finding| finding.contains("understudy:plugin@0.1")),
        "only the worlds that name the package: {found:?}"
    );
}

#[test]
fn what_is_not_documented_is_found() {
    let undocumented = |edits| read(&edited(edits)).undocumented;
    assert_eq!(
        undocumented(&[("dns", "  /// A record set.\n", "")]),
        ["record understudy:dns@0.1/dns.record-set has no doc comment"]
    );
    assert_eq!(
        undocumented(&[(
            "dns",
            "  /// A record set.\n  @since(version = 0.1.0)\n",
            "  /// A record set.\n"
        )]),
        ["record understudy:dns@0.1/dns.record-set has no `@since`"]
    );
}
