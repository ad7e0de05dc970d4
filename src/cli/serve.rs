//! `entrepot serve`.

use super::failure::Failure;
use crate::app;
use crate::config::Source;

pub(super) async fn run(source: Source) -> Result<(), Failure> {
    app::run(source).await.map_err(|error| match error {
        app::Error::Config(errors) => Failure::Configuration(errors),
        error => Failure::Runtime(error.to_string()),
    })
}
