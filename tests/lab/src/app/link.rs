//! One session with the database, whichever server it is.

use std::net::SocketAddr;

use anyhow::Result as Anyhow;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, Params};
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Config, Engine};
use super::database::Refusal;
use crate::{mariadb, postgres, tls};

/// Error number of a duplicate key (MariaDB: ER_DUP_ENTRY).
const DUPLICATE_KEY: u16 = 1062;

/// A post as it is inserted.
pub(super) struct Post<'a> {
    pub(super) number: Option<u64>,
    pub(super) title: &'a str,
    pub(super) site: &'a str,
}

/// How the server is reached: TLS verified against the lab's root and its address.
pub(super) enum Server {
    Mariadb(Opts),
    Postgres(Box<tokio_postgres::Config>, MakeRustlsConnect),
}

/// A session.
pub(super) enum Link {
    Mariadb(Conn),
    Postgres(Client),
}

/// Why a statement has no answer, and whether the server has said so.
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) answered: bool,
}

impl Server {
    pub(super) fn new(config: &Config, endpoint: SocketAddr) -> Anyhow<Self> {
        let password = &config.database_password;
        if config.engine == Engine::Mariadb {
            let options = mariadb::client_options(endpoint, &config.root, "app", password);
            return Ok(Self::Mariadb(options));
        }
        let mut server = tokio_postgres::Config::new();
        server
            .host(endpoint.ip().to_string())
            .port(endpoint.port())
            .user("app")
            .password(password)
            .dbname(postgres::DATABASE)
            .ssl_mode(SslMode::Require);
        let tls = MakeRustlsConnect::new(tls::client_config(Some(&config.root))?);
        Ok(Self::Postgres(Box::new(server), tls))
    }
}

impl Link {
    pub(super) async fn open(server: &Server) -> Result<Self, Failure> {
        match server {
            Server::Mariadb(options) => Ok(Self::Mariadb(Conn::new(options.clone()).await?)),
            Server::Postgres(config, tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                Ok(Self::Postgres(client))
            }
        }
    }

    pub(super) async fn ping(&mut self) -> bool {
        match self {
            Self::Mariadb(conn) => conn.ping().await.is_ok(),
            Self::Postgres(client) => client.check_connection().await.is_ok(),
        }
    }

    pub(super) async fn posts(&mut self) -> Result<u64, Failure> {
        let query = "SELECT COUNT(*) FROM posts";
        match self {
            Self::Mariadb(conn) => {
                let count: Option<u64> = conn.query_first(query).await?;
                count.ok_or_else(|| Failure::of(format!("no row answers {query:?}")))
            }
            Self::Postgres(client) => number(client.query_one(query, &[]).await?.try_get(0)?),
        }
    }

    pub(super) async fn insert_post(&mut self, post: Post<'_>) -> Result<u64, Failure> {
        let Post {
            number: given,
            title,
            site,
        } = post;
        match self {
            Self::Mariadb(conn) => {
                let statement = "INSERT INTO posts (number, title, site) VALUES (?, ?, ?)";
                let values = Params::from((given, title, site));
                conn.exec_drop(statement, values).await?;
                Ok(conn.last_insert_id().unwrap_or_default())
            }
            Self::Postgres(client) => {
                let statement =
                    "INSERT INTO posts (number, title, site) VALUES ($1, $2, $3) RETURNING id";
                let given = given.map(i64::try_from).transpose();
                let given = given.map_err(|error| Failure::of(error.to_string()))?;
                let row = client
                    .query_one(statement, &[&given, &title, &site])
                    .await?;
                number(row.try_get(0)?)
            }
        }
    }

    pub(super) async fn insert_media(&mut self, body: &[u8]) -> Result<u64, Failure> {
        match self {
            Self::Mariadb(conn) => {
                let statement = "INSERT INTO media (name, body) VALUES ('upload', ?)";
                conn.exec_drop(statement, Params::from((body,))).await?;
                Ok(conn.last_insert_id().unwrap_or_default())
            }
            Self::Postgres(client) => {
                let statement = "INSERT INTO media (name, body) VALUES ('upload', $1) RETURNING id";
                number(client.query_one(statement, &[&body]).await?.try_get(0)?)
            }
        }
    }

    pub(super) async fn goodbye(self) {
        match self {
            Self::Mariadb(conn) => drop(conn.disconnect().await),
            // Its connection says goodbye once nobody holds it.
            Self::Postgres(client) => drop(client),
        }
    }
}

fn number(signed: i64) -> Result<u64, Failure> {
    u64::try_from(signed).map_err(|error| Failure::of(error.to_string()))
}

impl Failure {
    fn of(text: String) -> Self {
        Self {
            refusal: Refusal::Failed(text),
            answered: false,
        }
    }

    fn told(text: String, duplicate: bool) -> Self {
        let refusal = match duplicate {
            true => Refusal::Duplicate(text),
            false => Refusal::Failed(text),
        };
        Self {
            refusal,
            answered: true,
        }
    }
}

impl From<mysql_async::Error> for Failure {
    fn from(error: mysql_async::Error) -> Self {
        match &error {
            mysql_async::Error::Server(refusal) => {
                Self::told(error.to_string(), refusal.code == DUPLICATE_KEY)
            }
            _ => Self::of(error.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => {
                let duplicate = refusal.code() == &SqlState::UNIQUE_VIOLATION;
                Self::told(refusal.to_string(), duplicate)
            }
            None => Self::of(error.to_string()),
        }
    }
}
