//! Pages of lists of images.

use crate::ecr::{Fault, ImageStatusFilter, NextToken, Page};

/// Rows to ask for: one more than the page has, which tells whether others follow.
pub(super) fn rows(page: &Page) -> u32 {
    u32::try_from(page.limit).unwrap_or(u32::MAX).saturating_add(1)
}

/// The page, and the token of the next one if there are more entries than it takes.
pub(super) fn cut<T>(mut entries: Vec<T>, page: &Page, key: impl Fn(&T) -> String) -> (Vec<T>, Option<NextToken>) {
    let more = entries.len() > page.limit;
    entries.truncate(page.limit);
    let next_token = entries.last().filter(|_| more).map(|last| page.next_token(&key(last)));
    (entries, next_token)
}

/// Where the list goes on, as the token says.
pub(super) fn after<T>(page: &Page, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Fault> {
    let read = |key| read(key).ok_or_else(|| Fault::invalid_parameter("nextToken", "it is not one of this list"));
    page.after.as_deref().map(read).transpose()
}

/// Whether images that are here belong to the list: all are active.
pub(super) fn includes_active(filter: ImageStatusFilter) -> bool {
    matches!(filter, ImageStatusFilter::Active | ImageStatusFilter::Any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::PageKind;

    #[test]
    fn a_token_only_where_others_follow() {
        let page = Page::new(PageKind::ImageDetails, 2, None);
        let key = |entry: &u8| entry.to_string();
        assert_eq!(cut(vec![1, 2], &page, key), (vec![1, 2], None));
        assert_eq!(cut(vec![1, 2, 3], &page, key), (vec![1, 2], Some(page.next_token("2"))));
        assert_eq!(cut(Vec::new(), &page, key), (Vec::new(), None));
    }

    #[test]
    fn a_key_that_cannot_be_read_is_refused() {
        let read = |key: &str| key.parse::<u8>().ok();
        let page = |after: Option<&str>| Page::new(PageKind::ImageDetails, 1, after.map(str::to_owned));
        assert_eq!(after(&page(None), read), Ok(None));
        assert_eq!(after(&page(Some("7")), read), Ok(Some(7)));
        assert!(after(&page(Some("x")), read).is_err());
    }
}
