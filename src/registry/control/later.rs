//! Operations that a later version carries out: they answer as if nothing of their kind were ever set. What they name has to be there
//! all the same, as in ECR.

use super::{Control, failed};
use crate::ecr::{Fault, Found, LaterOperation, Output, RepositoryScanningConfiguration};

impl Control<'_> {
    pub(super) async fn later(&self, operation: &LaterOperation) -> Result<Output, Fault> {
        let mut found = Found::default();
        for name in &operation.repositories {
            match self.meta.repository_row(&self.qualified(name)).await.map_err(failed)? {
                None => found.missing.push(name.clone()),
                Some(row) => {
                    if let Some(image) = &operation.image {
                        self.image_row(&row, image).await?;
                    }
                    let arn = self.arn(&row.name).ok_or_else(|| Fault::server("no name can be made of it"))?;
                    found.repositories.push(RepositoryScanningConfiguration::new(arn, row.settings.scan_on_push));
                }
            }
        }
        operation.answer(self.endpoint.account, found)
    }
}
