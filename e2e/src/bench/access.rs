//! A request as versitygw's access log has it: fields with blanks between them, as S3's own server access logs.

/// The S3 operation of a line, such as `PutObject`; `other` where the server did not know it. None for a line that is no
/// request.
pub fn operation(line: &str) -> Option<&str> {
    // Bucket owner, bucket, [time with a zone], address, requester, id, operation: the time has no other blank.
    let (_, after) = line.split_once('[')?;
    let (_, after) = after.split_once("] ")?;
    let action = after.split(' ').nth(3)?;
    Some(action.strip_prefix("s3_").unwrap_or("other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_of_a_request_is_found_and_other_lines_are_none() {
        let put = "key-of-dr1 kaedama-dr1 [21/November/2026:15:30:00 +0000] 127.0.0.1 key-of-dr1 4F2A s3_PutObject \
                   app/v1/vrg /kaedama-dr1/app/v1/vrg?x-id=PutObject 200 - 0 812 3 3 - aws-sdk - h SigV4";
        assert_eq!(operation(put), Some("PutObject"));
        assert_eq!(operation("- - [21/November/2026:15:30:00 +0000] 127.0.0.1 - 4F2A - - / 403 Denied"), Some("other"));
        assert_eq!(operation("log starts 2026-11-21 15:30:00.1 +0000 UTC m=+0.04"), None);
    }
}
