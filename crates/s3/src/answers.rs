//! An answer is read to its end, or not at all. The SDK's parser takes what there is of a document that
//! breaks off for all of it: half of a listing is an empty one to it, of objects that could not be
//! deleted it sees none, and a bucket with locks has none.

use aws_sdk_s3::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, FrozenLayer, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Has a successful answer read in another way than the SDK's.
pub(crate) trait ReadAnswer: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// What is told; `None` where the SDK shall read it.
    fn read(&self, body: &[u8]) -> Option<Output>;
}

/// By the SDK as ever, if it is whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsEver;

impl ReadAnswer for AsEver {
    fn read(&self, _: &[u8]) -> Option<Output> {
        None
    }
}

/// Has the answer to an operation, of which the SDK knows by `Operation`, read by `Reader`; where that
/// does not know what to make of it, by the SDK, if it is whole.
#[derive(Debug)]
pub(crate) struct ReadWhole<Operation, Reader = AsEver> {
    operation: Operation,
    reader: Reader,
}

impl<Operation> ReadWhole<Operation> {
    pub(crate) fn new(operation: Operation) -> Self {
        Self { operation, reader: AsEver }
    }
}

impl<Operation, Reader> ReadWhole<Operation, Reader> {
    pub(crate) fn by(reader: Reader, operation: Operation) -> Self {
        Self { operation, reader }
    }
}

impl<Operation: RuntimePlugin, Reader: ReadAnswer> ReadWhole<Operation, Reader> {
    fn reader(&self) -> Option<WholeReader<Reader>> {
        Some(WholeReader { reader: self.reader.clone(), usual: self.operation.config()? })
    }
}

impl<Operation: RuntimePlugin, Reader: ReadAnswer> Intercept for ReadWhole<Operation, Reader> {
    fn name(&self) -> &'static str {
        "ReadWhole"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let reader = self.reader().ok_or("the SDK says not how the answer is read")?;
        settings.interceptor_state().store_put(SharedResponseDeserializer::new(reader));
        Ok(())
    }
}

#[derive(Debug)]
struct WholeReader<Reader> {
    reader: Reader,
    /// What the SDK is told of the operation: among it, how to read its answer.
    usual: FrozenLayer,
}

impl<Reader: ReadAnswer> DeserializeResponse for WholeReader<Reader> {
    fn deserialize_streaming_with_config(
        &self,
        _: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<Result<Output, OrchestratorError<Error>>> {
        None
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        answer: &HttpResponse,
        settings: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if answer.status().is_success() {
            let body = answer.body().bytes().unwrap_or_default();
            if let Some(read) = self.reader.read(body) {
                return Ok(read);
            }
            if !is_whole(body) {
                return Err(OrchestratorError::response("the answer breaks off".into()));
            }
        }
        let usual = self.usual.load::<SharedResponseDeserializer>();
        let usual = usual.ok_or_else(|| OrchestratorError::other("nothing reads the answer"))?;
        usual.deserialize_nonstreaming_with_config(answer, settings)
    }
}

/// Whether a document ends where its outermost element does.
fn is_whole(document: &[u8]) -> bool {
    let mut reader = Reader::from_reader(document);
    let (mut depth, mut elements) = (0_usize, 0_usize);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                depth += 1;
                elements += 1;
            }
            Ok(Event::Empty(_)) => elements += 1,
            // One that was not begun is an error.
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => return depth == 0 && elements > 0,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// What an operation's answer is read as, in tests of how it is.
#[cfg(test)]
pub(crate) fn read(
    how: &ReadWhole<impl RuntimePlugin, impl ReadAnswer>,
    status: u16,
    body: &str,
) -> Result<Output, OrchestratorError<Error>> {
    let body = aws_sdk_s3::primitives::SdkBody::from(body);
    let answer = HttpResponse::new(status.try_into().unwrap(), body);
    how.reader().unwrap().deserialize_nonstreaming_with_config(&answer, &ConfigBag::base())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::operation::delete_objects::{DeleteObjects, DeleteObjectsOutput};

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<DeleteResult>\
        <Error><Key>a</Key><Code>AccessDenied</Code></Error><Error/></DeleteResult>\n";

    #[test]
    fn a_document_is_whole_or_it_is_not() {
        assert!(is_whole(ANSWER.as_bytes()));
        for length in 0..ANSWER.trim_end().len() {
            assert!(!is_whole(&ANSWER.as_bytes()[..length]), "{length}");
        }
        assert!(is_whole(b"<DeleteResult/>"));
        for broken in ["", "<a></b>", "</a>", "<a></a></a>", "text", "<a><b></a></b>"] {
            assert!(!is_whole(broken.as_bytes()), "{broken}");
        }
    }

    #[test]
    fn half_of_what_stays_is_not_taken_for_nothing() {
        let how = ReadWhole::new(DeleteObjects::new());
        let whole = read(&how, 200, ANSWER).unwrap().downcast::<DeleteObjectsOutput>().unwrap();
        assert_eq!(whole.errors().len(), 2);
        for length in 0..ANSWER.trim_end().len() {
            let error = read(&how, 200, &ANSWER[..length]).unwrap_err();
            assert!(error.is_response_error(), "{length}: {error:?}");
        }
        // What no success says is the SDK's to read, whole or not.
        assert!(read(&how, 503, "").unwrap_err().as_operation_error().is_some());
    }
}
