//! Values of `wit/sql`, whatever the server. How each engine spells them on its wire is its own (`mysql/value.rs`,
//! `postgres/value.rs`).

use serde::{Deserialize, Serialize};

/// `sql.value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqlValue {
    /// `NULL`.
    Null,
    /// True or false; MySQL has no such type, takes it as 1 or 0 and never answers it.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number of an unsigned column.
    Unsigned(u64),
    /// A binary fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(#[serde(with = "crate::bytes")] Vec<u8>),
}

impl SqlValue {
    /// What it counts towards the limit on a result, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Null | Self::Boolean(_) => 1,
            Self::Integer(_) | Self::Unsigned(_) | Self::Real(_) => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_shape_of_the_contract() {
        let all = vec![
            SqlValue::Null,
            SqlValue::Boolean(true),
            SqlValue::Integer(-1),
            SqlValue::Unsigned(u64::MAX),
            SqlValue::Real(0.5),
            SqlValue::Text("a".to_owned()),
            SqlValue::Bytes(vec![1, 2]),
        ];
        let text = r#"["null",{"boolean":true},{"integer":-1},{"unsigned":18446744073709551615},{"real":0.5},{"text":"a"},{"bytes":{"base64":"AQI="}}]"#;
        assert_eq!(serde_json::to_string(&all).unwrap(), text);
        assert_eq!(serde_json::from_str::<Vec<SqlValue>>(text).unwrap(), all);
    }
}
