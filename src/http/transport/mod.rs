//! Temporary. *Never*.
mod accept;
mod body;
pub use accept::serve;
pub use body::ResponseBody;
#[derive(Clone)]
pub struct FileRegions;
