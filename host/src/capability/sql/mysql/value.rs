//! Values between `wit/sql` and the wire of MySQL and MariaDB.
//!
//! | column type | value |
//! |---|---|
//! | any, `NULL` | `null` |
//! | `TINYINT` … `BIGINT`, `YEAR` | `integer`, or `unsigned` where the column is |
//! | `FLOAT`, `DOUBLE` | `real` |
//! | `DECIMAL` | `text`: a binary fraction would not be the same number |
//! | `DATE`, `TIME`, `DATETIME`, `TIMESTAMP` | `text`, as the server writes it |
//! | `JSON`, `ENUM`, `SET` and all with a character set | `text` |
//! | `BIT`, `GEOMETRY`, `VECTOR`, and strings of the `binary` set | `bytes` |

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value as Wire};

use crate::capability::sql::SqlValue;

/// Number of the character set `binary`.
const BINARY_CHARSET: u16 = 63;

impl SqlValue {
    /// A value as it came in a column.
    pub(super) fn from_mysql(value: Wire, column: &Column) -> Self {
        match value {
            Wire::NULL => Self::Null,
            Wire::Bytes(bytes) => from_bytes(bytes, column),
            Wire::Int(number) => Self::Integer(number),
            Wire::UInt(number) => Self::Unsigned(number),
            Wire::Float(number) => Self::Real(f64::from(number)),
            Wire::Double(number) => Self::Real(number),
            Wire::Date(year, month, day, hour, minute, second, micros) => {
                let date = format!("{year:04}-{month:02}-{day:02}");
                if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                    Self::Text(date)
                } else {
                    let fraction = fraction(micros, column.decimals());
                    Self::Text(format!(
                        "{date} {hour:02}:{minute:02}:{second:02}{fraction}"
                    ))
                }
            }
            Wire::Time(negative, days, hours, minutes, seconds, micros) => {
                let sign = if negative { "-" } else { "" };
                let hours = u64::from(days) * 24 + u64::from(hours);
                let fraction = fraction(micros, column.decimals());
                Self::Text(format!(
                    "{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"
                ))
            }
        }
    }

    /// A value as a parameter.
    pub(super) fn into_mysql(self) -> Wire {
        match self {
            Self::Null => Wire::NULL,
            Self::Boolean(value) => Wire::Int(i64::from(value)),
            Self::Integer(number) => Wire::Int(number),
            Self::Unsigned(number) => Wire::UInt(number),
            Self::Real(number) => Wire::Double(number),
            Self::Text(text) => Wire::Bytes(text.into_bytes()),
            Self::Bytes(bytes) => Wire::Bytes(bytes),
        }
    }
}

/// Microseconds to the column's number of decimals, as the server prints them.
fn fraction(micros: u32, decimals: u8) -> String {
    let digits = format!("{micros:06}");
    match digits.get(..usize::from(decimals.min(6))) {
        Some(digits) if !digits.is_empty() => format!(".{digits}"),
        _ => String::new(),
    }
}

/// The text protocol sends everything as bytes; what they are, the column says.
fn from_bytes(bytes: Vec<u8>, column: &Column) -> SqlValue {
    use ColumnType as T;
    let kind = column.column_type();
    let binary = match kind {
        T::MYSQL_TYPE_BIT | T::MYSQL_TYPE_GEOMETRY | T::MYSQL_TYPE_VECTOR => true,
        T::MYSQL_TYPE_VARCHAR
        | T::MYSQL_TYPE_VAR_STRING
        | T::MYSQL_TYPE_STRING
        | T::MYSQL_TYPE_TINY_BLOB
        | T::MYSQL_TYPE_MEDIUM_BLOB
        | T::MYSQL_TYPE_LONG_BLOB
        | T::MYSQL_TYPE_BLOB => column.character_set() == BINARY_CHARSET,
        _ => false,
    };
    if binary {
        return SqlValue::Bytes(bytes);
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return SqlValue::Bytes(error.into_bytes()),
    };
    let number = match kind {
        T::MYSQL_TYPE_TINY
        | T::MYSQL_TYPE_SHORT
        | T::MYSQL_TYPE_INT24
        | T::MYSQL_TYPE_LONG
        | T::MYSQL_TYPE_LONGLONG
        | T::MYSQL_TYPE_YEAR => {
            if column.flags().contains(ColumnFlags::UNSIGNED_FLAG) {
                text.parse().ok().map(SqlValue::Unsigned)
            } else {
                text.parse().ok().map(SqlValue::Integer)
            }
        }
        T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => text.parse().ok().map(SqlValue::Real),
        _ => None,
    };
    number.unwrap_or(SqlValue::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, charset: u16, flags: ColumnFlags) -> Column {
        Column::new(kind)
            .with_character_set(charset)
            .with_flags(flags)
            .with_decimals(3)
    }

    #[test]
    fn both_protocols_give_the_same_value() {
        let plain = |kind| column(kind, 45, ColumnFlags::empty());
        let bytes = |text: &str| Wire::Bytes(text.as_bytes().to_vec());
        for (kind, text, binary) in [
            (ColumnType::MYSQL_TYPE_LONGLONG, "-5", Wire::Int(-5)),
            (ColumnType::MYSQL_TYPE_DOUBLE, "2.5", Wire::Double(2.5)),
            (
                ColumnType::MYSQL_TYPE_DATETIME,
                "2026-01-02 03:04:05.678",
                Wire::Date(2026, 1, 2, 3, 4, 5, 678_000),
            ),
            (
                ColumnType::MYSQL_TYPE_DATE,
                "2026-01-02",
                Wire::Date(2026, 1, 2, 0, 0, 0, 0),
            ),
            (
                ColumnType::MYSQL_TYPE_TIME,
                "-49:04:05.000",
                Wire::Time(true, 2, 1, 4, 5, 0),
            ),
            (ColumnType::MYSQL_TYPE_NEWDECIMAL, "1.10", bytes("1.10")),
        ] {
            let column = plain(kind);
            assert_eq!(
                SqlValue::from_mysql(bytes(text), &column),
                SqlValue::from_mysql(binary, &column),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_column_says_what_bytes_are() {
        let received = |kind, charset, flags, bytes: &[u8]| {
            SqlValue::from_mysql(Wire::Bytes(bytes.to_vec()), &column(kind, charset, flags))
        };
        let none = ColumnFlags::empty();
        let unsigned = ColumnFlags::UNSIGNED_FLAG;
        use ColumnType as T;
        assert_eq!(
            received(
                T::MYSQL_TYPE_LONGLONG,
                63,
                unsigned,
                b"18446744073709551615"
            ),
            SqlValue::Unsigned(u64::MAX)
        );
        assert_eq!(
            received(T::MYSQL_TYPE_VAR_STRING, 63, none, b"ab"),
            SqlValue::Bytes(b"ab".to_vec())
        );
        assert_eq!(
            received(T::MYSQL_TYPE_VAR_STRING, 45, none, b"ab"),
            SqlValue::Text("ab".to_owned())
        );
        assert_eq!(
            received(T::MYSQL_TYPE_BLOB, 45, none, &[0xff]),
            SqlValue::Bytes(vec![0xff])
        );
        assert_eq!(
            received(T::MYSQL_TYPE_JSON, 63, none, b"{}"),
            SqlValue::Text("{}".to_owned())
        );
    }
}
