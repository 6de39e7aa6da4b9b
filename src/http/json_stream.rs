//! Long JSON answers, written as the connection takes them: a client that reads nothing costs the rows, which share their
//! texts with the table, and one chunk.

use super::address_limits::take_place;
use super::failure::Failure;
use super::respond::{JSON, json, with_body};
use crate::access::AddressPool;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::stream;
use std::convert::Infallible;

/// The size of a chunk. An answer that fits into one is sent whole, with its length.
const CHUNK_BYTES: usize = 16 << 10;

/// An answer made of these pieces, put together one after another.
pub fn answer<I>(head: &Parts, pieces: I) -> Result<Response, Failure>
where
    I: Iterator<Item = Vec<u8>> + Send + 'static,
{
    let mut chunks = Chunks(pieces);
    let Some(first) = chunks.next() else { return Ok(json(StatusCode::OK, Vec::new())) };
    if first.len() < CHUNK_BYTES {
        return Ok(json(StatusCode::OK, first));
    }
    let place = take_place(&head.extensions, AddressPool::Listings)?;
    let rest = std::iter::once(first).chain(chunks).map(move |chunk| {
        let _until_the_end = &place;
        Ok::<_, Infallible>(Bytes::from(chunk))
    });
    Ok(with_body(StatusCode::OK, Some(JSON), Body::from_stream(stream::iter(rest))))
}

struct Chunks<I>(I);

impl<I: Iterator<Item = Vec<u8>>> Iterator for Chunks<I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES / 8);
        while chunk.len() < CHUNK_BYTES
            && let Some(piece) = self.0.next()
        {
            chunk.extend(piece);
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// The members of a JSON array, with commas between them.
pub fn listed<T>(
    rows: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T) -> Vec<u8>,
) -> impl Iterator<Item = Vec<u8>> {
    rows.into_iter().enumerate().map(move |(at, row)| {
        let mut piece = if at > 0 { vec![b','] } else { Vec::new() };
        piece.append(&mut write(row));
        piece
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::respond::to_json;

    #[test]
    fn pieces_are_joined_into_chunks_on_demand() {
        let mut written = 0;
        let rows = listed(0..100_000_u32, |row| to_json(&row));
        let mut chunks = Chunks(rows.inspect(|_| written += 1));
        let first = chunks.next().expect("a chunk");
        assert!((CHUNK_BYTES..2 * CHUNK_BYTES).contains(&first.len()) && first.starts_with(b"0,1,2"));
        drop(chunks);
        assert!(written < 10_000, "{written}");
        let all: Vec<u8> = Chunks(listed(0..5_u32, |row| to_json(&row))).flatten().collect();
        assert_eq!(all, b"0,1,2,3,4");
    }
}
