//! Counting and digesting what is in a database.

use sha2::{Digest as _, Sha256};

use super::migrations::{self, MIGRATIONS_TABLE};
use super::session::{Sql, Table, identifier};
use crate::host::understudy::types::types::Error;

/// What is in a database, as `contents` of the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of tables.
    pub tables: u32,
    /// Number of rows in all tables.
    pub rows: u64,
    /// SHA-256 over the definitions of all tables.
    pub schema_digest: String,
    /// SHA-256 over the tables' own checksums.
    pub checksum: String,
    /// Newest applied migration; empty where the database keeps none.
    pub migration: String,
}

/// See `observe-contents`. Rows are counted and summed in one consistent snapshot. `schema` is a checked name
/// ([`super::schema_name`]).
///
/// # Errors
/// `conflict`: a table that cannot be summed; else as `sql.run`.
pub fn observe(sql: &impl Sql, connection: &str, schema: &str) -> Result<Contents, Error> {
    let listed = sql.run(connection, &[format!(
        "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' \
         AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
    )])?;
    let tables: Vec<String> = listed
        .iter()
        .flat_map(Table::iter)
        .map(|row| row.text("name").to_owned())
        .collect();
    let mut questions = vec!["START TRANSACTION WITH CONSISTENT SNAPSHOT".to_owned()];
    for table in &tables {
        let full = format!("`{schema}`.{}", identifier(table));
        questions.push(format!("SHOW CREATE TABLE {full}"));
        questions.push(format!("SELECT COUNT(*) AS n FROM {full}"));
        questions.push(format!("CHECKSUM TABLE {full}"));
    }
    if tables.iter().any(|table| table == MIGRATIONS_TABLE) {
        questions.push(migrations::newest(schema));
    }
    let answers = sql.run(connection, &questions)?;
    summed(&tables, answers.get(1..).unwrap_or_default())
}

/// Sums the answers up: three per table, then the newest migration where there is one.
fn summed(tables: &[String], answers: &[Table]) -> Result<Contents, Error> {
    let (mut schema, mut data) = (Sha256::new(), Sha256::new());
    let mut contents = Contents {
        tables: u32::try_from(tables.len()).unwrap_or(u32::MAX),
        ..Contents::default()
    };
    for (table, answer) in tables.iter().zip(answers.chunks(3)) {
        let [definition, count, checksum] = answer else {
            return Err(Error::Other(format!(
                "the server answered nothing about table {table}"
            )));
        };
        let definition = definition.definition().unwrap_or_default();
        let sum = checksum
            .row(0)
            .and_then(|row| row.get("Checksum"))
            .ok_or_else(|| {
                Error::Conflict(format!(
                    "table {table} cannot be checksummed: it is missing or corrupt"
                ))
            })?;
        schema.update(without_auto_increment(&definition).as_bytes());
        schema.update(b"\n");
        data.update(format!("{table}={sum}\n").as_bytes());
        contents.rows += count.single().parse::<u64>().unwrap_or(0);
    }
    contents.schema_digest = hex(&schema.finalize());
    contents.checksum = hex(&data.finalize());
    contents.migration = answers
        .get(tables.len() * 3)
        .map(|table| table.single().to_owned())
        .unwrap_or_default();
    Ok(contents)
}

/// A definition without the table's next automatic number, which is data and not schema.
fn without_auto_increment(definition: &str) -> String {
    let Some((before, rest)) = definition.rsplit_once(" AUTO_INCREMENT=") else {
        return definition.to_owned();
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    format!("{before}{}", rest.get(digits..).unwrap_or_default())
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(definition: &str, count: &str, sum: Option<&str>) -> Vec<Table> {
        let table = |column: &str, value: Option<&str>| Table {
            columns: vec![column.to_owned()],
            rows: vec![vec![value.map(str::to_owned)]],
        };
        vec![
            table("Create Table", Some(definition)),
            table("n", Some(count)),
            table("Checksum", sum),
        ]
    }

    #[test]
    fn equal_data_gives_equal_digests_whatever_the_next_number() {
        let tables = vec!["posts".to_owned()];
        let a = summed(
            &tables,
            &answers(
                "CREATE TABLE `posts` (\n) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4",
                "3",
                Some("99"),
            ),
        )
        .unwrap();
        let b = summed(
            &tables,
            &answers(
                "CREATE TABLE `posts` (\n) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4",
                "3",
                Some("99"),
            ),
        )
        .unwrap();
        let c = summed(
            &tables,
            &answers(
                "CREATE TABLE `posts` (\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
                "3",
                Some("98"),
            ),
        )
        .unwrap();
        assert_eq!(a, b);
        assert_eq!((a.tables, a.rows, a.schema_digest.len()), (1, 3, 64));
        assert_eq!(a.schema_digest, c.schema_digest);
        assert_ne!(a.checksum, c.checksum);
    }

    #[test]
    fn a_table_that_cannot_be_summed_is_named() {
        let error = summed(&["posts".to_owned()], &answers("", "0", None)).unwrap_err();
        assert!(matches!(error, Error::Conflict(text) if text.contains("posts")));
    }
}
