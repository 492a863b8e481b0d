//! What a plugin author needs: the contracts as Rust.
//!
//! A strategy implements `strategy::exports::understudy::plugin::strategy::Guest` and calls `strategy::export_strategy!`. A
//! provider calls [`provider_bindings!`] for its world; `plugins/providers/powerdns` is the example to copy.
//!
//! Not here: anything that depends on the host. A plugin knows contracts only.

/// Certificates as served, judged.
pub mod certificate;
/// Programs, for providers: running them and keeping their files.
pub mod exec;
/// Objects of clusters, for providers: asking for them and reading what they say.
pub mod kubernetes;
/// Migrations of a database: which are left to apply.
pub mod migrations;
/// Sessions and common moves, for providers of MySQL and MariaDB.
pub mod mysql;
/// Answers and errors, for providers.
pub mod provider;
/// Records, for providers of DNS.
pub mod records;
/// Sessions with a database server, for providers.
pub mod sql;
/// Points in time as text.
pub mod time;

/// The bindings of a provider, in the module where it is called, with what every provider shares taken from [`host`]:
/// `provider_bindings!("understudy:plugin/provider-dns")`. A provider of several contracts gives its own world as well:
/// `provider_bindings!("understudy:webhook/webhook", inline: "package …; world webhook { … }")`.
///
/// For packages in `plugins/providers`: the contracts are looked for from there. Others write out what this does, as
/// `plugins/examples/acme-cdn` does. The package depends on `wit-bindgen` itself.
#[macro_export]
macro_rules! provider_bindings {
    ($world:literal $(, inline: $inline:literal)?) => {
        wit_bindgen::generate!({
            path: [
                "../../../wit/types", "../../../wit/control", "../../../wit/database", "../../../wit/dns",
                "../../../wit/kubernetes", "../../../wit/workload", "../../../wit/certificates",
                "../../../wit/ingress", "../../../wit/infrastructure", "../../../wit/storage", "../../../wit/edge-cache", "../../../wit/probe", "../../../wit/metrics",
                "../../../wit/notify", "../../../wit/http", "../../../wit/sql", "../../../wit/tls", "../../../wit/exec", "../../../wit/dns-update", "../../../wit/acme",
                "../../../wit/plugin",
            ],
            $(inline: $inline,)?
            world: $world,
            with: {
                "understudy:types/types@0.1.0": understudy_sdk::host::understudy::types::types,
                "understudy:http/http@0.1.0": understudy_sdk::host::understudy::http::http,
                "understudy:sql/sql@0.1.0": understudy_sdk::host::understudy::sql::sql,
                "understudy:tls/tls@0.1.0": understudy_sdk::host::understudy::tls::tls,
                "understudy:kubernetes/api@0.1.0": understudy_sdk::host::understudy::kubernetes::api,
                "understudy:exec/exec@0.1.0": understudy_sdk::host::understudy::exec::exec,
                "understudy:dns-update/dns-update@0.1.0": understudy_sdk::host::understudy::dns_update::dns_update,
                "understudy:acme/acme@0.1.0": understudy_sdk::host::understudy::acme::acme,
            },
            generate_all,
        });
    };
}

/// Capabilities of the host that a provider imports, and the types every contract shares.
pub mod host {
    wit_bindgen::generate!({
        path: ["../../wit/types", "../../wit/http", "../../wit/sql", "../../wit/tls", "../../wit/exec", "../../wit/dns-update", "../../wit/acme", "../../wit/kubernetes"],
        inline: "package understudy:sdk; world host { import understudy:types/types@0.1.0; import understudy:http/http@0.1.0; import understudy:sql/sql@0.1.0; import understudy:tls/tls@0.1.0; import understudy:kubernetes/api@0.1.0; import understudy:exec/exec@0.1.0; import understudy:dns-update/dns-update@0.1.0; import understudy:acme/acme@0.1.0; }",
        world: "understudy:sdk/host",
        generate_unused_types: true,
        generate_all,
    });
}

/// The world `strategy-plugin`: every domain contract, `control`, and what a strategy exports.
pub mod strategy {
    wit_bindgen::generate!({
        path: [
            "../../wit/types", "../../wit/control", "../../wit/database", "../../wit/dns",
            "../../wit/kubernetes", "../../wit/workload", "../../wit/certificates",
            "../../wit/ingress", "../../wit/infrastructure", "../../wit/storage", "../../wit/edge-cache", "../../wit/probe", "../../wit/metrics",
            "../../wit/notify", "../../wit/http", "../../wit/sql", "../../wit/tls", "../../wit/exec", "../../wit/dns-update", "../../wit/acme",
            "../../wit/plugin",
        ],
        world: "understudy:plugin/strategy-plugin",
        pub_export_macro: true,
        export_macro_name: "export_strategy",
        default_bindings_module: "understudy_sdk::strategy",
        generate_all,
    });
}
