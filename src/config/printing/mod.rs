//! Settings and keys as text: what holds, the reference of every key, a schema, a file to begin
//! with.

mod document;
mod reference;
mod schema;
mod starter;

pub use reference::reference;
pub use schema::schema;
pub use starter::starter_file;
