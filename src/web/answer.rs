//! Answers: JSON of a bounded size with an entity tag, and 304 to those who have it already.

use std::hash::Hasher as _;
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, ETAG, EntityTag, HeaderValue, IF_NONE_MATCH, IfNoneMatch, LINK};
use actix_web::web::Bytes;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _};
use serde::Serialize;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::api::Api;
use super::document::Document;
use super::problem::Problem;
use crate::store::read::Reader;

/// The largest answer in bytes, before compression.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// The media type of nearly all answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The JSON text of `value`, unless it is larger than an answer may be; then `advice` says what to ask instead.
///
/// # Errors
/// When it is too large.
pub fn json(value: &impl Serialize, advice: &str) -> Result<Vec<u8>, Problem> {
    let text = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    if text.len() > LARGEST { Err(Problem::too_large(advice)) } else { Ok(text) }
}

/// A span in milliseconds, without digits that it does not have.
pub fn millis(span: Duration) -> f64 {
    span.div_duration_f64(Duration::from_millis(1))
}

/// Answers a JSON text, named by its content.
pub fn ok(request: &HttpRequest, text: Vec<u8>) -> HttpResponse {
    content(request, JSON, text)
}

/// Answers `content`, named by itself.
pub fn content(request: &HttpRequest, media_type: HeaderValue, content: impl Into<Bytes>) -> HttpResponse {
    let content = content.into();
    tagged(request, media_type, &format!("{:x}", hash(&content)), content)
}

/// Answers what `question` finds of rounds: a JSON text, and where its next page is. It is named by what was written to
/// the file so far, so whoever has it already is told so before the file is asked, and by its content: what is being
/// committed may be seen before it is counted, and one name must not be that of two answers.
///
/// # Errors
/// What `question` answers, and those of [`Api::ask`].
pub async fn of_rounds(
    request: &HttpRequest,
    api: &Api,
    question: impl FnOnce(&Reader) -> Result<(Vec<u8>, Option<String>), Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let version = format!("{}-{:x}", api.version(), hash(request.uri().to_string().as_bytes()));
    if let Some(IfNoneMatch::Items(tags)) = none_match(request)
        && let Some(known) =
            tags.into_iter().find(|known| known.tag().rsplit_once('-').is_some_and(|at| at.0 == version))
    {
        return Ok(not_modified(known.tag()));
    }
    let (text, next) = api.ask(|reader| reader.at_one_moment(question)).await?;
    let version = format!("{version}-{:x}", hash(&text));
    Ok(with_next(tagged(request, JSON, &version, text.into()), next.as_deref()))
}

fn tagged(request: &HttpRequest, media_type: HeaderValue, version: &str, content: Bytes) -> HttpResponse {
    let known = match none_match(request) {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => has(&tags, version),
        None => false,
    };
    if known {
        return not_modified(version);
    }
    match Document::new(content) {
        Ok(document) => {
            let mut response = HttpResponse::Ok();
            response.insert_header((CONTENT_TYPE, media_type)).insert_header((ETAG, tag(version))).body(document)
        }
        Err(problem) => problem.error_response(),
    }
}

/// RFC 9110, section 13.1.2. The library takes a header that is not there for an empty list.
fn none_match(request: &HttpRequest) -> Option<IfNoneMatch> {
    request.headers().contains_key(IF_NONE_MATCH).then(|| request.get_header::<IfNoneMatch>())?
}

fn has(tags: &[EntityTag], version: &str) -> bool {
    tags.iter().any(|known| known.weak_eq(&tag(version)))
}

fn not_modified(version: &str) -> HttpResponse {
    HttpResponse::NotModified().insert_header((ETAG, tag(version))).finish()
}

/// Weak: the same in gzip is the same, byte by byte it is not.
fn tag(version: &str) -> EntityTag {
    EntityTag::new_weak(version.to_owned())
}

fn hash(content: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(content);
    hasher.finish128().as_u128()
}

/// The same with the next page in a header (RFC 8288).
pub fn with_next(mut response: HttpResponse, next: Option<&str>) -> HttpResponse {
    let link = next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}
