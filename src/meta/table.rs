//! Many rows in one statement.
//!
//! A parameter cannot be a list in both databases, but text that both read as a table: a JSON array with an array for each row. What
//! would be a statement for each row is one, whatever the number of rows.

use serde::Serialize;

use super::database::Dialect;

/// A column of such a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Dialect {
    /// Stands where a table can stand, for the rows in the parameter `$number`.
    pub(super) fn table(self, number: u32, columns: &[Column]) -> String {
        let column = |(at, column): (usize, &Column)| match (self, *column) {
            (Self::Sqlite, Column::Text(name) | Column::Number(name)) => {
                format!("json_extract(value, '$[{at}]') AS {name}")
            }
            (Self::Postgres, Column::Text(name)) => format!("value->>{at} AS {name}"),
            (Self::Postgres, Column::Number(name)) => format!("CAST(value->>{at} AS BIGINT) AS {name}"),
        };
        let columns: Vec<_> = columns.iter().enumerate().map(column).collect();
        let rows = match self {
            Self::Sqlite => format!("json_each(${number})"),
            Self::Postgres => format!("jsonb_array_elements(CAST(${number} AS jsonb))"),
        };
        format!("(SELECT {} FROM {rows})", columns.join(", "))
    }
}

/// The parameter. Rows are tuples, each with the columns in their order.
pub(super) fn rows<T: Serialize>(rows: &[T]) -> String {
    // Numbers, digests and names make no JSON that cannot be written.
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
