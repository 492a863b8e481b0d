//! Providers of vendors that no software stands in for: the real components, driven through the binary, against
//! stateful stand-ins that are held to the vendors' published documents; and providers of what is really here: a
//! Prometheus, PowerDNS by dynamic updates, and an ACME authority. Terraform has no package here: its failures are played by a stand-in, what
//! it does by itself is tested with the real one by `cargo test --test vendors -- --ignored`.
//!
//! `host` runs the calls; a module per provider.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

mod acme;
mod caches;
mod cloudflare;
mod digitalocean;
mod host;
mod kubeconfig;
mod managed;
mod prometheus;
mod rfc2136;
mod s3;
mod terraform;

/// The secret for a vendor's slot, in the variable that the bindings here name.
fn token(secret: &str) -> [(String, String); 1] {
    [("TOKEN".to_owned(), secret.to_owned())]
}
