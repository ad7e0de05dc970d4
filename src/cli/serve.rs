//! `entrepot serve`.

use super::failure::Failure;
use crate::config::Source;

pub(super) async fn run(source: Source) -> Result<(), Failure> {
    let settings = source.load().map_err(Failure::Configuration)?;
    let _ = (settings, source);
    Err(Failure::Runtime("serving is not built yet".to_owned()))
}
