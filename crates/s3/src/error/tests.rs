use super::*;

#[test]
fn codes_take_precedence_over_statuses() {
    for (code, status, expected) in [
        ("SlowDown", 503, RequestErrorKind::Throttled),
        ("", 503, RequestErrorKind::Throttled),
        ("", 500, RequestErrorKind::Server),
        ("ExpiredToken", 400, RequestErrorKind::Credentials),
        ("RequestTimeTooSkewed", 403, RequestErrorKind::ClockSkew),
        ("", 403, RequestErrorKind::AccessDenied),
        ("PermanentRedirect", 301, RequestErrorKind::WrongRegion),
        ("NotImplemented", 501, RequestErrorKind::NotImplemented),
        ("InvalidObjectState", 403, RequestErrorKind::Archived),
        ("ConditionalRequestConflict", 409, RequestErrorKind::Conflict),
        ("", 409, RequestErrorKind::Conflict),
        ("Strange", 400, RequestErrorKind::Other),
    ] {
        assert_eq!(
            RequestErrorKind::from_response(code, Some(status)),
            expected,
            "{code} {status}"
        );
    }
}

#[test]
fn incomplete_bodies_are_retryable() {
    use aws_sdk_s3::config::http::HttpResponse;
    use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
    use aws_sdk_s3::primitives::SdkBody;
    let response = |status: u16| HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
    let error = |status| SdkError::response_error("half a document", response(status));
    for (status, expected) in [
        (200, RequestErrorKind::Unreachable),
        (503, RequestErrorKind::Throttled),
        (403, RequestErrorKind::AccessDenied),
    ] {
        let classified = RequestError::from_sdk::<ListObjectsV2Error>(error(status));
        assert_eq!(classified.kind(), expected, "{status}");
    }
}

#[test]
fn listed_failures_are_bounded() {
    let failure = |n: usize| DeleteFailure {
        key: format!("k{n}"),
        code: "AccessDenied".into(),
        message: "no".into(),
    };
    let mut failures = DeleteFailures::new();
    assert_eq!(failures.clone().into_result("s3://b/p").unwrap(), 0);
    failures.add(5, (0..1_500).map(failure).collect());
    assert_eq!(failures.failures.len(), DeleteFailures::MAX_LISTED);
    let text = failures.to_string();
    assert!(text.starts_with("k0: no (AccessDenied); k1: "), "{text}");
    assert!(text.ends_with("; and 1497 more"), "{text}");
    let error = failures.into_result("s3://b/p").unwrap_err();
    assert_eq!(error.to_string(), "cannot delete 1500 of 1505 objects of s3://b/p");
}
