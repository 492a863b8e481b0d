//! A MySQL or MariaDB server as its `root`, over its Unix socket: what the lab does to a server never depends on what a
//! run does to it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mysql_async::prelude::{ColumnIndex, Queryable as _};
use mysql_async::{Conn, OptsBuilder, Row};

/// Where a server is spoken to as `root`.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// Name for people.
    pub(crate) name: String,
    /// Its socket.
    pub(crate) socket: PathBuf,
    /// Empty for none.
    pub(crate) password: String,
}

impl Local {
    /// A session.
    pub(crate) async fn session(&self) -> Result<Conn> {
        let options = OptsBuilder::default()
            .socket(Some(self.socket.display().to_string()))
            .user(Some("root"))
            // An empty password is not the same as none: the server refuses its proof.
            .pass((!self.password.is_empty()).then_some(self.password.as_str()));
        Ok(Conn::new(options).await?)
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, statements: &str) -> Result<()> {
        let mut session = self.session().await?;
        session
            .query_drop(statements)
            .await
            .with_context(|| format!("{} refused {statements:?}", self.name))?;
        Ok(session.disconnect().await?)
    }

    /// Every row of the answer to a query.
    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<Row>> {
        let mut session = self.session().await?;
        let rows = session
            .query(query)
            .await
            .with_context(|| format!("{} refused {query:?}", self.name))?;
        session.disconnect().await?;
        Ok(rows)
    }

    /// First column of every row, as text.
    pub(crate) async fn column(&self, query: &str) -> Result<Vec<String>> {
        let rows = self.rows(query).await?;
        rows.iter().map(|row| text(row, 0)).collect()
    }

    /// First column of the first row, as text.
    pub(crate) async fn value(&self, query: &str) -> Result<String> {
        let first = self.column(query).await?.into_iter().next();
        first.with_context(|| format!("{} answers no row to {query:?}", self.name))
    }
}

/// A column of a row as text; empty for NULL.
pub(crate) fn text(row: &Row, column: impl ColumnIndex) -> Result<String> {
    let value = row.get_opt::<Option<String>, _>(column);
    Ok(value.context("no such column")??.unwrap_or_default())
}
