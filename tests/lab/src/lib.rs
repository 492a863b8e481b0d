//! A lab of real servers on the loopback interface, for tests that must not believe a simulation.
//!
//! There are two, of the same servers. The small one, [`Lab`], is up in seconds: two MariaDB servers that replicate (and
//! two of PostgreSQL, where its application is to write there), PowerDNS with two caching resolvers, one small HTTPS
//! application per site and a writer that plays the users. The other, [`Platform`], is two whole zones: instead of the
//! small application a Kubernetes control plane with a node, an ingress controller and WordPress in each, and an ACME
//! authority that issues their certificates. Everything lives in one temporary folder, on free ports, and is gone when
//! either is dropped, also when a test panics or is killed.
//!
//! It is not a product and not a simulation. What it counts (which acknowledged rows are missing) is independent of what
//! a run reports: only [`host`] and [`game_day`] know the host, as its users do, by its commands and reports.
//!
//! Start at [`lab`] and [`platform`]; each server has a module of its own.
//!
//! [`Lab`]: lab::Lab
//! [`Platform`]: platform::Platform

pub mod agent;
pub mod app;
pub mod audit;
pub mod authority;
pub mod backups;
pub mod board;
pub mod cli;
pub mod client;
pub mod clock;
pub mod crowd;
pub mod document;
pub mod game_day;
pub mod host;
pub mod kubernetes;
pub mod lab;
mod local;
pub mod mariadb;
pub mod monitoring;
pub mod mysql;
pub mod names;
mod nginx;
pub mod object_storage;
pub mod openapi;
pub mod overlay;
pub mod pair;
pub mod pebble;
pub mod platform;
pub mod ports;
pub mod postgres;
pub mod powerdns;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod recursor;
pub mod resolve;
pub mod secret;
pub mod site;
pub mod terraform;
pub mod tls;
pub mod vendor;
pub mod wordpress;
pub mod writer;
pub mod zone;
