//! Who uses how much: requests and bytes by repository, principal and hour.
//!
//! Counts are added up in memory, in a table of bounded size, and written to the database every now and then; rows there are added
//! to, so that replicas need not know of each other. What is asked is parsed once into a [`Question`] and answered with a [`Report`],
//! for the command line and the admin listener alike.
//!
//! *Never* here: deciding anything by what was used, waiting where something is counted, or losing a count because the table is full
//! or the database is away.

mod hour;
mod ledger;
mod meter;
mod question;
mod report;
mod stock;

pub use hour::Hour;
pub use meter::{Fetched, Meter, Whose};
pub use question::{Question, QuestionError, Wanted};
pub use report::{Line, Report, report};
pub use stock::{Stock, StockPosition};
