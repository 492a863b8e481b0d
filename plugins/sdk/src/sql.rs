//! Sessions with a database server, behind a trait so that everything above is tested without a host.
//!
//! Every statement goes by the text protocol, so that administrative statements are possible and rows come back alike.
//! Not here: how text becomes part of a statement, which each engine has of its own.

use crate::host::understudy::sql::sql;
use crate::host::understudy::types::types::Error;

/// What the host replaces at egress by a password (`understudy:sql`).
const CREDENTIAL_TOKEN: &str = "${credential:";

/// The one statement that may hold such a token.
const CHANGE_MASTER: &str = "CHANGE MASTER TO ";

/// Opens sessions.
pub trait Sql {
    /// Address behind a connection, `host:port`.
    ///
    /// # Errors
    /// As `sql.get-address`.
    fn address(&self, connection: &str) -> Result<String, Error>;

    /// Runs statements one after another in one session; the first that fails ends it.
    ///
    /// # Errors
    /// As `sql.run`.
    fn run(&self, connection: &str, statements: &[String]) -> Result<Vec<Table>, Error>;
}

/// Sessions through the host.
#[derive(Debug)]
pub struct Host;

impl Sql for Host {
    fn address(&self, connection: &str) -> Result<String, Error> {
        sql::get_address(connection)
    }

    fn run(&self, connection: &str, statements: &[String]) -> Result<Vec<Table>, Error> {
        check_statements(statements)?;
        let statements: Vec<_> = statements
            .iter()
            .map(|text| sql::Statement {
                text: text.clone(),
                parameters: Vec::new(),
            })
            .collect();
        Ok(sql::run(connection, &statements)?
            .into_iter()
            .map(table)
            .collect())
    }
}

/// Rows as text.
fn table(rows: sql::Rows) -> Table {
    Table {
        columns: rows.columns,
        rows: rows
            .rows
            .into_iter()
            .map(|row| row.into_iter().map(text).collect())
            .collect(),
    }
}

/// A value as text; none for `NULL`.
fn text(value: sql::Value) -> Option<String> {
    match value {
        sql::Value::Null => None,
        sql::Value::Boolean(value) => Some(u8::from(value).to_string()),
        sql::Value::Integer(value) => Some(value.to_string()),
        sql::Value::Unsigned(value) => Some(value.to_string()),
        sql::Value::Real(value) => Some(value.to_string()),
        sql::Value::Text(value) => Some(value),
        sql::Value::Bytes(value) => Some(String::from_utf8_lossy(&value).into_owned()),
    }
}

/// What one statement answered. Values are their text; `NULL` is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values in the order of the columns.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// A row with its columns' names.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        let values = self.rows.get(index)?;
        Some(Row {
            columns: &self.columns,
            values,
        })
    }

    /// Every row.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row {
            columns: &self.columns,
            values,
        })
    }

    /// The definition in the answer to `SHOW CREATE TABLE`.
    #[must_use]
    pub fn definition(&self) -> Option<String> {
        self.row(0)?.get("Create Table").map(str::to_owned)
    }

    /// The first value of the first row; empty where there is none.
    #[must_use]
    pub fn single(&self) -> &str {
        self.rows
            .first()
            .and_then(|row| row.first())
            .and_then(Option::as_deref)
            .unwrap_or("")
    }
}

/// A row by its columns' names.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [String],
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    /// The value of a column; none for `NULL` and for a column the server does not have.
    #[must_use]
    pub fn get(self, column: &str) -> Option<&'a str> {
        let index = self
            .columns
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))?;
        self.values.get(index)?.as_deref()
    }

    /// The value of a column as text; empty for `NULL`.
    #[must_use]
    pub fn text(self, column: &str) -> &'a str {
        self.get(column).unwrap_or("")
    }

    /// The value of a column as a number; 0 for `NULL` and for what is not a number.
    #[must_use]
    pub fn number(self, column: &str) -> u64 {
        self.text(column).parse().unwrap_or(0)
    }
}

/// Refuses a statement into which a name or a definition of some database smuggled a token that the host would replace
/// by a password.
///
/// # Errors
/// `invalid`: names the statement's beginning.
pub fn check_statements(statements: &[String]) -> Result<(), Error> {
    match statements
        .iter()
        .find(|text| text.contains(CREDENTIAL_TOKEN) && !text.starts_with(CHANGE_MASTER))
    {
        None => Ok(()),
        Some(text) => Err(Error::Invalid(format!(
            "a statement holds a credential token where none belongs: {}…",
            text.chars().take(40).collect::<String>()
        ))),
    }
}

/// Statements from their texts.
#[must_use]
pub fn statements(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smuggled_credential_token_is_refused() {
        assert!(
            check_statements(&statements(&[
                "CHANGE MASTER TO MASTER_PASSWORD=${credential:r}"
            ]))
            .is_ok()
        );
        assert!(
            check_statements(&statements(&[
                "CREATE TABLE `t` (a INT) COMMENT '${credential:r}'"
            ]))
            .is_err()
        );
    }

    #[test]
    fn rows_are_read_by_name() {
        let table = Table {
            columns: vec!["Id".to_owned(), "n".to_owned()],
            rows: vec![vec![None, Some("7".to_owned())]],
        };
        let row = table.row(0).unwrap();
        assert_eq!(
            (row.get("id"), row.number("N"), row.text("missing")),
            (None, 7, "")
        );
        assert_eq!(table.single(), "");
    }
}
