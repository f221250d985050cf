//! Get.

use super::{Answer, Op, list};
use crate::status::ApiError;

pub(crate) async fn get(op: &Op<'_>) -> Result<Answer, ApiError> {
    if let Some(revision) = list::revision(op)? {
        list::wait_for(op, revision).await?;
    }
    op.live().map(|stored| Answer::Object(200, stored))
}
