//! Rejects truncated response bodies before the SDK parses them.
//!
//! # The SDK's behaviour
//!
//! The deserializers generated for `aws-sdk-s3` (seen with 1.157.0, `aws-smithy-xml` 0.64.1) accept an XML
//! document that ends early. `Document::next` returns `None` both at the end of the input and after the root
//! element, so `ScopedDecoder::next_tag` ends its loop, and the fields read so far are the result:
//!
//! ```text
//! <ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a
//!
//! Ok(ListObjectsV2Output { is_truncated: Some(true), contents: [Object { key: Some("a"), .. }], .. })
//! ```
//!
//! Half of a listing thus parses as a page with fewer keys, or, without `IsTruncated`, as the last page. Half
//! of a `DeleteResult` lacks errors, and half of an `ObjectLockConfiguration` says that there is none. HTTP
//! detects a truncation by its framing, but not for a body that ends with the connection (HTTP/1.0), nor
//! if a proxy or load balancer forwards the part it has received as if it were all.
//!
//! The JavaScript SDK had this defect (<https://github.com/aws/aws-sdk-js/issues/886>) and reports a
//! retryable error since. `aws-smithy-xml` contains the check (`Document::check_well_formedness`), but it is
//! private, and the generated deserializers do not use it.
//!
//! In an audit log `count` would be too low, a scan would omit entries without an error, and an
//! object that could not be deleted would be reported as deleted.
//!
//! # The check
//!
//! [`CompleteBody`] is an interceptor that wraps the deserializer of an operation. A successful response
//! whose document does not end with its root element is a response error, which is retried. [`BoundedBody`], an
//! interceptor of all operations, reads documents, also those of errors, up to a limit: a server cannot fill the
//! memory.

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeSerializationInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, FrozenLayer, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use http_body_util::Limited;

/// The longest document that is read. A page of 1,000 keys of 1,024 bytes, each percent-encoded, has some 4 MB.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// Parses the body of a successful response.
pub(crate) trait ParseBody: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// Parses a complete body. `None` leaves it to the SDK.
    fn parse(&self, body: &[u8]) -> Option<Output>;
}

/// Leaves every body to the SDK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SdkParser;

impl ParseBody for SdkParser {
    fn parse(&self, _: &[u8]) -> Option<Output> {
        None
    }
}

/// Makes a request fail if its response body is truncated. `Operation` is the SDK's type for the operation
/// of the request.
#[derive(Debug)]
pub(crate) struct CompleteBody<Operation, Parser = SdkParser> {
    operation: Operation,
    parser: Parser,
}

impl<Operation> CompleteBody<Operation> {
    pub(crate) fn new(operation: Operation) -> Self {
        Self { operation, parser: SdkParser }
    }
}

impl<Operation: RuntimePlugin, Parser: ParseBody> CompleteBody<Operation, Parser> {
    pub(crate) fn with_parser(operation: Operation, parser: Parser) -> Self {
        Self { operation, parser }
    }

    fn deserializer(&self) -> Option<Deserializer<Parser>> {
        Some(Deserializer { parser: self.parser.clone(), config: self.operation.config()? })
    }
}

impl<Operation: RuntimePlugin, Parser: ParseBody> Intercept for CompleteBody<Operation, Parser> {
    fn name(&self) -> &'static str {
        "CompleteBody"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let deserializer = self.deserializer();
        let deserializer = deserializer.ok_or("the SDK has no configuration for the operation")?;
        config.interceptor_state().store_put(SharedResponseDeserializer::new(deserializer));
        Ok(())
    }
}

/// Bounds the bodies that the SDK reads as a whole: all but those of objects, whose readers have a bound of their
/// own.
#[derive(Debug)]
pub(crate) struct BoundedBody;

impl Intercept for BoundedBody {
    fn name(&self) -> &'static str {
        "BoundedBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_get = config.load::<Metadata>().is_some_and(|found| found.name() == "GetObject");
        if is_get && context.response().status().is_success() {
            return Ok(());
        }
        let body = context.response_mut().body_mut();
        let limited = Limited::new(std::mem::replace(body, SdkBody::taken()), MAX_DOCUMENT_BYTES);
        *body = SdkBody::from_body_1_x(limited);
        Ok(())
    }
}

/// Uses `parser`, or else the SDK's deserializer after checking that the body is complete.
#[derive(Debug)]
struct Deserializer<Parser> {
    parser: Parser,
    /// The SDK's configuration of the operation, which holds its deserializer.
    config: FrozenLayer,
}

impl<Parser: ParseBody> DeserializeResponse for Deserializer<Parser> {
    fn deserialize_streaming_with_config(
        &self,
        _: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        None
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if response.status().is_success() {
            let body = response.body().bytes().unwrap_or_default();
            if let Some(output) = self.parser.parse(body) {
                return Ok(output);
            }
            if !is_complete(body) {
                return Err(OrchestratorError::response("the response body is truncated".into()));
            }
        }
        let sdk = self.config.load::<SharedResponseDeserializer>();
        let sdk = sdk.ok_or_else(|| OrchestratorError::other("no response deserializer"))?;
        sdk.deserialize_nonstreaming_with_config(response, config)
    }
}

/// Whether an XML document ends with its root element. Its end tag must be the only one of its name, which
/// holds for all responses of S3.
fn is_complete(document: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(document.trim_ascii()) else { return false };
    // The prologue consists of `<?…?>` and `<!…>`.
    let starts_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let Some((start, _)) = text.match_indices('<').find(|(at, _)| starts_name(&text[at + 1..]))
    else {
        return false;
    };
    let root = &text[start..];
    let name_end = root.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
    match root.split_once(&format!("</{}>", &root[1..name_end.unwrap_or(root.len())])) {
        Some((_, rest)) => rest.is_empty(),
        None => root.ends_with("/>") && root.matches('<').count() == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::operation::delete_objects::{DeleteObjects, DeleteObjectsOutput};
    use aws_sdk_s3::operation::list_objects_v2::{
        ListObjectsV2, ListObjectsV2Error, ListObjectsV2Output,
    };
    use aws_sdk_s3::primitives::SdkBody;

    const FAILURES: &str = "<?xml version=\"1.0\"?>\n<DeleteResult>\
        <Error><Key>a</Key><Code>AccessDenied</Code></Error><Error/></DeleteResult>\n";

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>a/</Prefix>
  <MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>
  <Contents><Key>a/1+2%20.json</Key><LastModified>2026-01-28T09:15:00.000Z</LastModified>
    <ETag>&#34;5d&#34;</ETag><Size>532</Size><Owner><ID>x</ID></Owner></Contents>
  <Contents><Size>0</Size><Key> a/</Key></Contents>
  <CommonPrefixes><Prefix>a/2026-01-28/</Prefix></CommonPrefixes>
  <NextContinuationToken>token</NextContinuationToken><StartAfter/></ListBucketResult>
"#;

    fn parse(
        parser: &impl DeserializeResponse,
        status: u16,
        body: &str,
    ) -> Result<Output, OrchestratorError<Error>> {
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        parser.deserialize_nonstreaming_with_config(&response, &ConfigBag::base())
    }

    /// Every proper prefix of `document`, but for missing white space at its end.
    fn truncations(document: &str) -> impl Iterator<Item = &str> {
        (0..document.trim_end().len()).map(|length| &document[..length])
    }

    #[test]
    fn complete_documents_end_with_their_root_element() {
        for document in [FAILURES, PAGE] {
            assert!(is_complete(document.as_bytes()));
            for truncated in truncations(document) {
                assert!(!is_complete(truncated.as_bytes()), "{truncated}");
            }
        }
        assert!(is_complete(b"<DeleteResult/>"));
        assert!(is_complete(b"<!-- a --><a x=\"y\"><b/></a>"));
        for broken in ["", "<a></b>", "</a>", "<a></a></a>", "text", "<a><b></a></b>", "<a><b/>"] {
            assert!(!is_complete(broken.as_bytes()), "{broken}");
        }
    }

    #[test]
    fn truncated_delete_results_are_rejected() {
        let parser = CompleteBody::new(DeleteObjects::new()).deserializer().unwrap();
        let output = parse(&parser, 200, FAILURES).unwrap();
        assert_eq!(output.downcast::<DeleteObjectsOutput>().unwrap().errors().len(), 2);
        for truncated in truncations(FAILURES) {
            let error = parse(&parser, 200, truncated).unwrap_err();
            assert!(error.is_response_error(), "{truncated}: {error:?}");
        }
        // Error responses are left to the SDK, complete or not.
        assert!(parse(&parser, 503, "").unwrap_err().as_operation_error().is_some());
    }

    #[test]
    fn truncated_listings_are_rejected() {
        let operation = ListObjectsV2::new();
        let sdk = operation.config().unwrap();
        let sdk = sdk.load::<SharedResponseDeserializer>().unwrap();
        let parser = CompleteBody::new(operation).deserializer().unwrap();
        let page = parse(&parser, 200, PAGE).unwrap().downcast::<ListObjectsV2Output>().unwrap();
        assert_eq!(page.contents()[1].key(), Some(" a/"));
        assert_eq!((page.contents().len(), page.is_truncated()), (2, Some(true)));
        for truncated in truncations(PAGE) {
            assert!(parse(&parser, 200, truncated).unwrap_err().is_response_error(), "{truncated}");
        }
        // The behaviour of the SDK that makes the check necessary.
        let half = parse(sdk, 200, &PAGE[..PAGE.len() / 2]).unwrap();
        assert!(half.downcast::<ListObjectsV2Output>().unwrap().contents().len() < 2);
    }

    #[test]
    fn error_documents_are_parsed_with_any_status() {
        let parser = CompleteBody::new(ListObjectsV2::new()).deserializer().unwrap();
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        for status in [200, 403] {
            let error = parse(&parser, status, denied).unwrap_err();
            let error = error.as_operation_error().unwrap();
            let error = error.downcast_ref::<ListObjectsV2Error>().unwrap();
            assert_eq!(error.meta().code(), Some("AccessDenied"), "{status}");
        }
    }

    #[test]
    fn empty_pages_are_complete() {
        let parser = CompleteBody::new(ListObjectsV2::new()).deserializer().unwrap();
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        let page = parse(&parser, 200, empty).unwrap().downcast::<ListObjectsV2Output>().unwrap();
        assert!(page.contents().is_empty() && page.common_prefixes().is_empty());
        assert_eq!(page.is_truncated(), Some(false));
    }
}
