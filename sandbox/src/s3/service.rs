//! The S3 operations.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use s3s::dto::{
    Bucket, CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, PutObjectInput,
    PutObjectOutput, StreamingBlob,
};
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::buckets::{Condition, Object, Refused};
use super::{State, lock};

/// Keys on one page of a listing, as in S3.
const PAGE: i32 = 1000;

/// The operations of one store.
pub(super) struct Operations(pub(super) Arc<State>);

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoBucket => s3_error!(NoSuchBucket, "The specified bucket does not exist."),
            Refused::NoKey => s3_error!(NoSuchKey, "The specified key does not exist."),
            Refused::Precondition => s3_error!(PreconditionFailed, "A condition of the request does not hold."),
        }
    }
}

fn last_modified(at: Timestamp) -> Option<s3s::dto::Timestamp> {
    Some(SystemTime::from(at).into())
}

fn etag(object: &Object) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let chunks: Vec<Bytes> =
        body.try_collect().await.map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
    Ok(chunks.concat().into())
}

impl Operations {
    fn read(&self, bucket: &str, key: &str) -> S3Result<Object> {
        Ok(lock(&self.0.buckets).read(bucket, key)?)
    }

    fn condition(&self, absent: Option<ETagCondition>, matches: Option<ETagCondition>) -> S3Result<Condition> {
        let condition = match (absent, matches) {
            (None, None) => return Ok(Condition::None),
            (Some(condition), None) if condition.is_any() => Condition::Absent,
            (None, Some(condition)) => match condition.into_etag() {
                Some(etag) => Condition::Matches(etag.into_value()),
                None => return Err(s3_error!(NotImplemented, "If-Match: * is not implemented.")),
            },
            _ => return Err(s3_error!(NotImplemented, "This condition is not implemented.")),
        };
        if self.0.options.conditional_writes {
            Ok(condition)
        } else {
            Err(s3_error!(NotImplemented, "Conditional writes are not implemented."))
        }
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        if lock(&self.0.buckets).exists(&request.input.bucket) {
            Ok(S3Response::new(HeadBucketOutput::default()))
        } else {
            Err(Refused::NoBucket.into())
        }
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let mut buckets = lock(&self.0.buckets);
        if buckets.exists(&request.input.bucket) || !buckets.create(&request.input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket exists and is yours."));
        }
        let location = format!("/{}", request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        if lock(&self.0.buckets).exists(&request.input.bucket) {
            Ok(S3Response::new(GetBucketLocationOutput::default()))
        } else {
            Err(Refused::NoBucket.into())
        }
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket { name: Some(name), ..Bucket::default() };
        let buckets = lock(&self.0.buckets).names().into_iter().map(bucket).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, if_match, if_none_match, .. } = request.input;
        let condition = self.condition(if_none_match, if_match)?;
        let body = collect(body).await?;
        let now = self.0.options.clock.now();
        let etag = lock(&self.0.buckets).put(&bucket, &key, body, &condition, now)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..PutObjectOutput::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, .. } = request.input;
        let object = self.read(&bucket, &key)?;
        let length = object.body.len() as u64;
        let (body, content_range) = match range {
            None => (object.body.clone(), None),
            Some(range) => {
                let outside = |_| s3_error!(InvalidRange, "The range is outside of the object.");
                let range = range.check(length).map_err(outside)?;
                let content_range = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(object.body.len());
                (object.body.slice(at(range.start)..at(range.end)), Some(content_range))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(body.len()).ok(),
            content_range,
            e_tag: etag(&object),
            last_modified: last_modified(object.modified),
            body: Some(StreamingBlob::from(Body::from(body))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.read(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(object.body.len()).ok(),
            e_tag: etag(&object),
            last_modified: last_modified(object.modified),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ListObjectsV2Input { bucket, prefix, delimiter, continuation_token, start_after, max_keys, .. } =
            request.input;
        let limit = max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        // The token is the last key of the page before.
        let after = continuation_token.as_deref().or(start_after.as_deref());
        let from = prefix.as_deref().unwrap_or_default();
        let limit_usize = usize::try_from(limit).unwrap_or_default();
        let page = lock(&self.0.buckets).list(&bucket, from, delimiter.as_deref(), after, limit_usize)?;
        let contents: Vec<s3s::dto::Object> = page
            .objects
            .into_iter()
            .map(|(key, object)| s3s::dto::Object {
                e_tag: etag(&object),
                last_modified: last_modified(object.modified),
                size: i64::try_from(object.body.len()).ok(),
                key: Some(key),
                ..s3s::dto::Object::default()
            })
            .collect();
        let prefixes: Vec<CommonPrefix> =
            page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
            is_truncated: Some(page.goes_on_after.is_some()),
            next_continuation_token: page.goes_on_after,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            max_keys: Some(limit),
            name: Some(bucket),
            prefix,
            delimiter,
            continuation_token,
            start_after,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let mut buckets = lock(&self.0.buckets);
        if !buckets.exists(&request.input.bucket) {
            return Err(Refused::NoBucket.into());
        }
        buckets.remove(&request.input.bucket, &request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        if !self.0.options.deletes_without_md5 && !request.headers.contains_key("content-md5") {
            return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5."));
        }
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "One to 1000 keys are expected."));
        }
        let mut buckets = lock(&self.0.buckets);
        if !buckets.exists(&bucket) {
            return Err(Refused::NoBucket.into());
        }
        let mut deleted = Vec::new();
        for object in delete.objects {
            buckets.remove(&bucket, &object.key);
            deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
        }
        let deleted = (delete.quiet != Some(true)).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
    }
}
