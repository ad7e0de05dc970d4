//! Creation templates: what one gives to repositories is given by who writes it, so they need the rights to give it themselves.

use super::{Below, Need, On};
use crate::ecr::TemplateSettings;

/// All that the template would do in its writer's name, on every repository that it is for (ECR's dependent actions).
pub fn given<'a>(below: &'a Below, settings: &TemplateSettings) -> Vec<Need<'a>> {
    let need = |action| Need::new(action, On::Below(below));
    let is_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let said = settings.said();
    let mut needs = vec![need("ecr:CreateRepository").said(said.clone())];
    if !said.is_empty() {
        needs.push(need("ecr:TagResource").said(said));
    }
    if is_text(&settings.repository_policy) {
        needs.push(need("ecr:SetRepositoryPolicy"));
    }
    if is_text(&settings.lifecycle_policy) {
        needs.push(need("ecr:PutLifecyclePolicy"));
    }
    needs
}
