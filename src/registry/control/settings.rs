//! What holds for the registry as a whole: its description, account settings, principals whose pulls do not count.

use super::{Control, failed, now_ms, timestamp};
use crate::ecr::{
    AccountSettingOutput, DescribeRegistryOutput, ExclusionOutput, Fault, GetAccountSetting,
    ListPullTimeUpdateExclusions, ListPullTimeUpdateExclusionsOutput, Output, PullTimeUpdateExclusion,
    PutAccountSetting, ReplicationConfiguration, Word,
};
use crate::meta::{DocumentKind, Made};
use crate::registry::account_settings::account_setting;
use crate::registry::hosted::MAX_EXCLUSIONS;

impl Control<'_> {
    pub(super) fn describe_registry(&self) -> Result<Output, Fault> {
        let replication_configuration = ReplicationConfiguration::default();
        let registry_id = self.endpoint.account;
        Ok(Output::DescribeRegistry(DescribeRegistryOutput { registry_id, replication_configuration }))
    }

    pub(super) async fn get_account_setting(&self, input: GetAccountSetting) -> Result<Output, Fault> {
        let value = account_setting(self.meta, self.endpoint.account, input.name).await.map_err(failed)?;
        Ok(Output::AccountSetting(AccountSettingOutput { name: input.name, value }))
    }

    pub(super) async fn put_account_setting(&self, input: PutAccountSetting) -> Result<Output, Fault> {
        let put = self.meta.put_document(
            self.endpoint.account,
            DocumentKind::Setting,
            input.name.word(),
            input.value,
            now_ms(),
        );
        put.await.map_err(failed)?;
        self.authorizer.policies_changed();
        Ok(Output::AccountSetting(AccountSettingOutput { name: input.name, value: input.value }))
    }

    pub(super) async fn register_exclusion(&self, input: PullTimeUpdateExclusion) -> Result<Output, Fault> {
        let (kind, now_ms, arn) = (DocumentKind::PullTimeExclusion, now_ms(), input.principal_arn);
        let most = u64::from(MAX_EXCLUSIONS);
        match self.meta.make_document(self.endpoint.account, kind, &arn, "{}", most, now_ms).await.map_err(failed)? {
            Made::New(()) => {}
            Made::TooMany => {
                return Err(Fault::limit_exceeded(format!("there are {MAX_EXCLUSIONS} exclusions already")));
            }
            Made::IsThere | Made::NoOwner => return Err(Fault::exclusion_already_exists(&arn)),
        }
        self.hosted.exclusions_changed();
        Ok(Output::Exclusion(ExclusionOutput { principal_arn: arn, created_at: Some(timestamp(now_ms)) }))
    }

    pub(super) async fn deregister_exclusion(&self, input: PullTimeUpdateExclusion) -> Result<Output, Fault> {
        let arn = input.principal_arn;
        match self
            .meta
            .remove_document(self.endpoint.account, DocumentKind::PullTimeExclusion, &arn)
            .await
            .map_err(failed)?
        {
            Some(_) => {
                self.hosted.exclusions_changed();
                Ok(Output::Exclusion(ExclusionOutput { principal_arn: arn, created_at: None }))
            }
            None => Err(Fault::exclusion_not_found(&arn)),
        }
    }

    pub(super) async fn list_exclusions(&self, input: ListPullTimeUpdateExclusions) -> Result<Output, Fault> {
        let page = input.page;
        let limit = u32::try_from(page.limit).unwrap_or(u32::MAX);
        let rows = self.meta.documents(
            self.endpoint.account,
            DocumentKind::PullTimeExclusion,
            page.after.as_deref(),
            limit.saturating_add(1),
        );
        let mut arns: Vec<String> = rows.await.map_err(failed)?.into_iter().map(|row| row.name).collect();
        let more = arns.len() > page.limit;
        arns.truncate(page.limit);
        let next_token = arns.last().filter(|_| more).map(|last| page.next_token(last));
        let output = ListPullTimeUpdateExclusionsOutput { pull_time_update_exclusions: arns, next_token };
        Ok(Output::ListPullTimeUpdateExclusions(output))
    }
}
