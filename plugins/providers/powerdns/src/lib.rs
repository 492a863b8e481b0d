//! DNS through PowerDNS' HTTP API.
use understudy_sdk::host::understudy::{http::http, types::types::Error};
wit_bindgen::generate!({
    path: ["../../../wit/types", "../../../wit/control", "../../../wit/database", "../../../wit/dns",
            "../../../wit/kubernetes", "../../../wit/workload", "../../../wit/certificates",
            "../../../wit/ingress", "../../../wit/storage", "../../../wit/probe", "../../../wit/metrics",
            "../../../wit/notify", "../../../wit/http", "../../../wit/sql", "../../../wit/tls",
            "../../../wit/plugin"],
    world: "understudy:plugin/provider-dns",
    with: {
        "understudy:types/types@0.1.0": understudy_sdk::host::understudy::types::types,
        "understudy:http/http@0.1.0": understudy_sdk::host::understudy::http::http,
        "understudy:sql/sql@0.1.0": understudy_sdk::host::understudy::sql::sql,
        "understudy:tls/tls@0.1.0": understudy_sdk::host::understudy::tls::tls,
    },
    generate_all,
});
use exports::understudy::{dns::dns, plugin::provider};
struct Powerdns;
impl provider::Guest for Powerdns {
    fn describe() -> provider::Description {
        provider::Description {
            name: "powerdns".into(),
            version: "0.1.0".into(),
            summary: "s".into(),
            config_schema: "{}".into(),
        }
    }
    fn configure(_: String) -> Result<(), String> {
        Ok(())
    }
}
impl dns::Guest for Powerdns {
    fn get_record(name: String, kind: String) -> Result<dns::RecordSet, Error> {
        let r = http::send(&http::Request {
            method: "GET".into(),
            url: "https://x".into(),
            headers: vec![],
            body: vec![],
            credential: None,
        })?;
        Ok(dns::RecordSet {
            name,
            kind,
            values: vec![],
            ttl_seconds: r.status as u32,
        })
    }
    fn get_zone_limits(name: String) -> Result<dns::ZoneLimits, Error> {
        Ok(dns::ZoneLimits {
            zone: name,
            min_ttl_seconds: 1,
        })
    }
    fn ensure_record(
        _: String,
        _: String,
        _: Option<Vec<String>>,
        _: Vec<String>,
        _: u32,
    ) -> Result<dns::Outcome, Error> {
        Ok(dns::Outcome::Unchanged)
    }
}
export!(Powerdns);
