//! The budget of bytes of requests, and the bodies that it holds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::Problem;
use crate::options::Limits;

/// The unit of the budget.
const KIB: usize = 1 << 10;

/// The bytes of requests that may be held at the same time.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// What one request holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(KIB))))
    }

    /// Nothing yet.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation { budget: self.clone(), permit: None, bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.available_permits() * KIB
    }
}

impl Reservation {
    /// Holds `bytes` more.
    ///
    /// # Errors
    ///
    /// The budget has no room for them; what is held stays.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let total = self.bytes.saturating_add(bytes);
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(total.div_ceil(KIB).saturating_sub(held)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.budget.0)
            .try_acquire_many_owned(missing)
            .map_err(|_| Problem::overloaded("too much telemetry is being received"))?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            held => *held = Some(permit),
        }
        self.bytes = total;
        Ok(())
    }
}

/// Reads `body` as a whole within [`Limits::receive`], and holds its bytes: `length` before it is read, if the client
/// announces it, otherwise as they arrive.
pub(super) async fn read(
    body: Body,
    length: Option<usize>,
    limits: &Limits,
    budget: &Budget,
) -> Result<(Bytes, Reservation), Problem> {
    if length.is_some_and(|length| length > limits.encoded_body) {
        return Err(too_large(limits));
    }
    let mut reservation = budget.reserve();
    reservation.grow(length.unwrap_or(0))?;
    let reading = read_frames(body, length.unwrap_or(0), limits, &mut reservation);
    let bytes = tokio::time::timeout(limits.receive, reading)
        .await
        .unwrap_or_else(|_elapsed| Err(took_too_long(limits.receive)))?;
    Ok((bytes, reservation))
}

async fn read_frames(
    mut body: Body,
    reserved: usize,
    limits: &Limits,
    reservation: &mut Reservation,
) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::with_capacity(reserved);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::bad_request("the body could not be read: it is incomplete or damaged")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = bytes.len() + data.len();
        if needed > limits.encoded_body {
            return Err(too_large(limits));
        }
        if needed > bytes.capacity() {
            let capacity = needed.max(bytes.capacity() * 2).min(limits.encoded_body);
            reservation.grow(capacity - bytes.capacity())?;
            bytes.reserve(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

pub(super) fn too_large(limits: &Limits) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large").detail(format!(
        "a request has at most {} bytes as it is sent and {} bytes decompressed; send fewer spans in a request",
        limits.encoded_body, limits.body
    ))
}

fn took_too_long(time: Duration) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout")
        .detail(format!("the body took longer than {} s", time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservation_grows_and_ends() {
        let budget = Budget::new(10 * KIB);
        let mut one = budget.reserve();
        one.grow(1).unwrap();
        one.grow(KIB - 1).unwrap();
        assert_eq!(budget.free(), 9 * KIB);
        one.grow(8 * KIB + 1).unwrap();
        assert!(budget.reserve().grow(1).is_err());
        assert_eq!(budget.free(), 0);
        drop(one);
        assert_eq!(budget.free(), 10 * KIB);
        assert!(budget.reserve().grow(usize::MAX).is_err());
    }

    #[tokio::test]
    async fn body_of_unknown_length_is_held_as_it_arrives() {
        let budget = Budget::new(64 * KIB);
        let limits = Limits { encoded_body: 100 * KIB, ..Limits::default() };
        let body = |chunks: usize| {
            let chunks = (0..chunks).map(|_| Ok::<_, std::io::Error>(vec![b'x'; KIB]));
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        let (bytes, reservation) = read(body(40), None, &limits, &budget).await.unwrap();
        assert_eq!(bytes.len(), 40 * KIB);
        assert!(budget.free() <= 24 * KIB);
        drop(reservation);
        assert_eq!(budget.free(), 64 * KIB);
        let refused = read(body(90), None, &limits, &budget).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let large = Budget::new(1000 * KIB);
        let refused = read(body(101), None, &limits, &large).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(large.free(), 1000 * KIB);
    }
}
